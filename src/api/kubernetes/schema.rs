//! Bounds of the custom resources (invariant I7): the API server refuses a schema whose rules could cost too much, and every
//! string, list and map without a bound could.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value, json};

/// A name of an object (DNS-1123 subdomain).
pub const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Characters of such a name.
pub const NAME_LENGTH_MAX: u32 = 253;

/// An id of an OGC process: it stands in a URL's path as it is.
pub const PROCESS_ID: &str = "^[A-Za-z0-9][A-Za-z0-9._:-]*$";
/// Characters of such an id, also of a process in a package: one becomes the other.
pub const PROCESS_ID_LENGTH_MAX: u32 = 253;

/// SHA-256 in lower-case hexadecimal digits.
pub const SHA256: &str = "^[0-9a-f]{64}$";

/// A URL that can be fetched or called.
pub const HTTP_URL: &str = "^https?://[^\\s]+$";
/// Characters of a URL.
pub use crate::limits::URL_LENGTH_MAX;

/// Characters of a package or of an input object inside a custom resource: larger ones live in the store, so that the object
/// stays under 256 KiB.
pub const INLINE_LENGTH_MAX: u32 = 64 << 10;

/// Characters of a message for people.
pub const MESSAGE_LENGTH_MAX: u32 = 4096;

/// Conditions of one object: one of each type.
pub const CONDITIONS_MAX: u32 = 16;

/// Steps that a status shows.
pub const STEPS_MAX: u32 = 100;

/// Labels, annotations or node labels of a pod template, each.
pub const LABELS_MAX: u32 = 32;
/// Characters of a key of a label or annotation: prefix, slash, name.
pub const LABEL_KEY_LENGTH_MAX: u32 = 317;
/// Characters of a label's value.
pub const LABEL_LENGTH_MAX: u32 = 63;
/// Characters of an annotation's value.
pub const ANNOTATION_LENGTH_MAX: u32 = 1024;
/// Characters of a name that is a word: a key, a class, a step's path.
pub const WORD_LENGTH_MAX: u32 = 1024;

/// Tolerations or pull secrets of a pod template, each.
pub const POD_LIST_MAX: u32 = 16;

/// A map from label keys to label values.
pub(crate) fn labels(schema: &mut Schema) {
    bound_map(schema, LABEL_LENGTH_MAX);
}

/// A map from annotation keys to their values.
pub(crate) fn annotations(schema: &mut Schema) {
    bound_map(schema, ANNOTATION_LENGTH_MAX);
}

fn bound_map(schema: &mut Schema, value_length_max: u32) {
    schema.insert("maxProperties".to_owned(), LABELS_MAX.into());
    schema.insert("additionalProperties".to_owned(), json!({"type": "string", "maxLength": value_length_max}));
}

/// Conditions as Kubernetes keeps them: one of each type, merged by type.
pub(crate) fn conditions(schema: &mut Schema) {
    schema.insert("maxItems".to_owned(), CONDITIONS_MAX.into());
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(["type"]));
    let Some(Value::Object(condition)) = schema.get_mut("items") else { return };
    let Some(Value::Object(properties)) = condition.get_mut("properties") else { return };
    let bounds = [
        ("type", json!({"maxLength": 316})),
        ("status", json!({"enum": ["True", "False", "Unknown"]})),
        ("reason", json!({"maxLength": 1024, "minLength": 1})),
        ("message", json!({"maxLength": 32768})),
    ];
    for (name, bound) in bounds {
        if let (Some(Value::Object(property)), Value::Object(bound)) = (properties.get_mut(name), bound) {
            property.extend(bound);
        }
    }
}

/// A phase of a job.
pub(crate) fn phase(schema: &mut Schema) {
    let description = schema.get("description").cloned();
    *schema = schemars::json_schema!({
        "type": "string",
        "enum": ["Accepted", "Running", "Successful", "Failed", "Dismissed"],
    });
    schema.insert("description".to_owned(), description.unwrap_or_default());
}

/// An optional member is absent, never null: a rule that asks whether it is there then means that it has a value.
/// Descriptions are one paragraph: `kubectl explain` breaks lines itself.
#[derive(Debug, Clone)]
pub(crate) struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        schema.remove("nullable");
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        let Some(Value::Array(types)) = schema.get_mut("type") else { return };
        types.retain(|one| *one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
}
