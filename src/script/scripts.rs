//! Expressions that need JavaScript, evaluated by the script workers.

use std::time::Duration;

use weir_cwl::Value;
use weir_cwl::expression::{Context, Evaluate, Script, ScriptKind};
use weir_cwl::json;

use crate::{Kind, Pool, Request};

/// Wall-clock time of one expression.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Evaluates scripts one by one in a pool of workers. Blocks.
#[derive(Debug, Clone)]
pub struct Scripts(pub Pool);

impl Evaluate for Scripts {
    fn evaluate(&mut self, script: &Script, context: &Context<'_>) -> Result<Value, String> {
        let text = |value: &Value| json::compact(&value.for_expressions());
        let request = Request {
            library: context.library.unwrap_or_default(),
            kind: match script.kind {
                ScriptKind::Expression => Kind::Expression,
                ScriptKind::Body => Kind::Body,
            },
            source: &script.source,
            inputs: &text(context.inputs),
            self_: &text(context.self_),
            runtime: &text(context.runtime),
            time_limit: TIME_LIMIT,
        };
        let replies = self.0.evaluate(&[request]);
        let reply = replies.into_iter().next().ok_or_else(|| "the script worker gave no answer".to_owned())?;
        let result = reply.map_err(|error| error.to_string())?;
        json::parse(&result).map_err(|error| format!("the expression's result is no valid JSON: {error}"))
    }
}
