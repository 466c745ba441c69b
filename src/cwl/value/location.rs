//! `file:` URIs and the paths that they name (RFC 3986, RFC 8089).

/// Resolves `%41` in a URI's path. What is no valid escape, or not UTF-8 when decoded, stays as it is.
pub fn percent_decode(text: &str) -> String {
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

/// Escapes a path for use in a `file:` URI: everything but unreserved characters, `/`, and the few that a path segment
/// may hold (RFC 3986, §3.3).
pub fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'=' => encoded.push(char::from(byte)),
            other => {
                encoded.push('%');
                encoded.push(char::from_digit(u32::from(other >> 4), 16).unwrap_or('0').to_ascii_uppercase());
                encoded.push(char::from_digit(u32::from(other & 15), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    encoded
}

/// The path that a `file:` URI names, or a plain absolute path as it is; `None` for other schemes.
pub fn file_path(location: &str) -> Option<String> {
    if location.starts_with('/') {
        return Some(location.to_owned());
    }
    let rest = location.strip_prefix("file:")?;
    let path = rest.strip_prefix("//localhost/").map(|path| format!("/{path}"));
    let path = path.or_else(|| rest.strip_prefix("//").map(str::to_owned)).unwrap_or_else(|| rest.to_owned());
    path.starts_with('/').then(|| percent_decode(&path))
}

/// The `file:` URI of an absolute path.
pub fn file_location(path: &str) -> String {
    format!("file://{}", percent_encode(path))
}
