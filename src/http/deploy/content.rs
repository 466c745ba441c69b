//! What is sent to deploy or replace a process, by its `Content-Type` (20-044, `/req/deploy-replace-undeploy/deploy-content-type`).

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use weir_api::media::essence;

use crate::problem::Problem;

/// CWL in YAML or JSON.
pub const CWL: &str = "application/cwl";
/// CWL in JSON.
pub const CWL_JSON: &str = "application/cwl+json";
/// CWL in YAML, or in JSON, which is YAML as well.
pub const CWL_YAML: &str = "application/cwl+yaml";
/// OGC Application Package.
pub const APPLICATION_PACKAGE: &str = "application/ogcapppkg+json";

/// Media types that can be deployed, as a refusal lists them.
const UNDERSTOOD: [&str; 5] = [CWL, CWL_YAML, CWL_JSON, APPLICATION_PACKAGE, "application/json"];

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A CWL document.
    Cwl,
    /// A CWL document in JSON.
    CwlJson,
    /// An OGC Application Package.
    ApplicationPackage,
    /// JSON: an OGC Application Package, or a CWL document.
    Json,
}

impl Content {
    /// By `Content-Type`; 415 for anything else, a missing one included.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let sent = headers.get(CONTENT_TYPE).map(|sent| String::from_utf8_lossy(sent.as_bytes()).into_owned());
        let named = sent.as_deref().map(essence).unwrap_or_default();
        match named.as_str() {
            CWL_JSON => Ok(Self::CwlJson),
            name if is_cwl(name) => Ok(Self::Cwl),
            APPLICATION_PACKAGE => Ok(Self::ApplicationPackage),
            "application/json" => Ok(Self::Json),
            _ => Err(Problem::unsupported_media_type(sent.as_deref(), &UNDERSTOOD)),
        }
    }
}

/// Whether a media type, in lower case and without parameters, means CWL.
pub fn is_cwl(essence: &str) -> bool {
    matches!(essence, CWL | CWL_JSON | CWL_YAML)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(type_: &str) -> Result<Content, Problem> {
        Content::of(&HeaderMap::from_iter([(CONTENT_TYPE, type_.parse().unwrap())]))
    }

    #[test]
    fn cwl_and_application_packages_are_understood_whatever_their_parameters() {
        for cwl in ["application/cwl", "application/cwl+yaml", "Application/CWL; charset=utf-8"] {
            assert_eq!(content(cwl), Ok(Content::Cwl));
        }
        assert_eq!(content("application/cwl+json"), Ok(Content::CwlJson));
        assert_eq!(content("application/ogcapppkg+json"), Ok(Content::ApplicationPackage));
        assert_eq!(content("application/json;charset=UTF-8"), Ok(Content::Json));
    }

    #[test]
    fn anything_else_is_415_with_the_type_of_part_2() {
        for other in [content("text/plain"), content("application/x-yaml"), Content::of(&HeaderMap::new())] {
            let problem = other.unwrap_err();
            assert_eq!(problem.status, 415);
            assert_eq!(
                problem.type_,
                "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/unsupported-media-type"
            );
        }
    }
}
