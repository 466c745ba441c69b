//! `data:` URLs (RFC 2397): files whose bytes stand in the request itself.

/// Whether a location is one.
pub fn is_data_url(location: &str) -> bool {
    location.starts_with("data:")
}

/// Its bytes: `data:[type][;base64],…`. `None`: it is none, or no base64 (RFC 4648 §4; padding may lack).
pub fn decode(url: &str) -> Option<Vec<u8>> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    if head.ends_with(";base64") { base64(data) } else { percent_encoded(data) }
}

/// The bytes of a file that lies nowhere: those of its data URL, or its text.
pub fn literal_bytes(location: Option<&str>, contents: Option<&str>) -> Option<Vec<u8>> {
    match location {
        Some(url) => decode(url),
        None => Some(contents.unwrap_or_default().as_bytes().to_vec()),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &letter in group {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        match group.len() {
            4 => bytes.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => bytes.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
            2 => bytes.push((bits >> 4).to_be_bytes()[3]),
            _ => return None,
        }
    }
    Some(bytes)
}

fn percent_encoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_as_base64_or_percent_encoded() {
        // RFC 4648 §10
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(decode(&format!("data:text/plain;base64,{text}")).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("data:;base64,/+8="), Some(vec![0xff, 0xef]));
        assert_eq!(decode("data:,a%20b%2Cc").as_deref(), Some(&b"a b,c"[..]));
        for bad in ["data:;base64,A", "data:;base64,Zm9v!", "data:,%4", "data:,%zz", "data:text", "https://h/a,b"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
