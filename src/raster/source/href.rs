//! Addresses: paths, `file:`, `http(s)://`, `s3://`, and how a relative one is resolved (RFC 3986 §5).

use super::SourceError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where something lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file or folder of this machine.
    Path(PathBuf),
    /// An `http://` or `https://` URL, as given.
    Http(String),
    /// An object of an S3-compatible store.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key, without leading slash.
        key: String,
    },
}

impl Location {
    /// Reads an address as a user or a STAC document gives it.
    pub fn parse(address: &str) -> Result<Self, SourceError> {
        let wrong = |reason: &str| SourceError::Address { address: address.into(), reason: reason.into() };
        match scheme(address) {
            Some("http" | "https") => {
                let authority = address.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
                if authority.is_empty() {
                    return Err(wrong("the URL names no host"));
                }
                Ok(Self::Http(address.split('#').next().unwrap_or(address).replace(' ', "%20")))
            }
            Some("s3") => {
                let (bucket, key) = address.strip_prefix("s3://").and_then(|r| r.split_once('/')).unwrap_or(("", ""));
                if bucket.is_empty() || key.is_empty() {
                    return Err(wrong("expected s3://bucket/key"));
                }
                Ok(Self::S3 { bucket: bucket.into(), key: key.into() })
            }
            Some("file") => {
                let rest = &address["file:".len()..];
                let path = match rest.strip_prefix("//") {
                    Some(with_host) => with_host.strip_prefix("localhost").unwrap_or(with_host),
                    None => rest,
                };
                if !path.starts_with('/') {
                    return Err(wrong("expected file:///absolute/path"));
                }
                percent_decode(path).map(|p| Self::Path(p.into())).ok_or_else(|| wrong("it is not UTF-8 text"))
            }
            Some(other) => Err(wrong(&format!("addresses with `{other}:` are not read; use http, https, s3, file or a path"))),
            None if address.is_empty() => Err(wrong("the address is empty")),
            None => Ok(Self::Path(address.into())),
        }
    }

    /// Resolves an address found in the document at `self`.
    pub fn join(&self, address: &str) -> Result<Self, SourceError> {
        if scheme(address).is_some() {
            return Self::parse(address);
        }
        match self {
            Self::Path(base) => Ok(Self::Path(normalized(&base.parent().unwrap_or(Path::new("")).join(address)))),
            Self::Http(base) => Self::parse(&join_url(base, address)),
            Self::S3 { bucket, key } => Self::parse(&join_url(&format!("s3://{bucket}/{key}"), address)),
        }
    }

    /// The last segment of the path, without query.
    pub fn file_name(&self) -> Option<String> {
        match self {
            Self::Path(path) => path.file_name().map(|n| n.to_string_lossy().into_owned()),
            Self::Http(url) => {
                let path = url.split('?').next()?;
                let name = path.split_once("://")?.1.rsplit_once('/')?.1;
                percent_decode(name).filter(|n| !n.is_empty() && !n.contains('/'))
            }
            Self::S3 { key, .. } => key.rsplit('/').next().filter(|n| !n.is_empty()).map(Into::into),
        }
    }
}

impl fmt::Display for Location {
    /// For messages: without the query of a URL, which may hold a signature, and without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Http(url) => f.write_str(&shown(url)),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// A URL as it may stand in a message.
pub(super) fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or(url);
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => plain.to_owned(),
    }
}

/// The scheme of an absolute address. Single letters are not taken for one, nor are paths that hold a colon.
fn scheme(address: &str) -> Option<&str> {
    let (scheme, _) = address.split_once(':')?;
    let mut chars = scheme.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    (starts && scheme.len() > 1 && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))).then_some(scheme)
}

/// RFC 3986 §5.2 for a reference without scheme.
fn join_url(base: &str, reference: &str) -> String {
    let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
    if let Some(other) = reference.strip_prefix("//") {
        return format!("{scheme}://{other}");
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (reference_path, query) = reference.find(['?', '#']).map_or((reference, ""), |at| reference.split_at(at));
    let merged = if reference_path.starts_with('/') {
        reference_path.to_owned()
    } else if reference_path.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{reference_path}", path.rsplit_once('/').map_or("", |(folder, _)| folder))
    };
    let mut segments: Vec<&str> = Vec::new();
    let last = merged.rsplit('/').next().unwrap_or("");
    for segment in merged.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let slash = if matches!(last, "." | "..") { "/" } else { "" };
    format!("{scheme}://{authority}/{}{slash}{query}", segments.join("/"))
}

/// Takes `.` and `name/..` out of a path by its text alone.
fn normalized(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = || std::str::from_utf8(bytes.get(i + 1..i + 3)?).ok().and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex()) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(base: &str, reference: &str) -> String {
        match Location::parse(base).unwrap().join(reference).unwrap() {
            Location::Http(url) => url,
            Location::Path(path) => path.display().to_string(),
            Location::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
        }
    }

    #[test]
    fn relative_addresses_resolve_against_the_document() {
        let item = "http://h:1/c/items/a?sig=1";
        assert_eq!(join(item, "./b.tif"), "http://h:1/c/items/b.tif");
        assert_eq!(join(item, "../b.tif?x=1"), "http://h:1/c/b.tif?x=1");
        assert_eq!(join(item, "/b.tif"), "http://h:1/b.tif");
        assert_eq!(join(item, "//o/b.tif"), "http://o/b.tif");
        assert_eq!(join(item, "../../../../b.tif"), "http://h:1/b.tif");
        assert_eq!(join(item, "https://o/b"), "https://o/b");
        assert_eq!(join("s3://b/x/y.json", "z.tif"), "s3://b/x/z.tif");
        assert_eq!(join("/x/y/i.json", "../z.tif"), "/x/z.tif");
        assert_eq!(join("file:///x%20y/i.json", "z.tif"), "/x y/z.tif");
        assert_eq!(join("i.json", "./z.tif"), "z.tif");
    }

    #[test]
    fn messages_show_no_signature_and_no_password() {
        let url = Location::parse("https://user:secret@h/a.tif?sig=secret").unwrap();
        assert_eq!(url.to_string(), "https://h/a.tif");
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = Location::parse("gs://b/k").unwrap_err().to_string();
        assert_eq!(error, "gs://b/k: addresses with `gs:` are not read; use http, https, s3, file or a path");
    }
}
