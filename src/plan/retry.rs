//! Whether and how a failed incarnation is followed by another.

use weir_api::FailureClass;

use crate::event::Resources;
use crate::intent::Policy;

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// Another incarnation after so many milliseconds.
    Again { attempt: u32, uncounted: u32, resources: Resources, wait_ms: u64 },
    /// It fails for good, for this reason beyond the failure itself.
    Permanent(Option<&'static str>),
}

/// Judges the failure of an incarnation that was counted try number `attempt` after `uncounted` uncounted retries.
pub(crate) fn judge(
    policy: &Policy,
    class: FailureClass,
    attempt: u32,
    uncounted: u32,
    resources: Resources,
) -> Verdict {
    if !class.is_retryable() {
        return Verdict::Permanent(None);
    }
    if !class.is_counted() {
        if uncounted >= policy.uncounted_retries_max {
            return Verdict::Permanent(Some("it was tried again as often as the platform may fail"));
        }
        // The first loss says nothing about the step: it starts again at once.
        let wait_ms = if uncounted == 0 { 0 } else { wait(policy, uncounted) };
        return Verdict::Again { attempt, uncounted: uncounted + 1, resources, wait_ms };
    }
    if attempt >= policy.attempts_max {
        return Verdict::Permanent(if attempt > 1 { Some("all attempts are used up") } else { None });
    }
    let mut resources = resources;
    match class {
        FailureClass::OutOfMemory => {
            if resources.ram_mib >= policy.memory_cap_mib {
                return Verdict::Permanent(Some("it already had as much memory as a step may have"));
            }
            resources.ram_mib = resources.ram_mib.saturating_mul(2).min(policy.memory_cap_mib);
        }
        FailureClass::OutOfDisk => {
            resources.tmpdir_mib = resources.tmpdir_mib.saturating_mul(2);
            resources.outdir_mib = resources.outdir_mib.saturating_mul(2);
        }
        _ => {}
    }
    Verdict::Again { attempt: attempt + 1, uncounted, resources, wait_ms: wait(policy, attempt) }
}

/// Milliseconds before retry number `retry`, from 1.
fn wait(policy: &Policy, retry: u32) -> u64 {
    let factor = 1_u64.checked_shl(retry.saturating_sub(1)).unwrap_or(u64::MAX);
    policy.backoff.first_ms.saturating_mul(factor).min(policy.backoff.max_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(class: FailureClass, attempt: u32, uncounted: u32) -> String {
        let policy = Policy { memory_cap_mib: 1500, ..Policy::default() };
        let resources = Resources { cores: 1.0, ram_mib: 1000, tmpdir_mib: 10, outdir_mib: 20, gpus: 0 };
        match judge(&policy, class, attempt, uncounted, resources) {
            Verdict::Again { attempt, uncounted, resources, wait_ms } => {
                let Resources { ram_mib, tmpdir_mib, outdir_mib, .. } = resources;
                format!(
                    "attempt {attempt}, uncounted {uncounted}, {ram_mib}/{tmpdir_mib}/{outdir_mib} MiB, in {wait_ms} ms"
                )
            }
            Verdict::Permanent(reason) => format!("permanent {}", reason.unwrap_or_default()).trim_end().to_owned(),
        }
    }

    #[test]
    fn what_ran_out_is_doubled_and_the_attempt_counts() {
        insta::assert_snapshot!(judged(FailureClass::OutOfMemory, 1, 0), @"attempt 2, uncounted 0, 1500/10/20 MiB, in 500 ms");
        insta::assert_snapshot!(judged(FailureClass::OutOfDisk, 1, 0), @"attempt 2, uncounted 0, 1000/20/40 MiB, in 500 ms");
    }

    #[test]
    fn what_the_platform_did_does_not_count() {
        insta::assert_snapshot!(judged(FailureClass::Platform, 1, 0), @"attempt 1, uncounted 1, 1000/10/20 MiB, in 0 ms");
        insta::assert_snapshot!(judged(FailureClass::Disrupted, 2, 1), @"attempt 2, uncounted 2, 1000/10/20 MiB, in 500 ms");
        insta::assert_snapshot!(judged(FailureClass::Platform, 1, u32::MAX), @"permanent it was tried again as often as the platform may fail");
    }

    #[test]
    fn what_the_executor_has_waited_for_is_not_tried_again() {
        for class in [
            FailureClass::Unschedulable,
            FailureClass::QuotaExceeded,
            FailureClass::ImageUnavailable,
            FailureClass::Rejected,
        ] {
            assert_eq!(judged(class, 1, 0), "permanent");
        }
    }
}
