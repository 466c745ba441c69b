//! Parameter references are evaluated here; what needs JavaScript is left to `Action::Evaluate`.

use weir_cwl::conform::{Mismatch, conform};
use weir_cwl::expression::{Context, Evaluate, Script};
use weir_cwl::{Template, Type, Value};

use crate::action::Evaluation;

impl Evaluation {
    /// The expression's value; the message names the expression.
    pub fn evaluate(&self, scripts: &mut dyn Evaluate) -> Result<Value, String> {
        let (inputs, self_, runtime) = (&*self.inputs, &*self.self_, &*self.runtime);
        let context = Context { inputs, self_, runtime, library: self.library.as_deref() };
        self.template.evaluate(&context, scripts).map_err(|error| error.to_string())
    }
}

/// Refuses every script and remembers that one was needed: a parameter reference that finds nothing is JavaScript too
/// where JavaScript is allowed.
#[derive(Default)]
struct Asked(bool);

impl Evaluate for Asked {
    fn evaluate(&mut self, _: &Script, _: &Context<'_>) -> Result<Value, String> {
        self.0 = true;
        Err("needs JavaScript".to_owned())
    }
}

/// The template's value without JavaScript; `None` if it needs some. The message names the expression.
pub(crate) fn evaluate(
    template: &Template,
    inputs: &Value,
    self_: &Value,
    library: Option<&[String]>,
) -> Result<Option<Value>, String> {
    // Steps and workflows have no runtime of their own.
    let runtime = Value::Null;
    let context = Context { inputs, self_, runtime: &runtime, library };
    let mut asked = Asked::default();
    match template.evaluate(&context, &mut asked) {
        Ok(value) => Ok(Some(value)),
        Err(_) if asked.0 => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// An output as its type wants it. `Any` refuses null in inputs only: an output of that type may be null, as in the
/// reference implementation and the official tests.
pub(crate) fn conform_output(type_: &Type, value: Value) -> Result<Value, Mismatch> {
    match (type_, value) {
        (Type::Any, Value::Null) => Ok(Value::Null),
        (type_, value) => conform(type_, value),
    }
}
