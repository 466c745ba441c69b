//! Where things stand in the texts that a package was made of.

use std::fmt;
use std::sync::Arc;

/// One text that was read: a package, an import, an input object.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// What the user would call it: the path as given, or the URL.
    pub name: String,
    /// Its absolute URL without fragment: relative references in the text resolve against it.
    pub url: String,
    /// The text itself, so that a message can show the line.
    pub text: String,
}

/// A place in a [`Source`]. Lines and columns count from 1, in characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The text.
    pub source: Arc<Source>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Length in characters of what the caret line underlines, at least 1.
    pub length: u32,
}

impl Source {
    /// A text with its URL; the name is the path of a `file:` URL, else the URL.
    pub fn new(url: &str, text: String) -> Arc<Self> {
        Self::named(None, url, text)
    }

    /// Like [`Source::new`], with a name of its own.
    pub fn named(name: Option<String>, url: &str, text: String) -> Arc<Self> {
        let name = name.or_else(|| crate::uri::to_path(url)).unwrap_or_else(|| url.to_owned());
        Arc::new(Self { name, url: url.to_owned(), text })
    }
}

impl Span {
    /// The first character of a text.
    pub fn start_of(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), line: 1, column: 1, length: 1 }
    }

    /// The line that the place is in, without its line end.
    pub fn line_text(&self) -> &str {
        self.source.text.lines().nth((self.line as usize).saturating_sub(1)).unwrap_or("")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.name, self.line, self.column)
    }
}

/// Like `Display`: the whole text in every debug print would help nobody.
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
