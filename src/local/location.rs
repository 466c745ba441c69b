//! Locations of Files and Directories as paths of this machine.

use std::path::PathBuf;

use weir_cwl::uri;

/// The path that a location names: a `file:` URI, or a path without scheme. `None` if it lies elsewhere (`http:`, `s3:` …).
pub fn local_path(location: &str) -> Option<PathBuf> {
    if let Some(rest) = location.strip_prefix("file:") {
        let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
        return Some(PathBuf::from(uri::decode(path)));
    }
    let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && !scheme.contains('/')
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    (!has_scheme).then(|| PathBuf::from(location))
}

/// Whether a location is an http(s) URL.
pub fn is_http(location: &str) -> bool {
    location.starts_with("http://") || location.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_uris_are_decoded_and_paths_are_not() {
        let path = |text: &str| local_path(text).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(path("file:///a/b%20c"), Some("/a/b c".into()));
        assert_eq!(path("file://localhost/a"), Some("/a".into()));
        assert_eq!(path("/a/b%20c"), Some("/a/b%20c".into()));
        assert_eq!(path("https://example.org/a"), None);
        assert_eq!(path("s3://bucket/a"), None);
    }
}
