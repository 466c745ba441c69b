//! A deployed package as it is given back (20-044, `/req/deploy-replace-undeploy/package-response-body`): the very text that
//! was sent or fetched, or another form of it.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use weir_cwl::source::Source;
use weir_cwl::yaml;

use super::content::{APPLICATION_PACKAGE, CWL, CWL_JSON, CWL_YAML};
use crate::backend::Deployed;
use crate::negotiate::{HTML, JSON, choose};
use crate::problem::Problem;

/// The media type in which a package is given to a client that accepts this; 406 if it is none of CWL, CWL in JSON, OGC
/// Application Package, JSON, which is one of these, and a page.
pub fn media_type(deployed: &Deployed, accept: Option<&str>) -> Result<&'static str, Problem> {
    // Whoever takes everything gets what was sent.
    let offered = match &deployed.application_package {
        Some(_) => [APPLICATION_PACKAGE, CWL, CWL_JSON, CWL_YAML, JSON, HTML],
        None => [CWL, CWL_JSON, CWL_YAML, APPLICATION_PACKAGE, JSON, HTML],
    };
    let chosen = choose(accept, &offered).ok_or_else(|| Problem::not_acceptable(&offered))?;
    Ok(offered[chosen])
}

/// The package in that form; of a page, the text that was sent.
pub fn text(deployed: &Deployed, media_type: &str) -> Result<String, Problem> {
    match (media_type, &deployed.application_package) {
        (CWL_JSON, _) | (JSON, None) => in_json(&deployed.cwl),
        // Either can be sent as JSON to deploy it again.
        (APPLICATION_PACKAGE | JSON | HTML, Some(text)) => Ok(text.clone()),
        (APPLICATION_PACKAGE, None) => around(&deployed.cwl),
        _ => Ok(deployed.cwl.clone()),
    }
}

/// A CWL text in JSON; one that is JSON stays as it is.
fn in_json(text: &str) -> Result<String, Problem> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Ok(text.to_owned());
    }
    let source: Arc<Source> = Source::new("package.cwl", text.to_owned());
    let tree = yaml::parse(&source).map_err(|error| Problem::internal(format!("a deployed package: {error}")))?;
    Ok(weir_cwl::json::pretty(&tree.to_value()))
}

/// An OGC Application Package around a CWL text.
fn around(text: &str) -> Result<String, Problem> {
    let document: Json = serde_json::from_str(&in_json(text)?).map_err(Problem::internal)?;
    Ok(json!({"executionUnit": {"value": document, "mediaType": CWL_JSON}}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::PACKAGE;

    fn given(deployed: &Deployed, accept: Option<&str>) -> Result<(&'static str, String), Problem> {
        let media_type = media_type(deployed, accept)?;
        Ok((media_type, text(deployed, media_type)?))
    }

    fn cwl() -> Deployed {
        Deployed { cwl: PACKAGE.to_owned(), ..Deployed::default() }
    }

    #[test]
    fn what_was_deployed_comes_back_byte_by_byte() {
        for accept in [None, Some("*/*"), Some("application/cwl"), Some("text/html;q=0.5, application/cwl")] {
            assert_eq!(given(&cwl(), accept), Ok((CWL, PACKAGE.to_owned())));
        }
        let package = r#"{"executionUnit" : {"href":"https://example.org/a.cwl"}}"#.to_owned();
        let deployed = Deployed { application_package: Some(package.clone()), ..cwl() };
        for accept in [None, Some("*/*"), Some("application/ogcapppkg+json")] {
            assert_eq!(given(&deployed, accept), Ok((APPLICATION_PACKAGE, package.clone())));
        }
        assert_eq!(given(&deployed, Some("application/cwl")).unwrap().1, PACKAGE);
        let json = Deployed { cwl: "{ }".to_owned(), ..cwl() };
        assert_eq!(given(&json, Some("application/cwl+json")), Ok((CWL_JSON, "{ }".to_owned())));
    }

    #[test]
    fn a_browser_gets_a_page_and_nobody_else() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(given(&cwl(), Some(browser)), Ok((HTML, PACKAGE.to_owned())));
        assert_eq!(given(&cwl(), Some("application/cwl+json, text/html;q=0.1")).unwrap().0, CWL_JSON);
    }

    #[test]
    fn other_forms_are_made_of_it() {
        let (_, text) = given(&cwl(), Some("application/cwl+json")).unwrap();
        let document: Json = serde_json::from_str(&text).unwrap();
        assert_eq!((&document["id"], &document["inputs"]["times"]["default"]), (&json!("greet"), &json!(1)));
        let (_, text) = given(&cwl(), Some("application/ogcapppkg+json")).unwrap();
        let package: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(package, json!({"executionUnit": {"value": document, "mediaType": "application/cwl+json"}}));
    }

    #[test]
    fn whoever_takes_json_gets_what_can_be_sent_as_json() {
        let (media_type, text) = given(&cwl(), Some("application/json")).unwrap();
        let document: Json = serde_json::from_str(&text).unwrap();
        assert_eq!((media_type, &document["id"]), (JSON, &json!("greet")));
        let package = r#"{"executionUnit": {"href": "https://example.org/a.cwl"}}"#.to_owned();
        let deployed = Deployed { application_package: Some(package.clone()), ..cwl() };
        assert_eq!(given(&deployed, Some("application/json, text/html;q=0.5")), Ok((JSON, package)));
    }

    #[test]
    fn anything_else_is_not_acceptable() {
        for accept in ["text/plain", "image/png", "application/xml"] {
            assert_eq!(given(&cwl(), Some(accept)).unwrap_err().status, 406, "{accept}");
        }
    }
}
