//! A list in pages: `limit` and `skip` of the query, and the links from page to page.

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use serde_json::Value as Json;

use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::links::Base;
use crate::problem::Problem;

/// The part of a list that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Entries at most, 1 to [`PAGE_MAX`] (18-062r2, `/req/core/pl-limit-definition`).
    pub limit: usize,
    /// Entries of earlier pages.
    pub skip: usize,
    /// The other parameters of the query, for links to other pages.
    others: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Window {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

impl Window {
    /// Of the query of a URI.
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::invalid_parameter("the query", error, "send name=value, percent-encoded"))?;
        let mut window = Self { limit: PAGE_DEFAULT as usize, skip: 0, others: Vec::new() };
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => window.limit = number(&name, &value, 1, PAGE_MAX)?,
                "skip" => window.skip = number(&name, &value, 0, u32::MAX)?,
                _ => window.others.push((name, value)),
            }
        }
        Ok(window)
    }

    /// The entries of this page, and whether there are more.
    pub fn cut<T>(&self, all: impl IntoIterator<Item = T>) -> (Vec<T>, bool) {
        let mut rest = all.into_iter().skip(self.skip);
        let page = rest.by_ref().take(self.limit).collect();
        (page, rest.next().is_some())
    }

    /// `self`, `alternate`, `next` and `prev` of this page of the list at `path`.
    pub fn links(&self, base: &Base, path: &str, has_more: bool) -> Vec<Json> {
        let asked = (self.limit, self.skip);
        let page = |(limit, skip): (usize, usize), format: Option<&str>| self.path(path, limit, skip, format);
        let mut links = vec![
            base.link(&page(asked, None), "self", "application/json", "This page"),
            base.link(&page(asked, Some("html")), "alternate", "text/html", "This page as HTML"),
        ];
        if has_more {
            let next = (self.limit, self.skip.saturating_add(self.limit));
            links.push(base.link(&page(next, None), "next", "application/json", "Next page"));
        }
        if self.skip > 0 {
            let previous = (self.limit, self.skip.saturating_sub(self.limit));
            links.push(base.link(&page(previous, None), "prev", "application/json", "Previous page"));
        }
        links
    }

    /// The path of a page with its query; defaults are not said.
    fn path(&self, path: &str, limit: usize, skip: usize, format: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.others.iter().filter(|(name, _)| name != "f") {
            query.append_pair(name, value);
        }
        if limit != PAGE_DEFAULT as usize {
            query.append_pair("limit", &limit.to_string());
        }
        if skip > 0 {
            query.append_pair("skip", &skip.to_string());
        }
        if let Some(format) = format {
            query.append_pair("f", format);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

fn number(name: &str, value: &str, min: u32, max: u32) -> Result<usize, Problem> {
    match value.parse::<u32>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number as usize),
        _ => {
            let value: String = value.chars().take(40).collect();
            let right = format_args!("write a whole number from {min} to {max}");
            Err(Problem::invalid_parameter(name, format_args!("`{value}`"), right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> Result<Window, Problem> {
        Window::of(&format!("/jobs?{query}").parse().unwrap())
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused() {
        for query in ["limit=0", "limit=-1", "limit=10001", "limit=x", "limit=", "limit=1.5", "skip=-1"] {
            assert!(window(query).is_err(), "{query}");
        }
        assert_eq!(window("limit=10000").unwrap().limit, 10_000);
        assert_eq!(window("").unwrap().limit, 10);
    }

    #[test]
    fn links_lead_from_page_to_page_and_keep_the_filters() {
        let base = Base::new(&"http://h".parse().unwrap(), &"acme".parse().unwrap());
        let window = window("status=failed&limit=2&f=html&type=a%26b&skip=3").unwrap();
        let links: Vec<String> = window
            .links(&base, "jobs", true)
            .iter()
            .map(|link| format!("{} {}", link["rel"].as_str().unwrap(), link["href"].as_str().unwrap()))
            .collect();
        insta::assert_snapshot!(links.join("\n"), @r"
        self http://h/acme/ogc-api/jobs?status=failed&type=a%26b&limit=2&skip=3
        alternate http://h/acme/ogc-api/jobs?status=failed&type=a%26b&limit=2&skip=3&f=html
        next http://h/acme/ogc-api/jobs?status=failed&type=a%26b&limit=2&skip=5
        prev http://h/acme/ogc-api/jobs?status=failed&type=a%26b&limit=2&skip=1
        ");
    }

    #[test]
    fn a_page_knows_whether_there_are_more() {
        assert_eq!(window("limit=2&skip=1").unwrap().cut(0..4), (vec![1, 2], true));
        assert_eq!(window("limit=2&skip=2").unwrap().cut(0..4), (vec![2, 3], false));
        assert_eq!(window("skip=9").unwrap().cut(0..4), (vec![], false));
    }
}
