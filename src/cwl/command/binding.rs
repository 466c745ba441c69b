//! The command line (CWL v1.2 Command Line Tool Description, §4.1 "Input binding" and "`CommandLineBinding`").

use std::cmp::Ordering;

use crate::conform::conform;
use crate::document::CommandLineTool;
use crate::expression::{Context, Evaluate, EvaluationError};
use crate::json;
use crate::schema::{CommandLineBinding, Type};
use crate::value::{Record, Value};

/// An argument of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// Its text.
    pub text: String,
    /// Whether a shell must take it literally.
    pub quoted: bool,
}

/// A binding that yields no arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {source}")]
pub struct BindingError {
    /// `argument 2` or ``input `name` ``, and which expression.
    pub what: String,
    /// Why.
    pub source: Box<EvaluationError>,
}

/// Part of a sorting key: numbers sort before names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Name(String),
}

/// A binding and its value, in the order of the keys.
struct Bound {
    key: Vec<Key>,
    arguments: Vec<Argument>,
}

/// The arguments after `baseCommand`, sorted.
pub(super) fn arguments(
    tool: &CommandLineTool,
    inputs: &Record,
    context: &Context<'_>,
    scripts: &mut dyn Evaluate,
) -> Result<Vec<Argument>, BindingError> {
    let mut collector = Collector { context: *context, scripts, bound: Vec::new(), what: String::new() };
    for (index, binding) in tool.arguments.iter().enumerate() {
        collector.what = format!("argument {}", index + 1);
        let position = collector.position(binding, &Value::Null)?;
        let value = match &binding.value_from {
            Some(template) => collector.evaluated(
                "valueFrom",
                |context, scripts| template.evaluate(context, scripts),
                &Value::Null,
            )?,
            None => Value::Null,
        };
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        collector.emit(vec![Key::Number(position), Key::Number(index)], binding, &value);
    }
    for parameter in &tool.header.inputs {
        collector.what = format!("input `{}`", parameter.id);
        let value = inputs.get(&parameter.id).unwrap_or(&Value::Null);
        let tail = [Key::Name(parameter.id.clone())];
        collector.bind(&[], &parameter.type_, parameter.input_binding.as_ref(), value, &tail)?;
    }
    let mut bound = collector.bound;
    bound.sort_by(|a, b| a.key.cmp(&b.key).then(Ordering::Equal));
    Ok(bound.into_iter().flat_map(|bound| bound.arguments).collect())
}

struct Collector<'a> {
    context: Context<'a>,
    scripts: &'a mut dyn Evaluate,
    bound: Vec<Bound>,
    what: String,
}

