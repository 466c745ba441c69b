//! What is told of URLs: without queries, in which presigned ones have their signatures, and without passwords. Messages go
//! to status, Kubernetes events and logs, which more people read than the inputs of a job.

/// The same text, the URLs in it cut.
pub fn discreet(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        said.push_str(before);
        let (url, after) = url.split_at(url.find(is_after).unwrap_or(url.len()));
        let (plain, query) = url.split_once('?').map_or((url, ""), |(plain, _)| (plain, "?..."));
        let (host, path) = plain.split_at(plain.find('/').unwrap_or(plain.len()));
        said.push_str(host.rsplit_once('@').map_or(host, |(_, host)| host));
        said.push_str(path);
        said.push_str(query);
        rest = after;
    }
    said.push_str(rest);
    said
}

/// What cannot stand in a URL.
fn is_after(character: char) -> bool {
    character.is_whitespace() || matches!(character, '`' | '"' | '\'' | '<' | '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_passwords_stay_untold() {
        let text = "`https://u:p@s/b/k?X-Amz-Signature=abc` is gone, and http://t/x too: see s3://b/k";
        assert_eq!(discreet(text), "`https://s/b/k?...` is gone, and http://t/x too: see s3://b/k");
        for same in ["", "no URL?", "a://", "ends with https://h/p"] {
            assert_eq!(discreet(same), same);
        }
    }
}
