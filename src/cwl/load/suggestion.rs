//! What a word was meant to be: the help of messages about names that do not exist.

use crate::limits::{NAMES_COMPARED_MAX, NAMES_LISTED_MAX};

/// The known name that a word is most likely a misspelling of: at most two edits away, and fewer than half its letters.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().take(NAMES_COMPARED_MAX).map(|name| (distance(word, name), name)).min()?;
    let (edits, name) = near;
    (edits <= 2 && edits * 2 < word.chars().count()).then_some(name)
}

/// Names for a message, with an end to it.
pub(crate) fn listed<'k>(names: impl IntoIterator<Item = &'k str>) -> String {
    let mut names = names.into_iter();
    let mut shown: Vec<&str> = names.by_ref().take(NAMES_LISTED_MAX).collect();
    match (shown.is_empty(), names.next()) {
        (true, _) => return "none".to_owned(),
        (false, Some(_)) => shown.push("…"),
        (false, None) => {}
    }
    shown.join(", ")
}

/// Edits between two words: insertions, deletions and replacements (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // Anything long is no misspelling and not worth the square.
    if a.len().max(b.len()) > 64 {
        return usize::MAX / 2;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("scater", ["scatter", "scatterMethod"]), Some("scatter"));
        assert_eq!(nearest("strng", ["int", "string"]), Some("string"));
        assert_eq!(nearest("id", ["in", "doc"]), None);
        assert_eq!(nearest("remarks", ["hints", "stdin"]), None);
        assert_eq!(nearest(&"x".repeat(1000), ["x"]), None);
    }

    #[test]
    fn long_lists_end() {
        assert_eq!(listed(["a", "b"]), "a, b");
        assert_eq!(listed([]), "none");
        assert!(listed(vec!["a"; 100]).ends_with("a, …"));
    }
}
