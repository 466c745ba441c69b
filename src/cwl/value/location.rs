//! The paths that `file:` URIs name (RFC 8089).

use crate::uri;

/// The path that a `file:` URI names, or a plain absolute path as it is; `None` for other schemes.
pub fn file_path(location: &str) -> Option<String> {
    if location.starts_with('/') {
        return Some(location.to_owned());
    }
    let rest = location.strip_prefix("file:")?;
    let path = rest.strip_prefix("//localhost/").map(|path| format!("/{path}"));
    let path = path.or_else(|| rest.strip_prefix("//").map(str::to_owned)).unwrap_or_else(|| rest.to_owned());
    path.starts_with('/').then(|| uri::decode(&path))
}
