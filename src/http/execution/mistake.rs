//! What is wrong with a request: all of it in one answer.

use axum::http::StatusCode;
use serde_json::Value as Json;

use crate::limits::{MISTAKES_MAX, SHOWN_CHARACTERS};
use crate::problem::{Problem, types};

/// One mistake of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// What is there.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// The mistakes of a request in the order in which they were found, at most [`MISTAKES_MAX`] of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    more: usize,
}

impl Mistakes {
    /// Adds one. Of several rules that say the same of a place the first is told.
    pub fn add(&mut self, pointer: &str, what: impl Into<String>, right: impl Into<String>) {
        let what = what.into();
        if self.list.iter().any(|known| known.pointer == pointer && known.what == what) {
            return;
        }
        if self.list.len() < MISTAKES_MAX {
            self.list.push(Mistake { pointer: pointer.to_owned(), what, right: right.into() });
        } else {
            self.more += 1;
        }
    }

    /// Adds those of a part of the request.
    pub fn extend(&mut self, others: Self) {
        for Mistake { pointer, what, right } in others.list {
            self.add(&pointer, what, right);
        }
        self.more += others.more;
    }

    /// Adds those at places of which nothing is told yet: several rules for one value need not all be quoted.
    pub fn extend_elsewhere(&mut self, mut others: Self) {
        others.list.retain(|other| !self.list.iter().any(|known| known.pointer == other.pointer));
        self.extend(others);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether further ones are only counted: who looks for them may stop.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MISTAKES_MAX
    }

    /// The value, if there are none.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, Mistake { pointer, what, right }) in self.list.iter().enumerate() {
            let separator = if at > 0 { "\n" } else { "" };
            let place = if pointer.is_empty() { "the body" } else { pointer };
            write!(f, "{separator}{place}: {what}; {right}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl From<Mistakes> for Problem {
    fn from(mistakes: Mistakes) -> Self {
        let title = "Invalid parameter value";
        Self::new(StatusCode::BAD_REQUEST, types::INVALID_PARAMETER_VALUE, title, mistakes.to_string())
    }
}

/// The pointer of a member.
pub fn below(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// A value, as a message shows it.
pub fn shown(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) if number.is_f64() => format!("the number {number}"),
        Json::Number(number) => format!("the integer {number}"),
        Json::String(text) => {
            let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
            let end = if start.len() < text.len() { "…" } else { "" };
            format!("the string {}{end}", Json::from(start))
        }
        Json::Array(items) => match items.len() {
            0 => "an empty list".to_owned(),
            1 => "a list of one".to_owned(),
            count => format!("a list of {count}"),
        },
        Json::Object(members) if members.is_empty() => "an empty object".to_owned(),
        Json::Object(members) => {
            let names: Vec<&str> = members.keys().take(5).map(|name| clipped(name)).collect();
            let end = if members.len() > names.len() { ", …" } else { "" };
            format!("an object with {}{end}", names.join(", "))
        }
    }
}

/// Names for a message, with an end to it.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut some: Vec<&str> = names.by_ref().take(20).map(clipped).collect();
    if names.next().is_some() {
        some.push("…");
    }
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// The start of a text that a client chose.
pub fn clipped(text: &str) -> &str {
    let end = text.char_indices().nth(SHOWN_CHARACTERS).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_mistakes_are_told_and_the_list_has_an_end() {
        let mut mistakes = Mistakes::default();
        for at in 0..=MISTAKES_MAX {
            mistakes.add(&below("/inputs", &format!("a/b{at}")), shown(&json!(at)), "write a string");
        }
        let text = mistakes.to_string();
        assert!(text.starts_with("/inputs/a~1b0: the integer 0; write a string\n/inputs/a~1b1"), "{text}");
        assert!(text.ends_with("\nand 1 more"), "{text}");
    }

    #[test]
    fn values_are_shown_by_their_beginning() {
        assert_eq!(shown(&json!("a\"b")), r#"the string "a\"b""#);
        assert!(shown(&json!("x".repeat(10_000))).len() < 200);
        assert_eq!(shown(&json!({"a": 1, "b": 2})), "an object with a, b");
        assert_eq!(shown(&json!(1.5)), "the number 1.5");
    }
}
