//! What a link yields: `linkMerge` and `pickValue` (CWL v1.2 Workflow Description, §5.1 and §5.2).

use std::sync::Arc;

use weir_cwl::Value;
use weir_cwl::document::{Link, LinkMerge, PickValue};

/// The value of a link whose sources exist; null if it has none. The message says what is wrong with them.
pub(crate) fn resolve(link: &Link, sources: &[Arc<Value>]) -> Result<Arc<Value>, String> {
    let merged = match sources {
        [] => return Ok(Arc::default()),
        // A list of one without linkMerge behaves as a plain source.
        [only] if link.link_merge.is_none() => Arc::clone(only),
        several => Arc::new(merge(link.link_merge.unwrap_or(LinkMerge::Nested), several)),
    };
    match link.pick_value {
        None => Ok(merged),
        Some(rule) => pick(rule, &merged).map(Arc::new),
    }
}

fn merge(rule: LinkMerge, sources: &[Arc<Value>]) -> Value {
    let mut merged = Vec::new();
    for source in sources {
        match (rule, &**source) {
            (LinkMerge::Flattened, Value::Array(members)) => merged.extend(members.iter().cloned()),
            (_, other) => merged.push(other.clone()),
        }
    }
    Value::Array(merged)
}

fn pick(rule: PickValue, value: &Value) -> Result<Value, String> {
    let name = match rule {
        PickValue::FirstNonNull => "first_non_null",
        PickValue::TheOnlyNonNull => "the_only_non_null",
        PickValue::AllNonNull => "all_non_null",
    };
    let Value::Array(members) = value else {
        // A plain source that is skipped or not: the rules hold for the list of this one.
        return match (rule, value) {
            (PickValue::AllNonNull, Value::Null) => Ok(Value::Array(Vec::new())),
            (PickValue::AllNonNull, other) => Err(format!("pickValue {name} needs an array, got {}", other.type_name())),
            (_, Value::Null) => Err(format!("pickValue {name} found only null")),
            (_, other) => Ok(other.clone()),
        };
    };
    let mut found = members.iter().filter(|member| **member != Value::Null);
    match rule {
        PickValue::AllNonNull => Ok(Value::Array(found.cloned().collect())),
        PickValue::FirstNonNull => found.next().cloned().ok_or_else(|| format!("pickValue {name} found only null")),
        PickValue::TheOnlyNonNull => match (found.next(), found.count()) {
            (Some(only), 0) => Ok(only.clone()),
            (None, _) => Err(format!("pickValue {name} found only null")),
            (Some(_), more) => Err(format!("pickValue {name} found {} values that are not null", more + 1)),
        },
    }
}
