//! The value of a [`Template`] (CWL v1.2 Command Line Tool Description, §3.4 "Parameter references").

use super::{Accessor, Computed, Context, Evaluate, Part, Reference, Root, Script, ScriptKind, Template};
use crate::json;
use crate::value::{Directory, Entry, File, Number, Value, object};

/// An expression without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A member that is not there.
    #[error("`$({reference})`: {parent} has no `{member}`{}", list("it has ", members))]
    MissingMember {
        /// The whole reference.
        reference: String,
        /// What was looked into, as a reference.
        parent: String,
        /// The member.
        member: String,
        /// Those that exist.
        members: Vec<String>,
    },
    /// A member of something that has none.
    #[error("`$({reference})`: {parent} is {found}, which has no `{member}`")]
    NoMembers {
        /// The whole reference.
        reference: String,
        /// What was looked into, as a reference.
        parent: String,
        /// What it is.
        found: &'static str,
        /// The member or index.
        member: String,
    },
    /// An index beyond the end.
    #[error("`$({reference})`: {parent} has {length} elements, index {index} is beyond them")]
    OutOfRange {
        /// The whole reference.
        reference: String,
        /// What was looked into, as a reference.
        parent: String,
        /// The index.
        index: usize,
        /// How many there are.
        length: usize,
    },
    /// JavaScript without the requirement.
    #[error("`{expression}` is JavaScript, not a parameter reference, and InlineJavascriptRequirement is missing")]
    NoJavascript {
        /// As written.
        expression: String,
    },
    /// The script failed.
    #[error("`{expression}`: {message}")]
    Script {
        /// As written, shortened.
        expression: String,
        /// What the evaluator says.
        message: String,
    },
    /// The value is of the wrong type.
    #[error("`{expression}` gave {found} where {expected} is needed")]
    WrongType {
        /// As written, shortened.
        expression: String,
        /// What is needed.
        expected: &'static str,
        /// What it gave.
        found: String,
    },
}

fn list(intro: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => {
            let shown: Vec<_> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            format!("; {intro}{}{more}", shown.join(", "))
        }
    }
}

/// An expression on one line, shortened for a message.
fn shown(source: &str) -> String {
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(80).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

impl Template {
    /// The value. A single expression with nothing but white space around it yields its own value; otherwise the parts
    /// are joined to a string, white space at both ends removed (as the reference implementation does). A text without
    /// expressions is itself.
    pub fn evaluate(&self, context: &Context<'_>, scripts: &mut dyn Evaluate) -> Result<Value, EvaluationError> {
        let mut parts = self.parts.as_slice();
        if self.as_literal().is_some() {
            return Ok(Value::String(self.as_literal().unwrap_or_default().to_owned()));
        }
        let is_space = |part: &Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        while let Some((_, rest)) = parts.split_first().filter(|(first, _)| is_space(first)) {
            parts = rest;
        }
        while let Some((_, rest)) = parts.split_last().filter(|(last, _)| is_space(last)) {
            parts = rest;
        }
        if let [single] = parts {
            return part_value(single, context, scripts);
        }
        let last = parts.len().saturating_sub(1);
        let mut joined = String::new();
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) if at == 0 => joined.push_str(text.trim_start()),
                Part::Text(text) if at == last => joined.push_str(text.trim_end()),
                _ => joined.push_str(&interpolated(&part_value(part, context, scripts)?)),
            }
        }
        Ok(Value::String(joined))
    }

    /// The value with white space kept: the content of a file (CWL v1.2, "Dirent", `entry`). An expression that is
    /// followed by a line end is then text.
    pub fn evaluate_verbatim(
        &self,
        context: &Context<'_>,
        scripts: &mut dyn Evaluate,
    ) -> Result<Value, EvaluationError> {
        if let [single @ (Part::Reference(_) | Part::Script(_))] = self.parts.as_slice() {
            return part_value(single, context, scripts);
        }
        let mut joined = String::new();
        for part in &self.parts {
            joined.push_str(&interpolated(&part_value(part, context, scripts)?));
        }
        Ok(Value::String(joined))
    }

    /// The value, which must be a string; null is `None`.
    pub fn evaluate_text(
        &self,
        context: &Context<'_>,
        scripts: &mut dyn Evaluate,
    ) -> Result<Option<String>, EvaluationError> {
        match self.evaluate(context, scripts)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(self.wrong_type("a string", &other)),
        }
    }

    pub(crate) fn wrong_type(&self, expected: &'static str, found: &Value) -> EvaluationError {
        EvaluationError::WrongType { expression: shown(&self.source), expected, found: described(found) }
    }
}

