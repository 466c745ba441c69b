//! Messages about a document: what is wrong, where, and what would be right.

use std::fmt;

use crate::limits::{LINE_SHOWN_MAX, MESSAGES_MAX};
use crate::source::Span;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Whether it refuses the document.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where, if a place can be named.
    pub span: Option<Span>,
    /// What would be right.
    pub help: Option<String>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// The document is used; part of it is ignored or doubtful.
    Warning,
}

/// Several messages, in the order they were found. As an error type it holds at least one error.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: &Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span: Some(span.clone()), help: None }
    }

    /// A warning at a place.
    pub fn warning(span: &Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// An error that belongs to no place in a text.
    pub fn general(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span: None, help: None }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Diagnostics {
    /// Adds a message. One that already stands there (a fragment imported twice) is not repeated, and after
    /// [`MESSAGES_MAX`] only a first error is added.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let is_first_error = diagnostic.severity == Severity::Error && !self.has_errors();
        if (self.0.len() < MESSAGES_MAX || is_first_error) && !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }

    /// Orders the messages as the places stand in their texts, text by text.
    pub fn sort(&mut self) {
        let mut urls: Vec<String> = Vec::new();
        for span in self.0.iter().filter_map(|diagnostic| diagnostic.span.as_ref()) {
            if !urls.contains(&span.source.url) {
                urls.push(span.source.url.clone());
            }
        }
        self.0.sort_by_key(|diagnostic| {
            let place = |span: &Span| (urls.iter().position(|url| *url == span.source.url), span.line, span.column);
            diagnostic.span.as_ref().map(place)
        });
    }

    /// Whether any of the messages is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{span}: ")?;
        }
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}", self.message)?;
        if let Some(span) = &self.span {
            write_excerpt(f, span)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// The line and, below it, carets under the place.
fn write_excerpt(f: &mut fmt::Formatter<'_>, span: &Span) -> fmt::Result {
    let column = (span.column as usize).saturating_sub(1);
    let line = span.line_text();
    if line.trim().is_empty() || column >= LINE_SHOWN_MAX {
        return Ok(());
    }
    let shown: String = line.chars().take(LINE_SHOWN_MAX).collect();
    let room = shown.chars().count().saturating_sub(column).max(1);
    let carets = (span.length as usize).clamp(1, room);
    // Tabs stay tabs, so that the carets stand below what they mean.
    let indent: String = shown.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let number = span.line.to_string();
    let gutter = " ".repeat(number.len());
    write!(f, "\n {number} | {shown}\n {gutter} | {indent}{}", "^".repeat(carets))
}
