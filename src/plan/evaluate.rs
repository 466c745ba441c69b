//! Parameter references are evaluated here; what needs JavaScript is left to `Action::Evaluate`.

use weir_cwl::expression::{Accessor, Part, Root};
use weir_cwl::{Template, Value};

/// A template's value, or that somebody else must find it.
pub(crate) enum Evaluated {
    Value(Value),
    NeedsScript,
}

/// Evaluates a template without JavaScript.
pub(crate) fn evaluate(template: &Template, inputs: &Value, self_: &Value, runtime: &Value) -> Result<Evaluated, String> {
    if template.needs_script() {
        return Ok(Evaluated::NeedsScript);
    }
    match template.parts.as_slice() {
        [Part::Text(text)] => Ok(Evaluated::Value(Value::String(text.clone()))),
        [Part::Reference(reference)] => {
            let mut value = match reference.root {
                Root::Inputs => inputs,
                Root::Self_ => self_,
                Root::Runtime => runtime,
                Root::Null => &Value::Null,
            };
            for accessor in &reference.path {
                value = match (accessor, value) {
                    (Accessor::Member(name), Value::Record(record)) => record.get(name),
                    (Accessor::Index(index), Value::Array(members)) => members.get(*index),
                    _ => None,
                }
                .ok_or_else(|| format!("{} finds nothing", template.source))?;
            }
            Ok(Evaluated::Value(value.clone()))
        }
        _ => Err("unsupported yet".into()),
    }
}
