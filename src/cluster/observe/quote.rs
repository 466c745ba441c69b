//! Words of the kubelet and the scheduler, made short enough for a status.

use crate::limits::QUOTE_CHARACTERS_MAX;

/// One line without the space around it, cut where it is too long.
pub fn quote(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(QUOTE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// What the scheduler says of the nodes, without what it says about preemption.
pub fn of_scheduler(text: &str) -> String {
    let end = [" no new claims to deallocate", " preemption:"].iter().filter_map(|what| text.find(what)).min();
    quote(&text[..end.unwrap_or(text.len())])
}
