//! `pattern` of JSON Schema: regular expressions of ECMA 262, as far as they are regular. Each takes time that is linear in
//! the text, whatever its author wrote.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use crate::limits::{PATTERN_BYTES, PATTERNS_KEPT};

thread_local! {
    /// A list's elements have one pattern: it is compiled once. `None`: it is not understood.
    static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
}

/// Whether a text matches somewhere; `None` if the pattern is none, is too large, or is not regular (it looks around or
/// back).
pub fn matches(pattern: &str, text: &str) -> Option<bool> {
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() >= PATTERNS_KEPT && !compiled.contains_key(pattern) {
            compiled.clear();
        }
        let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| {
            RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().ok()
        });
        regex.as_ref().map(|regex| regex.is_match(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_anywhere_and_what_is_not_understood_says_nothing() {
        assert_eq!(matches("^EPSG:[0-9]{4,6}$", "EPSG:4326"), Some(true));
        assert_eq!(matches("^EPSG:[0-9]{4,6}$", "epsg:4326"), Some(false));
        assert_eq!(matches("b+", "abba"), Some(true));
        for unknown in ["(?=x)", r"(a)\1", "(", "(a{1000}){1000}"] {
            assert_eq!(matches(unknown, "a"), None, "{unknown}");
        }
        for at in 0..=PATTERNS_KEPT {
            assert_eq!(matches(&format!("^{at}$"), &at.to_string()), Some(true));
        }
    }
}
