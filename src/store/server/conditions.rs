//! Conditional requests (RFC 9110, section 13.2.2) as S3 answers them.

use std::time::SystemTime;

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::disk::Condition;
use super::object::Attributes;

/// The conditions of a GET or HEAD.
#[derive(Debug, Clone, Default)]
pub struct ReadConditions {
    /// `If-Match`
    pub matches: Option<ETagCondition>,
    /// `If-None-Match`
    pub none_matches: Option<ETagCondition>,
    /// `If-Modified-Since`
    pub modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`
    pub unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// 304 or 412 if the object is not to be sent. The ETag conditions win over the dates.
    pub fn check(&self, attributes: &Attributes) -> S3Result<()> {
        // HTTP dates count whole seconds.
        let modified = attributes.modified / 1000;
        let failed = || s3_error!(PreconditionFailed, "the object is another one");
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) if !matches(condition, attributes) => return Err(failed()),
            (None, Some(since)) if modified > seconds(since) => return Err(failed()),
            _ => {}
        }
        match (&self.none_matches, &self.modified_since) {
            (Some(condition), _) if matches(condition, attributes) => Err(not_modified(attributes)),
            (None, Some(since)) if modified <= seconds(since) => Err(not_modified(attributes)),
            _ => Ok(()),
        }
    }
}

/// The condition of a write. Not both headers at once.
pub fn write(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> S3Result<Condition> {
    Ok(match (if_match, if_none_match) {
        (None, None) => Condition::None,
        (None, Some(ETagCondition::Any)) => Condition::Absent,
        (None, Some(ETagCondition::ETag(etag))) => Condition::NotEtag(etag.into_value()),
        (Some(ETagCondition::Any), None) => Condition::Present,
        (Some(ETagCondition::ETag(etag)), None) => Condition::Etag(etag.into_value()),
        (Some(_), Some(_)) => return Err(s3_error!(InvalidRequest, "If-Match and If-None-Match exclude each other")),
    })
}

fn matches(condition: &ETagCondition, attributes: &Attributes) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == attributes.etag)
}

fn seconds(since: &Timestamp) -> u64 {
    let time: time::OffsetDateTime = since.clone().into();
    SystemTime::from(time).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// 304 names the ETag (RFC 9110, section 15.4.5).
fn not_modified(attributes: &Attributes) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    if let Ok(etag) = format!("\"{}\"", attributes.etag).parse() {
        let mut headers = hyper::HeaderMap::new();
        headers.insert(hyper::header::ETAG, etag);
        error.set_headers(headers);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
    }

    fn etag(value: &str) -> ETagCondition {
        format!("\"{value}\"").parse().unwrap()
    }

    #[test]
    fn etags_win_over_dates() {
        let object = Attributes { etag: "e".into(), modified: 10_500, ..Attributes::default() };
        let code = |conditions: ReadConditions| conditions.check(&object).err().map(|error| error.code().clone());
        let new = ReadConditions::default;
        assert_eq!(code(new()), None);
        assert_eq!(code(ReadConditions { none_matches: Some(etag("e")), ..new() }), Some(S3ErrorCode::NotModified));
        assert_eq!(code(ReadConditions { none_matches: Some(etag("x")), modified_since: Some(at(99)), ..new() }), None);
        assert_eq!(code(ReadConditions { modified_since: Some(at(10)), ..new() }), Some(S3ErrorCode::NotModified));
        assert_eq!(code(ReadConditions { modified_since: Some(at(9)), ..new() }), None);
        assert_eq!(code(ReadConditions { matches: Some(etag("x")), ..new() }), Some(S3ErrorCode::PreconditionFailed));
        assert_eq!(code(ReadConditions { matches: Some(etag("e")), unmodified_since: Some(at(1)), ..new() }), None);
        assert_eq!(
            code(ReadConditions { unmodified_since: Some(at(9)), ..new() }),
            Some(S3ErrorCode::PreconditionFailed)
        );
    }
}
