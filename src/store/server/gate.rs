//! What is refused before the protocol crate sees it, because that accepts more than AWS does.

use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, header};

/// A presigned URL lasts this long at most, in seconds (SigV4: seven days).
const EXPIRES_SECONDS: u32 = 7 * 24 * 3600;

/// A request that is refused: S3 error code, HTTP status, message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str, pub u16, pub &'static str);

/// Refuses old signatures, form uploads, presigned URLs that last too long, and `x-amz-*` headers that are not signed:
/// with one of those the holder of a presigned PUT could turn it into a copy of somebody else's object.
pub fn check(request: &Parts) -> Result<(), Refusal> {
    let query = query(request.uri.query().unwrap_or_default());
    let get = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let form = header(&request.headers, "content-type").to_ascii_lowercase().starts_with("multipart/");
    if request.method == Method::POST && form {
        return Err(Refusal("NotImplemented", 501, "uploads by HTML forms are not supported"));
    }
    let authorization = header(&request.headers, header::AUTHORIZATION.as_str());
    if authorization.starts_with("AWS ") || get("AWSAccessKeyId").is_some() || get("Signature").is_some() {
        return Err(Refusal("InvalidRequest", 400, "signature version 2 is not supported: use AWS4-HMAC-SHA256"));
    }
    let (signed, presigned) = if let Some(signed) = get("X-Amz-SignedHeaders") {
        (signed, true)
    } else if let Some((_, rest)) = authorization.split_once("SignedHeaders=") {
        (rest.split([',', ' ']).next().unwrap_or_default(), false)
    } else {
        // Not signed: refused later, with the right words.
        return Ok(());
    };
    if presigned && get("X-Amz-Expires").is_none_or(|text| text.parse::<u32>().is_ok_and(|s| s > EXPIRES_SECONDS)) {
        return Err(Refusal("AuthorizationQueryParametersError", 400, "X-Amz-Expires must be 604800 seconds or less"));
    }
    let signed: Vec<&str> = signed.split(';').collect();
    if !signed.contains(&"host") {
        return Err(Refusal("AccessDenied", 403, "the host header must be signed"));
    }
    let unsigned = request.headers.keys().map(header::HeaderName::as_str).any(|name| {
        // The body's digest can only narrow what a presigned URL allows.
        name.starts_with("x-amz-") && !signed.contains(&name) && !(presigned && name == "x-amz-content-sha256")
    });
    if unsigned {
        return Err(Refusal("AccessDenied", 403, "there were x-amz- headers in the request which were not signed"));
    }
    Ok(())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((byte, tail)) = rest.split_first() {
            let escaped = (*byte == b'%')
                .then(|| tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()))
                .flatten()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
            rest = if escaped.is_some() { &tail[2..] } else { tail };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    text.split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0).err().map(|refusal| refusal.0)
    }

    #[test]
    fn an_unsigned_copy_source_does_not_turn_a_presigned_put_into_a_copy() {
        let uri = "/b/k?X-Amz-SignedHeaders=host%3Bif-none-match&X-Amz-Expires=60&X-Amz-Signature=0";
        assert_eq!(refused("PUT", uri, &[("if-none-match", "*")]), None);
        assert_eq!(refused("PUT", uri, &[("x-amz-copy-source", "b/other")]), Some("AccessDenied"));
        assert_eq!(refused("PUT", uri, &[("x-amz-meta-a", "b")]), Some("AccessDenied"));
        let signed = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host;x-amz-date, Signature=0";
        let headers = [("authorization", signed), ("x-amz-date", "d")];
        assert_eq!(refused("PUT", "/b/k", &headers), None);
        assert_eq!(refused("PUT", "/b/k", &[headers[0], ("x-amz-copy-source", "b/o")]), Some("AccessDenied"));
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        let long = "/b/k?X-Amz-SignedHeaders=host&X-Amz-Expires=604801&X-Amz-Signature=0";
        assert_eq!(refused("GET", long, &[]), Some("AuthorizationQueryParametersError"));
        assert_eq!(refused("GET", "/b/k", &[("authorization", "AWS a:b")]), Some("InvalidRequest"));
        assert_eq!(refused("GET", "/b/k?AWSAccessKeyId=a&Signature=b", &[]), Some("InvalidRequest"));
        assert_eq!(
            refused("POST", "/b", &[("content-type", "Multipart/form-data; boundary=x")]),
            Some("NotImplemented")
        );
        assert_eq!(refused("GET", "/b/k", &[]), None);
    }
}
