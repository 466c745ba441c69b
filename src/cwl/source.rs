//! Where things stand in the texts that a package was made of.

use std::sync::Arc;

/// One text that was read: a package, an import, an input object.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// What the user would call it: the path as given, or the URL.
    pub name: String,
    /// The text itself, so that a message can show the line.
    pub text: String,
}

/// A place in a [`Source`]. Lines and columns count from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
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