impl Collector<'_> {
    fn evaluated<T>(
        &mut self,
        what: &str,
        evaluate: impl FnOnce(&Context<'_>, &mut dyn Evaluate) -> Result<T, EvaluationError>,
        self_: &Value,
    ) -> Result<T, BindingError> {
        let context = Context { self_, ..self.context };
        evaluate(&context, self.scripts)
            .map_err(|source| BindingError { what: format!("{}, {what}", self.what), source: source.into() })
    }

    fn position(&mut self, binding: &CommandLineBinding, self_: &Value) -> Result<i64, BindingError> {
        match &binding.position {
            None => Ok(0),
            Some(position) => {
                let value =
                    self.evaluated("position", |context, scripts| position.evaluate(context, scripts), self_)?;
                Ok(value.unwrap_or(0))
            }
        }
    }

    /// Collects what a value and everything in it contribute. `lead` is the key of what holds it; `tail` is its own name
    /// or index. A value without a binding adds nothing itself, and what is in it sorts as if it stood alone.
    fn bind(
        &mut self,
        lead: &[Key],
        type_: &Type,
        binding: Option<&CommandLineBinding>,
        value: &Value,
        tail: &[Key],
    ) -> Result<(), BindingError> {
        if value.is_null() {
            return Ok(());
        }
        if let Type::Union(alternatives) = type_ {
            let fitting = alternatives.iter().find(|alternative| conform(alternative, value.clone()).is_ok());
            return self.bind(lead, fitting.unwrap_or(&Type::Any), binding, value, tail);
        }
        // A type's own binding stands in where the parameter has none; an array type's is for its elements.
        let binding = binding.or(match type_ {
            Type::Record(record) => record.input_binding.as_ref(),
            Type::Enum(symbols) => symbols.input_binding.as_ref(),
            _ => None,
        });
        let mut key = lead.to_vec();
        if let Some(binding) = binding {
            key.push(Key::Number(self.position(binding, value)?));
            key.extend_from_slice(tail);
            if let Some(template) = &binding.value_from {
                let value =
                    self.evaluated("valueFrom", |context, scripts| template.evaluate(context, scripts), value)?;
                self.emit(key, binding, &value);
                return Ok(());
            }
        }
        match (type_, value) {
            (Type::Record(record), Value::Record(members)) => {
                if let Some(binding) = binding {
                    self.emit_prefix(key.clone(), binding);
                }
                for field in &record.fields {
                    if let Some(member) = members.get(&field.name) {
                        let tail = [Key::Name(field.name.clone())];
                        self.bind(&key, &field.type_, field.input_binding.as_ref(), member, &tail)?;
                    }
                }
            }
            (Type::Array(array), Value::Array(items)) => {
                match binding {
                    Some(binding) if binding.item_separator.is_some() => {
                        self.emit(key, binding, value);
                        return Ok(());
                    }
                    Some(binding) if !items.is_empty() => self.emit_prefix(key.clone(), binding),
                    _ => {}
                }
                // Elements of a bound array stand on the command line even if the type says nothing more of them.
                let plain = CommandLineBinding {
                    shell_quote: binding.and_then(|binding| binding.shell_quote),
                    ..CommandLineBinding::default()
                };
                let own = array.input_binding.as_ref().or(binding.map(|_| &plain));
                for (index, item) in items.iter().enumerate() {
                    let index = Key::Number(i64::try_from(index).unwrap_or(i64::MAX));
                    if binding.is_some() {
                        let mut lead = key.clone();
                        lead.push(index);
                        self.bind(&lead, &array.items, own, item, tail)?;
                    } else {
                        // Without a binding around it an element sorts by its own position, then name, then index.
                        let mut tail = tail.to_vec();
                        tail.push(index);
                        self.bind(lead, &array.items, own, item, &tail)?;
                    }
                }
            }
            (_, value) => {
                if let Some(binding) = binding {
                    self.emit(key, binding, value);
                }
            }
        }
        Ok(())
    }

    fn emit_prefix(&mut self, key: Vec<Key>, binding: &CommandLineBinding) {
        if let Some(prefix) = &binding.prefix {
            let quoted = binding.shell_quote.unwrap_or(true);
            self.bound.push(Bound { key, arguments: vec![Argument { text: prefix.clone(), quoted }] });
        }
    }

    /// Adds a value by its own type: this is what `valueFrom` results and values without further schema get.
    fn emit(&mut self, key: Vec<Key>, binding: &CommandLineBinding, value: &Value) {
        let quoted = binding.shell_quote.unwrap_or(true);
        let argument = |text: String| Argument { text, quoted };
        let prefix = binding.prefix.clone();
        let arguments = match value {
            Value::Null | Value::Bool(false) => Vec::new(),
            Value::Bool(true) | Value::Record(_) => prefix.map(argument).into_iter().collect(),
            Value::Array(items) if items.is_empty() => Vec::new(),
            Value::Array(items) => match &binding.item_separator {
                Some(separator) => {
                    let joined = items.iter().map(text).collect::<Vec<_>>().join(separator);
                    prefixed(prefix, binding, joined).into_iter().map(argument).collect()
                }
                None => prefix.into_iter().chain(items.iter().map(text)).map(argument).collect(),
            },
            value => prefixed(prefix, binding, text(value)).into_iter().map(argument).collect(),
        };
        self.bound.push(Bound { key, arguments });
    }
}

fn prefixed(prefix: Option<String>, binding: &CommandLineBinding, text: String) -> Vec<String> {
    match prefix {
        Some(prefix) if binding.separate.unwrap_or(true) => vec![prefix, text],
        Some(prefix) => vec![prefix + &text],
        None => vec![text],
    }
}

/// A value as one argument.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_decimal(),
        Value::File(file) => file.path.clone().or_else(|| file.location.clone()).unwrap_or_default(),
        Value::Directory(directory) => {
            directory.path.clone().or_else(|| directory.location.clone()).unwrap_or_default()
        }
        other => json::python(&other.for_expressions()),
    }
}

/// One line for `/bin/sh -c`.
pub(super) fn shell_line(arguments: &[Argument]) -> String {
    let word = |argument: &Argument| if argument.quoted { quote(&argument.text) } else { argument.text.clone() };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A word that a POSIX shell reads as exactly this text.
fn quote(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r#"'"'"'"#))
    }
}
