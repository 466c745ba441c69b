//! `glob` (CWL v1.2, "CommandOutputBinding": POSIX glob(3)).

use super::directory::OutputDirectory;
use crate::command::Kind;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GlobError {
    /// It leads out of the output directory.
    Outside,
    /// The directory could not be read.
    Directory(String),
}

/// The paths that match, relative to the output directory and sorted bytewise. `.` and the output directory itself match
/// the empty path. Absolute patterns must be below `outdir`.
pub(super) fn glob(pattern: &str, outdir: &str, directory: &mut dyn OutputDirectory) -> Result<Vec<String>, GlobError> {
    let relative = match pattern.strip_prefix(outdir) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ if pattern.starts_with('/') => return Err(GlobError::Outside),
        _ => pattern,
    };
    let mut segments = Vec::new();
    for segment in relative.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(GlobError::Outside)?;
            }
            segment => segments.push(segment),
        }
    }
    let wants_directory = pattern.ends_with('/');
    let mut matched = vec![String::new()];
    for (at, segment) in segments.iter().enumerate() {
        let mut next = Vec::new();
        for parent in matched {
            let join = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
            if is_plain(segment) {
                let path = join(&unescaped(segment));
                if directory.look(&path).map_err(GlobError::Directory)?.is_some() {
                    next.push(path);
                }
                continue;
            }
            let tokens = tokens(segment);
            for name in directory.list(&parent).map_err(GlobError::Directory)? {
                // A leading dot must be written out.
                if (segment.starts_with('.') || !name.starts_with('.')) && matches(&tokens, &name) {
                    next.push(join(&name));
                }
            }
        }
        // Only directories have members.
        if at + 1 < segments.len() || wants_directory {
            let mut directories = Vec::with_capacity(next.len());
            for path in next {
                let found = directory.look(&path).map_err(GlobError::Directory)?;
                if found.is_some_and(|found| found.kind == Kind::Directory) {
                    directories.push(path);
                }
            }
            next = directories;
        }
        matched = next;
    }
    matched.sort_unstable();
    Ok(matched)
}

fn is_plain(segment: &str) -> bool {
    let mut escaped = false;
    !segment.chars().any(|c| {
        let is_special = !escaped && matches!(c, '*' | '?' | '[');
        escaped = !escaped && c == '\\';
        is_special
    })
}

fn unescaped(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    text
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Exactly(char),
    One,
    Many,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn tokens(segment: &str) -> Vec<Token> {
    let chars: Vec<char> = segment.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        at += 1;
        match c {
            '*' if tokens.last() == Some(&Token::Many) => {}
            '*' => tokens.push(Token::Many),
            '?' => tokens.push(Token::One),
            '\\' if at < chars.len() => {
                tokens.push(Token::Exactly(chars[at]));
                at += 1;
            }
            '[' => match class(&chars[at..]) {
                Some((token, length)) => {
                    tokens.push(token);
                    at += length;
                }
                // A bracket that is never closed is itself.
                None => tokens.push(Token::Exactly('[')),
            },
            c => tokens.push(Token::Exactly(c)),
        }
    }
    tokens
}

/// A bracket expression after its `[`, and its length with the `]`.
fn class(chars: &[char]) -> Option<(Token, usize)> {
    let negated = matches!(chars.first(), Some('!' | '^'));
    let start = usize::from(negated);
    // A `]` right at the beginning is a member.
    let end = start + 1 + chars.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        if at + 2 < end && chars[at + 1] == '-' {
            ranges.push((chars[at], chars[at + 2]));
            at += 3;
        } else {
            ranges.push((chars[at], chars[at]));
            at += 1;
        }
    }
    Some((Token::Class { negated, ranges }, end + 1))
}

/// Linear in the name for each `*`: on a mismatch only the last one is tried again.
fn matches(tokens: &[Token], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::Many) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            Some(single) if name.get(at).is_some_and(|c| matches_one(single, *c)) => {
                token += 1;
                at += 1;
                continue;
            }
            None if at == name.len() => return true,
            _ => {}
        }
        match retry {
            Some((star, from)) if from < name.len() => {
                retry = Some((star, from + 1));
                token = star + 1;
                at = from + 1;
            }
            _ => return false,
        }
    }
}

fn matches_one(token: &Token, c: char) -> bool {
    match token {
        Token::Exactly(expected) => *expected == c,
        Token::One | Token::Many => true,
        Token::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, name: &str) -> bool {
        matches(&tokens(pattern), name)
    }

    #[test]
    fn patterns_match_like_a_posix_shell() {
        for (pattern, yes, no) in [
            ("*.txt", "a.b.txt", "a.txt.gz"),
            ("a*b*c", "aXbbYc", "acb"),
            ("?", "é", "ab"),
            ("[a-c]x", "bx", "dx"),
            ("[!a-c]x", "dx", "bx"),
            ("[]]", "]", "["),
            ("a[", "a[", "a"),
            (r"\*", "*", "a"),
        ] {
            assert!(is_match(pattern, yes), "{pattern} {yes}");
            assert!(!is_match(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        assert!(!is_match(&"a*".repeat(40), &"a".repeat(39)));
    }
}
