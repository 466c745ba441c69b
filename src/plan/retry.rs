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
