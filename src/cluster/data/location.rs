//! How the journal names a file of the store: `weir:<incarnation>/<path>`, the path relative to the output directory of
//! that incarnation and percent-encoded. Which object it is, the incarnation's manifest says.

use std::fmt;

use weir_cwl::uri;

/// The scheme, with its colon.
const SCHEME: &str = "weir:";

/// A file or directory that an incarnation left behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Which incarnation.
    pub incarnation: u64,
    /// Relative to its output directory, `/`-separated, without `.`, `..` or empty parts; empty for the directory itself.
    pub path: String,
}

impl Location {
    /// Reads a location of this scheme; `None` for any other, and for a path that leads out of the directory.
    pub fn parse(location: &str) -> Option<Self> {
        let rest = location.strip_prefix(SCHEME)?;
        let (number, path) = rest.split_once('/').unwrap_or((rest, ""));
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let incarnation = number.parse().ok()?;
        let path = uri::decode(path.trim_end_matches('/'));
        let is_good = path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        (is_good && !path.contains('\0')).then_some(Self { incarnation, path })
    }

    /// What stands at a path relative to this one.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        let path = if self.path.is_empty() { below.to_owned() } else { format!("{}/{below}", self.path) };
        Self { incarnation: self.incarnation, path }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.incarnation, uri::encode_path(&self.path))
    }
}

/// Whether a location is an http(s) URL.
pub fn is_http(location: &str) -> bool {
    location.starts_with("http://") || location.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_leads_out_or_is_something_else_is_no_location() {
        for wrong in [
            "weir:/a",
            "weir:x/a",
            "weir:+1/a",
            "weir:1/../a",
            "weir:1/a//b",
            "weir:1/%2E%2E/a",
            "file:///a",
            "a",
            "weir:",
        ] {
            assert_eq!(Location::parse(wrong), None, "{wrong}");
        }
        let root = Location { incarnation: 7, path: String::new() };
        for same in ["weir:7/", "weir:7"] {
            assert_eq!(Location::parse(same), Some(root.clone()), "{same}");
        }
        assert_eq!(root.join("a b").to_string(), "weir:7/a%20b");
    }

    proptest! {
        #[test]
        fn any_path_survives_its_location(incarnation: u64, parts in prop::collection::vec("[^/\\x00]{1,9}", 0..4)) {
            prop_assume!(parts.iter().all(|part| part != "." && part != ".."));
            let location = Location { incarnation, path: parts.join("/") };
            prop_assert_eq!(Location::parse(&location.to_string()), Some(location));
        }

        #[test]
        fn nothing_that_is_read_leads_out(text in "weir:1/(/|\\.|%2e|%2F|%00|a){0,12}") {
            if let Some(location) = Location::parse(&text) {
                prop_assert!(location.path.is_empty() || location.path.split('/').all(|part| !["", ".", ".."].contains(&part)));
            }
        }
    }
}