fn part_value(part: &Part, context: &Context<'_>, scripts: &mut dyn Evaluate) -> Result<Value, EvaluationError> {
    match part {
        Part::Text(text) => Ok(Value::String(text.clone())),
        Part::Reference(reference) => match reference.resolve(context) {
            Ok(value) => Ok(value),
            // Where JavaScript is allowed a parameter reference is JavaScript too: `$(inputs.text.length)`.
            Err(_) if context.library.is_some() => {
                let script = Script { kind: ScriptKind::Expression, source: reference.to_string() };
                script_value(&script, context, scripts)
            }
            Err(error) => Err(error),
        },
        Part::Script(script) => script_value(script, context, scripts),
    }
}

fn script_value(script: &Script, context: &Context<'_>, scripts: &mut dyn Evaluate) -> Result<Value, EvaluationError> {
    let expression = match script.kind {
        ScriptKind::Expression => shown(&format!("$({})", script.source)),
        ScriptKind::Body => shown(&format!("${{{}}}", script.source)),
    };
    if context.library.is_none() {
        return Err(EvaluationError::NoJavascript { expression });
    }
    let value = scripts
        .evaluate(script, context)
        .map_err(|message| EvaluationError::Script { expression: expression.clone(), message })?;
    value.recognise().map_err(|error| EvaluationError::Script { expression, message: error.to_string() })
}

/// A value in a message: its type, and itself where it is short.
fn described(value: &Value) -> String {
    let text = json::compact(value);
    if text.len() <= 60 && !value.is_null() {
        format!("{} {text}", value.type_name())
    } else {
        value.type_name().to_owned()
    }
}

/// A value inside a longer string: JSON, members sorted, strings without quotes.
fn interpolated(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_decimal(),
        other => json::python(&other.for_expressions()),
    }
}

impl Reference {
    /// Follows the path strictly.
    fn resolve(&self, context: &Context<'_>) -> Result<Value, EvaluationError> {
        let root = match self.root {
            Root::Inputs => context.inputs,
            Root::Self_ => context.self_,
            Root::Runtime => context.runtime,
            Root::Null => &Value::Null,
        };
        // Only what is reached through a derived member or `length` is owned; the way there is borrowed.
        let mut current = std::borrow::Cow::Borrowed(root);
        for (at, accessor) in self.path.iter().enumerate() {
            let is_last = at + 1 == self.path.len();
            let next = match &current {
                std::borrow::Cow::Borrowed(value) => self.step(value, accessor, at, is_last)?,
                std::borrow::Cow::Owned(value) => {
                    std::borrow::Cow::Owned(self.step(value, accessor, at, is_last)?.into_owned())
                }
            };
            current = next;
        }
        Ok(current.into_owned())
    }

    fn step<'v>(
        &self,
        value: &'v Value,
        accessor: &Accessor,
        at: usize,
        is_last: bool,
    ) -> Result<std::borrow::Cow<'v, Value>, EvaluationError> {
        use std::borrow::Cow;
        let reference = || self.to_string();
        let parent = || format!("`{}`", Self { root: self.root, path: self.path[..at].to_vec() });
        match (accessor, value) {
            (Accessor::Member(name), Value::Record(record)) => match record.get(name) {
                Some(member) => Ok(Cow::Borrowed(member)),
                None => Err(EvaluationError::MissingMember {
                    reference: reference(),
                    parent: parent(),
                    member: name.clone(),
                    members: record.keys().cloned().collect(),
                }),
            },
            (Accessor::Member(name), Value::File(_) | Value::Directory(_)) => {
                let found = match value {
                    Value::File(file) => file_member(file, name),
                    Value::Directory(directory) => directory_member(directory, name),
                    _ => None,
                };
                found.map(Cow::Owned).ok_or_else(|| EvaluationError::MissingMember {
                    reference: reference(),
                    parent: parent(),
                    member: name.clone(),
                    members: match value.for_expressions() {
                        Value::Record(object) => object.keys().cloned().collect(),
                        _ => Vec::new(),
                    },
                })
            }
            (Accessor::Member(name), Value::Array(items)) if name == "length" && is_last => {
                Ok(Cow::Owned(Value::from(items.len() as u64)))
            }
            (Accessor::Index(index), Value::Array(items)) => {
                items.get(*index).map(Cow::Borrowed).ok_or_else(|| EvaluationError::OutOfRange {
                    reference: reference(),
                    parent: parent(),
                    index: *index,
                    length: items.len(),
                })
            }
            (Accessor::Index(index), Value::String(text)) => {
                text.chars().nth(*index).map(|c| Cow::Owned(Value::String(c.to_string()))).ok_or_else(|| {
                    EvaluationError::OutOfRange {
                        reference: reference(),
                        parent: parent(),
                        index: *index,
                        length: text.chars().count(),
                    }
                })
            }
            (accessor, other) => Err(EvaluationError::NoMembers {
                reference: reference(),
                parent: parent(),
                found: other.type_name(),
                member: match accessor {
                    Accessor::Member(name) => name.clone(),
                    Accessor::Index(index) => format!("[{index}]"),
                },
            }),
        }
    }
}

