//! How a tool ended, in one word and one sentence. Pure.
//!
//! What the report says is ranked: an exit code that means success is final, whatever else happened (I3); a time limit
//! explains a kill; the kernel's count of memory kills comes before what else may have been the cause.

use weir_api::FailureClass;
use weir_api::agent::{Ending, Hints};
use weir_plan::event::Resources;

/// The exit codes of a tool that mean something.
#[derive(Debug, Clone, Copy)]
pub struct Codes<'a> {
    /// Success; empty means 0 alone.
    pub success: &'a [i32],
    /// Another try may help.
    pub temporary: &'a [i32],
}

/// A tool that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// One word.
    pub class: FailureClass,
    /// For the user.
    pub message: String,
    /// Its exit code, if it ended by itself.
    pub exit_code: Option<i32>,
}

/// The exit code of a tool that succeeded, or what went wrong. `limit` is the tool's time limit in seconds, if known.
pub fn judge(
    ending: &Ending,
    hints: &Hints,
    codes: Codes<'_>,
    resources: &Resources,
    limit: Option<u64>,
) -> Result<i32, Bad> {
    let (exit_code, how) = match ending {
        Ending::Failed { class, message } => {
            return Err(Bad { class: *class, message: message.clone(), exit_code: None });
        }
        Ending::Code(code) => (Some(*code), format!("ended with exit code {code}")),
        Ending::Signal(signal) => (None, format!("was killed by signal {signal}")),
    };
    let bad = |class, message: String| Err(Bad { class, message, exit_code });
    if hints.time_limit {
        let limit = limit.map_or_else(String::new, |seconds| format!(" of {seconds} s"));
        return bad(FailureClass::TimeLimit, format!("the tool ran longer than its ToolTimeLimit{limit}"));
    }
    if let Some(code) = exit_code {
        let succeeds = if codes.success.is_empty() { code == 0 } else { codes.success.contains(&code) };
        if succeeds {
            return Ok(code);
        }
    }
    if hints.oom_kills > 0 {
        let ram = resources.ram_mib;
        let message = format!("the kernel killed the tool for want of memory (it asked for {ram} MiB)");
        return bad(FailureClass::OutOfMemory, message);
    }
    if hints.terminated {
        return bad(FailureClass::Disrupted, format!("the tool {how} after its pod was told to end"));
    }
    if hints.disk_full {
        let (outdir, tmpdir) = (resources.outdir_mib, resources.tmpdir_mib);
        let message = format!(
            "the tool {how} and its volume is full (it asked for {outdir} MiB for outputs and {tmpdir} MiB for \
             temporary files)"
        );
        return bad(FailureClass::OutOfDisk, message);
    }
    match exit_code.filter(|code| codes.temporary.contains(code)) {
        Some(code) => {
            let message = format!("the tool ended with exit code {code}, one of its temporaryFailCodes");
            bad(FailureClass::ToolFailedTemporarily, message)
        }
        None => bad(FailureClass::ToolFailed, format!("the tool {how}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCES: Resources = Resources { cores: 1.0, ram_mib: 512, tmpdir_mib: 10, outdir_mib: 20, gpus: 0 };

    #[expect(clippy::needless_pass_by_value, reason = "calls read better")]
    fn judged(ending: Ending, hints: Hints) -> String {
        let codes = Codes { success: &[0, 3], temporary: &[75] };
        match judge(&ending, &hints, codes, &RESOURCES, Some(60)) {
            Ok(code) => format!("success {code}"),
            Err(Bad { class, message, exit_code }) => format!("{class} {exit_code:?}: {message}"),
        }
    }

    #[test]
    fn every_ending_has_its_word() {
        let none = Hints::default();
        let oom = Hints { oom_kills: 1, ..none };
        let ended = [
            judged(Ending::Code(3), none),
            judged(Ending::Code(0), oom),
            judged(Ending::Code(0), Hints { terminated: true, disk_full: true, ..none }),
            judged(Ending::Code(0), Hints { time_limit: true, ..none }),
            judged(Ending::Code(1), none),
            judged(Ending::Code(75), none),
            judged(Ending::Code(75), oom),
            judged(Ending::Signal(9), oom),
            judged(Ending::Signal(9), none),
            judged(Ending::Signal(9), Hints { time_limit: true, oom_kills: 1, ..none }),
            judged(Ending::Signal(15), Hints { terminated: true, ..none }),
            judged(Ending::Code(143), Hints { terminated: true, disk_full: true, ..none }),
            judged(Ending::Code(1), Hints { disk_full: true, ..none }),
            judged(Ending::Failed { class: FailureClass::StageIn, message: "no".to_owned() }, oom),
        ];
        insta::assert_snapshot!(ended.join("\n"), @r"
    success 3
    success 0
    success 0
    TimeLimit Some(0): the tool ran longer than its ToolTimeLimit of 60 s
    ToolFailed Some(1): the tool ended with exit code 1
    ToolFailedTemporarily Some(75): the tool ended with exit code 75, one of its temporaryFailCodes
    OutOfMemory Some(75): the kernel killed the tool for want of memory (it asked for 512 MiB)
    OutOfMemory None: the kernel killed the tool for want of memory (it asked for 512 MiB)
    ToolFailed None: the tool was killed by signal 9
    TimeLimit None: the tool ran longer than its ToolTimeLimit of 60 s
    Disrupted None: the tool was killed by signal 15 after its pod was told to end
    Disrupted Some(143): the tool ended with exit code 143 after its pod was told to end
    OutOfDisk Some(1): the tool ended with exit code 1 and its volume is full (it asked for 20 MiB for outputs and 10 MiB for temporary files)
    StageIn None: no
    ");
    }
}
