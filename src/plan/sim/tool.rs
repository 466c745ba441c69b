//! What the simulated tools and scripts compute: pure functions of their inputs, so that every try and the oracle agree.

use weir_api::FailureClass;
use weir_cwl::expression::{Context, Evaluate, Script};
use weir_cwl::value::Number;
use weir_cwl::{Record, Value, json};

use super::random::digest;

/// How a tool behaves on its inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Behaviour {
    Succeeds(Record),
    /// Fails for good.
    Fails,
    /// Fails with temporaryFailCodes before this counted attempt.
    Flaky(u32, Record),
    /// Runs out of memory below so many mebibytes.
    Hungry(u64, Record),
}

/// Behaviour of the tool `id`. `trouble` in 1000: how many inputs make it fail for good.
pub(crate) fn behaviour(id: &str, inputs: &Record, trouble: u64) -> Behaviour {
    let hash = digest(&format!("{id} {}", json::compact(&Value::Record(inputs.clone()))));
    let outputs = || [("out".to_owned(), output(id, hash))].into_iter().collect();
    match (hash >> 20) % 1000 {
        roll if roll < trouble => Behaviour::Fails,
        900..950 => Behaviour::Flaky(2 + u32::try_from((hash >> 40) % 2).unwrap_or(0), outputs()),
        950..1000 => Behaviour::Hungry(300 << ((hash >> 40) % 2), outputs()),
        _ => Behaviour::Succeeds(outputs()),
    }
}

fn output(id: &str, hash: u64) -> Value {
    let number = |value: u64| Value::Number(Number::Int(i64::try_from(value % 1000).unwrap_or(0)));
    match id {
        "list" => Value::Array((0..hash % 4).map(|at| number((hash >> 8) + at)).collect()),
        "flag" => Value::Bool(hash.is_multiple_of(2)),
        "maybe" if hash.is_multiple_of(3) => Value::Null,
        _ => number(hash >> 8),
    }
}

/// How one try ends.
pub(crate) fn try_tool(behaviour: &Behaviour, attempt: u32, ram_mib: u64) -> Result<Record, FailureClass> {
    match behaviour {
        Behaviour::Succeeds(outputs) => Ok(outputs.clone()),
        Behaviour::Fails => Err(FailureClass::ToolFailed),
        Behaviour::Flaky(from, outputs) if attempt >= *from => Ok(outputs.clone()),
        Behaviour::Flaky(..) => Err(FailureClass::ToolFailedTemporarily),
        Behaviour::Hungry(needs, outputs) if ram_mib >= *needs => Ok(outputs.clone()),
        Behaviour::Hungry(..) => Err(FailureClass::OutOfMemory),
    }
}

/// Scripts: `flag` in the text gives a boolean, `fail` fails, anything else a number; all depend on what they see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scripts;

impl Evaluate for Scripts {
    fn evaluate(&mut self, script: &Script, context: &Context<'_>) -> Result<Value, String> {
        let seen = format!("{} {} {}", script.source, json::compact(context.inputs), json::compact(context.self_));
        let hash = digest(&seen);
        if script.source.contains("fail") {
            return Err("the script fails".to_owned());
        }
        Ok(output(if script.source.contains("flag") { "flag" } else { "number" }, hash))
    }
}