fn file_member(file: &File, name: &str) -> Option<Value> {
    let text = |field: &Option<String>| field.clone().map(Value::String);
    match name {
        "class" => Some("File".into()),
        "location" => text(&file.location),
        "path" => text(&file.path),
        "basename" => file.name().map(Value::String),
        "nameroot" => file.name().map(|name| object::split_name(&name).0.into()),
        "nameext" => file.name().map(|name| object::split_name(&name).1.into()),
        "dirname" => file.path.as_deref().map(|path| object::parent_path(path).into()),
        "size" => file.size.map(Value::from),
        "checksum" => text(&file.checksum),
        "format" => text(&file.format),
        "contents" => text(&file.contents),
        "secondaryFiles" if !file.secondary_files.is_empty() => Some(entries(&file.secondary_files)),
        _ => file.extra.get(name).cloned(),
    }
}

fn directory_member(directory: &Directory, name: &str) -> Option<Value> {
    match name {
        "class" => Some("Directory".into()),
        "location" => directory.location.clone().map(Value::String),
        "path" => directory.path.clone().map(Value::String),
        "basename" => directory.name().map(Value::String),
        "listing" => directory.listing.as_deref().map(entries),
        _ => directory.extra.get(name).cloned(),
    }
}

fn entries(list: &[Entry]) -> Value {
    Value::Array(list.iter().cloned().map(Value::from).collect())
}

