//! Files and Directories that are given by a mere URL, as requests of OGC API - Processes give them: a string, or an
//! object with the URL in `href` (18-062r2, Requirement "ogc-process/link" of inputs by reference) or in `value` (the eoap
//! URI records).

use crate::schema::Type;
use crate::stage_in::is_remote;
use crate::value::{Directory, File, Record, Value};

/// The value with every URL that stands where its type has a File or a Directory as such an object. What could be meant as
/// a text stays a text.
pub(crate) fn resolve(type_: &Type, value: Value) -> Value {
    match (type_, value) {
        (Type::Array(array), Value::Array(items)) => {
            Value::Array(items.into_iter().map(|item| resolve(&array.items, item)).collect())
        }
        (Type::Union(members), value) => {
            let mut solid = members.iter().filter(|member| **member != Type::Null);
            let is_list = matches!(value, Value::Array(_));
            // Of several the one that a URL can be: `Directory | Directory[]`.
            let candidates: Vec<_> =
                solid.by_ref().filter(|member| matches!(member, Type::Array(_)) == is_list).collect();
            match candidates.as_slice() {
                [only] => resolve(only, value),
                _ => value,
            }
        }
        (Type::File, value) => match url(&value) {
            Some(url) => File { location: Some(url), ..File::default() }.into(),
            None => value,
        },
        (Type::Directory, value) => match url(&value) {
            Some(url) => Directory { location: Some(url), ..Directory::default() }.into(),
            None => value,
        },
        (_, value) => value,
    }
}

fn url(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Record(record) => of_record(record)?,
        _ => return None,
    };
    is_remote(text).then(|| text.clone())
}

fn of_record(record: &Record) -> Option<&String> {
    ["href", "value"].into_iter().find_map(|name| match record.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    })
}
