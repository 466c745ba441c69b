//! Expressions as parsed templates (CWL v1.2 Command Line Tool Description, §5.2 "Expressions").
//!
//! A string that may hold expressions is parsed once, at load, into a [`Template`]. Parameter references are evaluated
//! natively and strictly; everything else is a [`Script`] and goes to an `Evaluate`.

use std::fmt;

use crate::value::Value;

mod evaluate;
mod parse;

pub use evaluate::{EvaluationError, FromValue};

/// Either a plain value or something to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub enum Computed<T> {
    /// Written out in the document.
    Literal(T),
    /// To be evaluated; the result is then parsed as a `T`.
    Expression(Template),
}

/// A string with zero or more expressions in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// As written, for messages.
    pub source: String,
    /// A single expression without text around it yields its own value; anything else is a string.
    pub parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Literal text, escapes resolved by the rules of the document's CWL version.
    Text(String),
    /// `$(inputs.a.b[0])`
    Reference(Reference),
    /// Needs JavaScript.
    Script(Script),
}

/// A parameter reference: a root and a path of members and indices.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// `inputs`, `self`, `runtime` or `null`.
    pub root: Root,
    /// What follows it.
    pub path: Vec<Accessor>,
}

/// What a parameter reference starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The input object.
    Inputs,
    /// The context value.
    Self_,
    /// Cores, ram, outdir, tmpdir, outdirSize, tmpdirSize (and exitCode in `outputEval`).
    Runtime,
    /// `$(null)`
    Null,
}

/// One step of a parameter reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Accessor {
    /// `.name`, `['name']`, `["name"]`
    Member(String),
    /// `[3]`
    Index(usize),
}

/// JavaScript to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// How the text is to be read.
    pub kind: ScriptKind,
    /// The text between the parentheses or braces.
    pub source: String,
}

/// The two forms of JavaScript in CWL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// `$(…)`: an expression.
    Expression,
    /// `${…}`: a function body.
    Body,
}

/// What an expression can see.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// `inputs`
    pub inputs: &'a Value,
    /// `self`
    pub self_: &'a Value,
    /// `runtime`
    pub runtime: &'a Value,
    /// Texts of `expressionLib`; `None` where `InlineJavascriptRequirement` is absent, so that scripts are refused.
    pub library: Option<&'a [String]>,
}

/// Evaluates what needs JavaScript. Implemented by the edges (a worker process, a test double).
pub trait Evaluate {
    /// The script's value, or a message with its line and column.
    fn evaluate(&mut self, script: &Script, context: &Context<'_>) -> Result<Value, String>;
}

/// A text that is no valid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

/// An [`Evaluate`] for places where no JavaScript can run: every script is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoScripts;

impl Evaluate for NoScripts {
    fn evaluate(&mut self, _: &Script, _: &Context<'_>) -> Result<Value, String> {
        Err("JavaScript cannot be evaluated here".to_owned())
    }
}

impl Template {
    /// A text without expressions.
    pub fn literal(text: impl Into<String>) -> Self {
        let source = text.into();
        Self { parts: vec![Part::Text(source.clone())], source }
    }

    /// The text, if there is no expression in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a part needs JavaScript.
    pub fn needs_script(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Script(_)))
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inputs => "inputs",
            Self::Self_ => "self",
            Self::Runtime => "runtime",
            Self::Null => "null",
        })
    }
}

/// As written between the parentheses; also valid JavaScript.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        for accessor in &self.path {
            match accessor {
                Accessor::Index(index) => write!(f, "[{index}]")?,
                Accessor::Member(name) if parse::is_symbol(name) => write!(f, ".{name}")?,
                Accessor::Member(name) => write!(f, "[{}]", crate::json::compact(&name.as_str().into()))?,
            }
        }
        Ok(())
    }
}
