//! Patches of JSON documents.

use serde_json::{Map, Value};

use super::objects::Refusal;

/// RFC 7386: objects are merged, null removes, anything else replaces.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

/// RFC 6902: `add`, `remove`, `replace`, `test`.
pub(super) fn json_patch(target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    for operation in patch.as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let value = &operation["value"];
        let failed =
            || Refusal::invalid(format!("the server rejected our request due to an error in our request: {operation}"));
        match operation["op"].as_str() {
            Some("test") if target.pointer(path).unwrap_or(&Value::Null) == value => {}
            Some("replace") => *target.pointer_mut(path).ok_or_else(failed)? = value.clone(),
            Some("add") => set(target, path, Some(value.clone())).ok_or_else(failed)?,
            Some("remove") => set(target, path, None).ok_or_else(failed)?,
            _ => return Err(failed()),
        }
    }
    Ok(())
}

/// Sets or removes what a pointer names; its parent exists.
fn set(target: &mut Value, path: &str, value: Option<Value>) -> Option<()> {
    let (parent, name) = path.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    match (target.pointer_mut(parent)?, value) {
        (Value::Object(members), Some(value)) => {
            members.insert(name, value);
        }
        (Value::Object(members), None) => {
            members.remove(&name)?;
        }
        (Value::Array(items), Some(value)) if name == "-" => items.push(value),
        (Value::Array(items), value) => {
            let index: usize = name.parse().ok().filter(|index| *index <= items.len())?;
            match value {
                Some(value) => items.insert(index, value),
                None if index < items.len() => drop(items.remove(index)),
                None => return None,
            }
        }
        _ => return None,
    }
    Some(())
}
