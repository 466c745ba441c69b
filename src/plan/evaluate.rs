//! Parameter references are evaluated here; what needs JavaScript is left to `Action::Evaluate`.

use weir_cwl::expression::{Context, NoScripts};
use weir_cwl::{Template, Value};

/// The template's value without JavaScript; `None` if it needs some. The message names the expression.
pub(crate) fn evaluate(
    template: &Template,
    inputs: &Value,
    self_: &Value,
    library: Option<&[String]>,
) -> Result<Option<Value>, String> {
    if template.needs_script() {
        return match library {
            Some(_) => Ok(None),
            None => Err(format!(
                "`{}` needs JavaScript; add InlineJavascriptRequirement to the requirements",
                template.source
            )),
        };
    }
    // Steps and workflows have no runtime of their own.
    let runtime = Value::Null;
    let context = Context { inputs, self_, runtime: &runtime, library };
    template.evaluate(&context, &mut NoScripts).map(Some).map_err(|error| error.to_string())
}
