//! What a request asks for, read from its method, path and query.

use http::{Method, Uri};

use super::objects::Key;
use super::selector::Selectors;

/// A request as RBAC sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: &'static str,
    /// `pods`, `processjobs/status`.
    pub resource: String,
    /// Empty for all of them and for what has none.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
}

impl Request {
    /// Whether it is of this kind.
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }
}

/// A request in full.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub request: Request,
    pub key: Key,
    pub subresource: Option<String>,
    pub selectors: Selectors,
    query: Vec<(String, String)>,
}

impl Call {
    /// `None` for a path that leads to no resource.
    pub fn parse(method: &Method, uri: &Uri) -> Option<Self> {
        let url = reqwest::Url::parse("http://api").ok()?.join(&uri.to_string()).ok()?;
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut path = url.path_segments()?.map(str::to_owned).filter(|segment| !segment.is_empty());
        let group = match path.next()?.as_str() {
            "api" => String::new(),
            "apis" => path.next()?,
            _ => return None,
        };
        let _version = path.next()?;
        let rest: Vec<String> = path.collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (namespace, rest) = match rest.as_slice() {
            // `namespaces/x` and its subresources are the namespace itself.
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status" | "finalize"]) => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", None),
            [plural, name] => (*plural, *name, None),
            [plural, name, subresource] => (*plural, *name, Some((*subresource).to_owned())),
            _ => return None,
        };
        let given = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let selectors = Selectors::parse(given("labelSelector"), given("fieldSelector"))?;
        let watch = matches!(given("watch"), Some("true" | "1"));
        let verb = match (method, name.is_empty()) {
            (&Method::GET, true) if watch => "watch",
            (&Method::GET, true) => "list",
            (&Method::GET, false) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, false) => "update",
            (&Method::PATCH, false) => "patch",
            (&Method::DELETE, true) => "deletecollection",
            (&Method::DELETE, false) => "delete",
            _ => return None,
        };
        let resource = subresource.iter().fold(plural.to_owned(), |resource, sub| format!("{resource}/{sub}"));
        let request = Request { verb, resource, namespace: namespace.to_owned(), name: name.to_owned() };
        let key = Key { group, plural: plural.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        Some(Self { request, key, subresource, selectors, query })
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is `true`.
    pub fn asks(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }
}
