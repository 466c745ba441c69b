//! `Prefer` (RFC 7240), read as leniently as clients write it, and the mode of an execution that follows from it.

use axum::http::HeaderMap;
use serde_json::Value as Json;

use crate::backend::ResponseForm;

/// What a client prefers, of what is known here. The first of a kind counts (RFC 7240, §2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefer {
    known: Vec<(Separator, Preference)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preference {
    Respond(Mode),
    Wait(u32),
    Return(ResponseForm),
}

/// What stands before a preference. The standard has commas; ZOO-Project, its tutorials and its clients write semicolons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Comma,
    Semicolon,
}

/// How a process is executed (18-062r2, §7.11.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The answer has the results.
    Sync,
    /// The answer has the job.
    Async,
}

impl Prefer {
    /// Reads all `Prefer` headers. What is not known is passed over.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        for header in headers.get_all("prefer") {
            let text = header.to_str().unwrap_or_default();
            let mut separator = Separator::Comma;
            for piece in text.split_inclusive([',', ';']) {
                if let Some(preference) = preference(piece.trim_end_matches([',', ';'])) {
                    let is_new = |(_, known): &(Separator, Preference)| {
                        std::mem::discriminant(known) != std::mem::discriminant(&preference)
                    };
                    if prefer.known.iter().all(is_new) {
                        prefer.known.push((separator, preference));
                    }
                }
                separator = if piece.ends_with(';') { Separator::Semicolon } else { Separator::Comma };
            }
        }
        prefer
    }

    /// The mode.
    pub fn mode(&self) -> Option<Mode> {
        self.known.iter().find_map(|(_, known)| if let Preference::Respond(mode) = known { Some(*mode) } else { None })
    }

    /// Seconds that the client would wait for a synchronous answer.
    pub fn wait(&self) -> Option<u32> {
        self.known
            .iter()
            .find_map(|(_, known)| if let Preference::Wait(seconds) = known { Some(*seconds) } else { None })
    }

    /// `return=representation` is the document, `return=minimal` the bare values.
    pub fn response(&self) -> Option<ResponseForm> {
        self.known.iter().find_map(|(_, known)| if let Preference::Return(form) = known { Some(*form) } else { None })
    }

    /// `Preference-Applied` of an answer in this mode and form, with the client's own separators; `None`: nothing that it
    /// asked for was decisive.
    pub fn applied(&self, mode: Mode, response: ResponseForm) -> Option<String> {
        let mut applied = String::new();
        for (separator, preference) in &self.known {
            let word = match preference {
                Preference::Respond(Mode::Async) if mode == Mode::Async => "respond-async".to_owned(),
                Preference::Respond(Mode::Sync) if mode == Mode::Sync => "respond-sync".to_owned(),
                Preference::Wait(seconds) if mode == Mode::Sync => format!("wait={seconds}"),
                Preference::Return(ResponseForm::Document) if response == ResponseForm::Document => {
                    "return=representation".to_owned()
                }
                Preference::Return(ResponseForm::Raw) if response == ResponseForm::Raw => "return=minimal".to_owned(),
                _ => continue,
            };
            if !applied.is_empty() {
                applied.push_str(match separator {
                    Separator::Comma => ", ",
                    Separator::Semicolon => ";",
                });
            }
            applied.push_str(&word);
        }
        (!applied.is_empty()).then_some(applied)
    }
}

fn preference(text: &str) -> Option<Preference> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.trim().trim_matches('"').to_ascii_lowercase();
    match (name.trim().to_ascii_lowercase().as_str(), value.as_str()) {
        ("respond-async", _) => Some(Preference::Respond(Mode::Async)),
        // No word of RFC 7240, but OWSLib's.
        ("respond-sync", _) => Some(Preference::Respond(Mode::Sync)),
        ("wait", seconds) => seconds.parse().ok().map(Preference::Wait),
        ("return", "representation") => Some(Preference::Return(ResponseForm::Document)),
        ("return", "minimal") => Some(Preference::Return(ResponseForm::Raw)),
        _ => None,
    }
}

/// The mode of an execution (18-062r2, `/req/core/process-execute-default-execution-mode` and
/// `…-auto-execution-mode`): what the process offers, and among both what was asked for, else sync.
pub fn decide(description: &serde_json::Map<String, Json>, asked: Option<Mode>) -> Mode {
    let offers = |option: &str| {
        let options = description.get("jobControlOptions").and_then(Json::as_array);
        options.is_some_and(|options| options.iter().any(|offered| offered == option))
    };
    match (offers("sync-execute"), offers("async-execute")) {
        (true, false) => Mode::Sync,
        (false, true) => Mode::Async,
        _ => asked.unwrap_or(Mode::Sync),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prefer(text: &str) -> Prefer {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", text.parse().unwrap());
        Prefer::parse(&headers)
    }

    #[test]
    fn clients_preferences_are_understood() {
        let async_ = Some(Mode::Async);
        assert_eq!(prefer("respond-async").mode(), async_);
        assert_eq!(prefer("respond-async ").mode(), async_);
        assert_eq!(prefer("Respond-Async, wait=\"10\"").wait(), Some(10));
        assert_eq!(prefer("return=minimal; respond-async").mode(), async_);
        assert_eq!(prefer("respond-sync").mode(), Some(Mode::Sync));
        assert_eq!(prefer("respond-async;return=representation").response(), Some(ResponseForm::Document));
        assert_eq!(prefer("return=minimal").response(), Some(ResponseForm::Raw));
        assert_eq!(prefer("handling=lenient, ;; ,x=,wait=soon"), Prefer::default());
        assert_eq!(prefer("respond-sync, respond-async").mode(), Some(Mode::Sync));
    }

    #[test]
    fn what_was_applied_is_told_in_the_clients_spelling() {
        let applied = |text: &str, mode, form| prefer(text).applied(mode, form);
        let (raw, document) = (ResponseForm::Raw, ResponseForm::Document);
        assert_eq!(
            applied("respond-async;return=representation", Mode::Async, document).as_deref(),
            Some("respond-async;return=representation")
        );
        assert_eq!(applied("wait=5, return=minimal", Mode::Sync, raw).as_deref(), Some("wait=5, return=minimal"));
        assert_eq!(applied("respond-async", Mode::Sync, raw), None);
        assert_eq!(applied("respond-async, wait=5", Mode::Async, document).as_deref(), Some("respond-async"));
    }

    #[test]
    fn the_mode_follows_the_matrix_of_the_standard() {
        let mode = |options: Json, asked| decide(json!({"jobControlOptions": options}).as_object().unwrap(), asked);
        let both = || json!(["async-execute", "sync-execute", "dismiss"]);
        assert_eq!(mode(both(), None), Mode::Sync);
        assert_eq!(mode(both(), Some(Mode::Async)), Mode::Async);
        assert_eq!(mode(json!(["sync-execute"]), Some(Mode::Async)), Mode::Sync);
        assert_eq!(mode(json!(["async-execute"]), None), Mode::Async);
        assert_eq!(mode(json!(["async-execute"]), Some(Mode::Sync)), Mode::Async);
    }
}
