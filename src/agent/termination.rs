//! The agent's last words, for the pod's status.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use weir_api::agent::{Ending, TerminationMessage};
use weir_api::limits::TERMINATION_MESSAGE_BYTES;

/// Writes the message. Best effort: it is the second way to know.
pub fn write(path: &Path, message: TerminationMessage) {
    let bytes = fit(message);
    // The kubelet makes the file; it is not replaced, because it is a mount.
    let written =
        File::options().write(true).create(true).truncate(true).open(path).and_then(|mut file| file.write_all(&bytes));
    if let Err(error) = written {
        eprintln!("weir-agent: cannot write `{}`: {error}", path.display());
    }
}

/// The message as JSON, with as much of its texts as there is room for.
fn fit(mut message: TerminationMessage) -> Vec<u8> {
    loop {
        let bytes = serde_json::to_vec(&message).unwrap_or_default();
        let excess = bytes.len().saturating_sub(TERMINATION_MESSAGE_BYTES);
        if excess == 0 {
            return bytes;
        }
        // A character takes up to six bytes as JSON, so this may take several rounds; each removes something.
        match &mut message.stderr_tail {
            Some(tail) if !tail.is_empty() => {
                let cut = tail.ceil_char_boundary(excess.div_ceil(6).min(tail.len()));
                tail.drain(..cut);
            }
            _ => {
                let halve = |text: &mut String| text.truncate(text.floor_char_boundary(text.len() / 2));
                if let Some(Ending::Failed { message, .. }) = &mut message.ending {
                    halve(message);
                }
                halve(&mut message.agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_api::FailureClass;
    use weir_api::agent::{Hints, Usage};

    use super::*;

    #[test]
    fn it_always_fits_and_keeps_the_end_of_stderr() {
        let ending = Ending::Failed { class: FailureClass::StageIn, message: "ü".repeat(5000) };
        for tail in ["\u{1}é\n".repeat(2000), String::new()] {
            let message = TerminationMessage {
                agent: "completed".to_owned(),
                ending: Some(ending.clone()),
                hints: Hints::default(),
                usage: Usage::default(),
                stderr_tail: Some(tail),
            };
            let bytes = fit(message);
            assert!(bytes.len() <= TERMINATION_MESSAGE_BYTES);
            let read: TerminationMessage = serde_json::from_slice(&bytes).unwrap();
            assert!(matches!(read.ending, Some(Ending::Failed { class: FailureClass::StageIn, .. })));
        }
        let message = TerminationMessage {
            agent: "completed".to_owned(),
            ending: Some(Ending::Code(3)),
            hints: Hints::default(),
            usage: Usage::default(),
            stderr_tail: Some(format!("{}last", "x".repeat(5000))),
        };
        let read: TerminationMessage = serde_json::from_slice(&fit(message)).unwrap();
        assert!(read.stderr_tail.unwrap().ends_with("xxlast"));
    }
}
