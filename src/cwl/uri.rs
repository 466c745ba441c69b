//! URI references (RFC 3986), as far as CWL needs them. Paths never pass through a normalising URL type: `a%231.txt`
//! and `colon:test.cwl` stay what they are.

/// Splits off the fragment: `a.cwl#main` is `a.cwl` and `main`.
pub fn split_fragment(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (reference, None),
    }
}

/// Whether a reference names its scheme: `scheme://…`, `file:…` or `data:…`. Anything else with a colon is a path,
/// because file names such as `colon:test.cwl` are common and opaque URIs are not.
pub fn is_absolute(reference: &str) -> bool {
    let Some((scheme, rest)) = reference.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && (rest.starts_with("//") || scheme == "file" || scheme == "data")
}

/// Resolves a reference against an absolute URL (RFC 3986, §5.2). The base's own fragment does not matter.
pub fn join(base: &str, reference: &str) -> String {
    if is_absolute(reference) {
        return reference.to_owned();
    }
    let base = split_fragment(base).0;
    if reference.is_empty() || reference.starts_with('#') {
        return format!("{base}{reference}");
    }
    let authority_at = base.find("://").map_or_else(|| base.find(':').map_or(0, |at| at + 1), |at| at + 3);
    if let Some(rest) = reference.strip_prefix("//") {
        let scheme = base.split(':').next().unwrap_or("file");
        return format!("{scheme}://{rest}");
    }
    let path_at = base[authority_at..].find('/').map_or(base.len(), |at| authority_at + at);
    let (root, base_path) = base.split_at(path_at);
    let base_path = base_path.split('?').next().unwrap_or("");
    let (path, fragment) = split_fragment(reference);
    let merged = if path.starts_with('/') {
        path.to_owned()
    } else {
        let directory = base_path.rfind('/').map_or("/", |at| &base_path[..=at]);
        format!("{directory}{path}")
    };
    let joined = format!("{root}{}", without_dots(&merged));
    fragment.map_or(joined.clone(), |fragment| format!("{joined}#{fragment}"))
}

/// Removes `.` and `..` segments.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." && kept.len() > 1 {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    kept.join("/")
}

/// The characters that a path keeps in a URI (RFC 3986, `pchar` and `/`).
fn stays(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// Percent-encodes a file path as part of a URI.
pub fn encode_path(path: &str) -> String {
    encode(path, stays)
}

/// Percent-encodes what may not stand in a URI reference, leaving `%` and delimiters alone: `my file.txt` becomes
/// `my%20file.txt`, `item%231.txt` stays.
pub fn encode_reference(reference: &str) -> String {
    encode(reference, |byte| stays(byte) || b"%?#[]".contains(&byte))
}

fn encode(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            use std::fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Resolves percent-encoding. What is no valid encoding, or no UTF-8, stays as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// The `file:` URL of an absolute path.
pub fn from_path(path: &str) -> String {
    format!("file://{}", encode_path(path))
}

/// The path of a `file:` URL, percent-encoding resolved; `None` for other schemes.
pub fn to_path(url: &str) -> Option<String> {
    let rest = split_fragment(url).0.strip_prefix("file:")?;
    let path = match rest.strip_prefix("//") {
        Some(after) => &after[after.find('/')?..],
        None => rest,
    };
    path.starts_with('/').then(|| decode(path))
}

/// The last segment of a URL's path, percent-encoding resolved; a trailing slash does not count.
pub fn basename(url: &str) -> String {
    let path = split_fragment(url).0.split('?').next().unwrap_or("");
    decode(path.trim_end_matches('/').rsplit('/').next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_against_the_directory_of_the_base() {
        let base = "file:///data/pkg/main.cwl";
        assert_eq!(join(base, "tool.cwl"), "file:///data/pkg/tool.cwl");
        assert_eq!(join(base, "../a/./b.cwl#x"), "file:///data/a/b.cwl#x");
        assert_eq!(join(base, "/etc/x"), "file:///etc/x");
        assert_eq!(join(base, "#main"), "file:///data/pkg/main.cwl#main");
        assert_eq!(join(base, "https://h/x"), "https://h/x");
        assert_eq!(join("https://h/a/b?q=1", "c"), "https://h/a/c");
        assert_eq!(join("https://h", "c"), "https://h/c");
        assert_eq!(join(base, "../../../.."), "file:///");
    }

    #[test]
    fn a_colon_in_a_file_name_is_no_scheme() {
        assert_eq!(join("file:///t/a.cwl", "colon:test.cwl"), "file:///t/colon:test.cwl");
        assert_eq!(join("file:///t/a.cwl", "A:Gln2Cys/x"), "file:///t/A:Gln2Cys/x");
    }

    #[test]
    fn paths_survive_the_way_to_a_url_and_back() {
        for path in ["/a b/c#1.txt", "/100%/é?.tif", "/colon:x", "/a%23b"] {
            assert_eq!(to_path(&from_path(path)).as_deref(), Some(path));
        }
        assert_eq!(to_path("file:///a/item%231.txt").as_deref(), Some("/a/item#1.txt"));
        assert_eq!(to_path("file:/a/b").as_deref(), Some("/a/b"));
        assert_eq!(to_path("https://h/a"), None);
        assert_eq!(decode("100%+1%4"), "100%+1%4", "no escapes");
        assert_eq!(basename("s3://b/k/item%231.txt"), "item#1.txt");
        assert_eq!(basename("file:///a/dir/"), "dir");
    }
}
