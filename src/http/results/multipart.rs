//! `multipart/related` (RFC 2387): several values in one answer, as they come.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::backend::{BackendError, ByteStream};

/// A part.
pub struct Part {
    /// The output's id: `Content-ID`.
    pub name: String,
    /// `Content-Type`
    pub media_type: String,
    /// `Content-Location`: where the value is, if it is not here.
    pub location: Option<String>,
    /// The value.
    pub body: ByteStream,
}

/// All parts in their order; the first is the root. The boundary must be in none of them.
pub fn answer(boundary: &str, parts: Vec<Part>) -> Response {
    let root = parts.first().map_or("text/plain", |part| part.media_type.as_str());
    let root = root.split(';').next().unwrap_or_default().trim();
    let content_type = format!("multipart/related; type=\"{root}\"; boundary=\"{boundary}\"");
    let boundary = boundary.to_owned();
    let end = format!("--{boundary}--\r\n");
    let pieces = stream::iter(parts).flat_map(move |part| {
        let head = text(head(&boundary, &part));
        head.chain(part.body).chain(text("\r\n".to_owned()))
    });
    let body = Body::from_stream(pieces.chain(text(end)));
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

/// `Content-ID` is the bare id, as `/req/core/process-execute-sync-raw-value-multi` wants it.
fn head(boundary: &str, part: &Part) -> String {
    let mut head =
        format!("--{boundary}\r\nContent-Type: {}\r\nContent-ID: {}\r\n", part.media_type, plain(&part.name));
    if let Some(location) = &part.location {
        head.push_str("Content-Location: ");
        head.push_str(location);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

/// A name without what would end a header or a quoted text.
pub fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\') || !c.is_ascii() { '_' } else { c }).collect()
}

fn text(text: String) -> stream::BoxStream<'static, Result<Bytes, BackendError>> {
    stream::iter([Ok(Bytes::from(text))]).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_follow_each_other_with_their_ids() {
        let part = |name: &str, media_type: &str, location: Option<&str>, body: &str| Part {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            location: location.map(str::to_owned),
            body: text(body.to_owned()),
        };
        let parts = vec![
            part("echo\r\nInput", "text/plain; charset=utf-8", None, "teststring"),
            part("table", "text/csv", Some("http://h/jobs/1/results/table"), ""),
        ];
        let answer = answer("b", parts);
        assert_eq!(answer.headers()[CONTENT_TYPE], "multipart/related; type=\"text/plain\"; boundary=\"b\"");
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        insta::assert_snapshot!(String::from_utf8(body.to_vec()).unwrap().replace('\r', ""), @"
        --b
        Content-Type: text/plain; charset=utf-8
        Content-ID: echo__Input

        teststring
        --b
        Content-Type: text/csv
        Content-ID: table
        Content-Location: http://h/jobs/1/results/table


        --b--
        ");
    }
}
