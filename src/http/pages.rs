//! HTML of every resource: all that the JSON says and every link as an `<a>` (18-062r2, `/req/html/content`). Plain HTML5,
//! readable without JavaScript and without anything from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value as Json;

use crate::problem::Problem;

mod value;

pub use value::value;

const STYLE: &str = include_str!("pages/style.css");

/// A whole page.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: Markup,
}

impl Page {
    /// With this title, which is also its heading.
    pub fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body }
    }

    /// HTML5.
    pub fn into_string(self) -> String {
        let Self { title, body } = self;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        h1 { (title) }
                        (body)
                    }
                }
            }
        }
        .into_string()
    }
}

/// Any document: all of its members.
pub fn document(title: &str, json: &Json) -> Page {
    Page::new(title, value(json))
}

/// A problem.
pub fn problem(problem: &Problem) -> Page {
    document(&problem.title, &problem.document())
}