/// What a [`Computed`] can be evaluated to.
pub trait FromValue: Sized {
    /// In words, for messages.
    const EXPECTED: &'static str;
    /// The value, if it is one of this type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for bool {
    const EXPECTED: &'static str = "a boolean";
    fn from_value(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a number";
    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "an integer";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(Number::Int(value)) => Some(*value),
            // JavaScript knows no integers; a whole float is one (up to 2^53, where floats are exact).
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
            Value::Number(Number::Float(value)) if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => {
                Some(*value as i64)
            }
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a string";
    fn from_value(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl<T: FromValue + Clone> Computed<T> {
    /// The value; `None` if an expression gave null.
    pub fn evaluate(&self, context: &Context<'_>, scripts: &mut dyn Evaluate) -> Result<Option<T>, EvaluationError> {
        match self {
            Self::Literal(value) => Ok(Some(value.clone())),
            Self::Expression(template) => match template.evaluate(context, scripts)? {
                Value::Null => Ok(None),
                value => T::from_value(&value).map(Some).ok_or_else(|| template.wrong_type(T::EXPECTED, &value)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Scripts, template, value};

    const INPUTS: &str = r#"{"n": 5, "x": 0.5, "text": "ab\"c", "list": [1, [2]], "object": {"b": null, "a": [1.0, "z"]},
        "length": 7, "own": {"length": 3}, "odd name": {"it's": true},
        "file": {"class": "File", "location": "file:///d/a.tar.gz", "path": "/in/a.tar.gz", "size": 9}}"#;

    fn evaluated(source: &str, library: Option<&[String]>) -> Result<Value, String> {
        let inputs = value(INPUTS);
        let runtime = value(r#"{"cores": 2}"#);
        let context = Context { inputs: &inputs, self_: &Value::Null, runtime: &runtime, library };
        let mut scripts = Scripts(vec![("inputs.text.length", "4"), ("1 + 1", "2"), ("return null", "null")]);
        template(source).evaluate(&context, &mut scripts).map_err(|error| error.to_string())
    }

    fn strictly(source: &str) -> Result<Value, String> {
        evaluated(source, None)
    }

    #[test]
    fn a_lone_reference_keeps_its_type() {
        assert_eq!(strictly("$(inputs.n)"), Ok(Value::from(5)));
        assert_eq!(strictly(" $(inputs.list[1][0]) \n"), Ok(Value::from(2)));
        assert_eq!(strictly("$(null)"), Ok(Value::Null));
        assert_eq!(strictly("$(inputs['odd name']['it\\'s'])"), Ok(true.into()));
        assert_eq!(strictly("$(inputs)"), Ok(value(INPUTS)));
        assert_eq!(strictly("$(inputs.text[1])"), Ok("b".into()));
    }

    #[test]
    fn text_around_references_makes_a_string() {
        assert_eq!(strictly("-$(inputs.n)"), Ok("-5".into()));
        assert_eq!(strictly("  $(inputs.text) $(inputs.x)\n"), Ok("ab\"c 0.5".into()));
        assert_eq!(
            strictly("$(inputs.object)$(null)$(runtime.cores)"),
            Ok(r#"{"a": [1.0, "z"], "b": null}null2"#.into())
        );
        assert_eq!(strictly("  as it is \n"), Ok("  as it is \n".into()));
    }

    #[test]
    fn derived_members_of_files_are_computed() {
        for (member, expected) in
            [("basename", "a.tar.gz"), ("nameroot", "a.tar"), ("nameext", ".gz"), ("dirname", "/in"), ("class", "File")]
        {
            assert_eq!(strictly(&format!("$(inputs.file.{member})")), Ok(expected.into()));
        }
        assert_eq!(strictly("$(inputs.file.size)"), Ok(Value::from(9)));
    }

    #[test]
    fn length_is_of_arrays_only_and_a_member_of_that_name_wins() {
        assert_eq!(strictly("$(inputs.list.length)"), Ok(Value::from(2)));
        assert_eq!(strictly("$(inputs.length)"), Ok(Value::from(7)));
        assert_eq!(strictly("$(inputs.own.length)"), Ok(Value::from(3)));
        insta::assert_snapshot!(strictly("$(inputs.text.length)").unwrap_err(), @"`$(inputs.text.length)`: `inputs.text` is string, which has no `length`");
        assert!(strictly("$(inputs.list.length.x)").is_err());
        assert_eq!(
            evaluated("$(inputs.text.length)", Some(&[])),
            Ok(Value::from(4)),
            "with JavaScript it is JavaScript"
        );
    }

    #[test]
    fn errors_name_the_reference_and_what_there_is() {
        let error = |source: &str| strictly(source).unwrap_err();
        insta::assert_snapshot!(error("$(inputs.own.lenght)"), @"`$(inputs.own.lenght)`: `inputs.own` has no `lenght`; it has `length`");
        insta::assert_snapshot!(error("$(inputs.list[2])"), @"`$(inputs.list[2])`: `inputs.list` has 2 elements, index 2 is beyond them");
        insta::assert_snapshot!(error("$(self.x)"), @"`$(self.x)`: `self` is null, which has no `x`");
        insta::assert_snapshot!(error("$(inputs.file.contents)"), @"`$(inputs.file.contents)`: `inputs.file` has no `contents`; it has `class`, `location`, `path`, `basename`, `nameroot`, `nameext`, `dirname`, `size`");
        insta::assert_snapshot!(error("$(null.x)"), @"`$(null.x)` is JavaScript, not a parameter reference, and InlineJavascriptRequirement is missing");
        insta::assert_snapshot!(error("a ${ return 1 }"), @"`${ return 1 }` is JavaScript, not a parameter reference, and InlineJavascriptRequirement is missing");
    }

    #[test]
    fn scripts_run_where_they_are_allowed() {
        assert_eq!(evaluated("$(1 + 1)", Some(&[])), Ok(Value::from(2)));
        assert_eq!(evaluated("<$(1 + 1)${ return null }>", Some(&[])), Ok("<2null>".into()));
        insta::assert_snapshot!(evaluated("$(2 + 2)", Some(&[])).unwrap_err(), @"`$(2 + 2)`: unknown script 2 + 2");
    }

    #[test]
    fn computed_values_are_checked_for_their_type() {
        let inputs = value(INPUTS);
        let context = Context { inputs: &inputs, self_: &Value::Null, runtime: &Value::Null, library: None };
        let mut scripts = Scripts::default();
        let mut of = |source: &str| {
            Computed::<i64>::Expression(template(source)).evaluate(&context, &mut scripts).map_err(|e| e.to_string())
        };
        assert_eq!(of("$(inputs.n)"), Ok(Some(5)));
        assert_eq!(of("$(null)"), Ok(None));
        insta::assert_snapshot!(of("$(inputs.x)").unwrap_err(), @"`$(inputs.x)` gave float 0.5 where an integer is needed");
    }
}
