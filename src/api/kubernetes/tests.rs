use serde_json::{Map, Value, json};

use super::{Process, ProcessJob, custom_resources};

/// Visits every schema below `schema` with its path.
fn visit(schema: &Value, path: &str, see: &mut dyn FnMut(&str, &Map<String, Value>)) {
    let schema = schema.as_object().unwrap();
    see(path, schema);
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        visit(property, &format!("{path}.{name}"), see);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner) {
            visit(inner, &format!("{path}[]"), see);
        }
    }
}

fn schemas(see: &mut dyn FnMut(&str, &Map<String, Value>)) {
    for definition in custom_resources() {
        let definition = serde_json::to_value(definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        visit(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &kind, see);
    }
}

#[test]
fn every_string_list_and_map_has_a_bound_i7() {
    let mut unbounded = Vec::new();
    schemas(&mut |path, schema| {
        let has = |key: &str| schema.contains_key(key);
        let free = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
        let is_bounded = match schema["type"].as_str().unwrap() {
            "string" => has("maxLength") || has("enum") || schema.get("format") == Some(&json!("date-time")),
            "array" => has("maxItems"),
            "object" if has("additionalProperties") => has("maxProperties"),
            // Results come from weir itself, which bounds them.
            "object" if free => has("maxProperties") || path == "ProcessJob.status.results",
            _ => true,
        };
        if !is_bounded {
            unbounded.push(path.to_owned());
        }
    });
    assert_eq!(unbounded, Vec::<String>::new());
}

#[test]
fn every_member_is_explained_in_one_paragraph() {
    let mut silent = Vec::new();
    schemas(&mut |path, schema| {
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        if !path.ends_with("[]") && (text.is_empty() || text.contains('\n')) {
            silent.push(path.to_owned());
        }
    });
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn a_minimal_process_is_read_and_written_as_it_is() {
    let text = json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "Process",
        "metadata": {"name": "water"},
        "spec": {"package": {"href": "https://example.org/water.cwl"}}
    });
    let process: Process = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(process).unwrap(), text);
}

#[test]
fn unknown_members_of_a_newer_version_are_no_error() {
    let job: ProcessJob = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "ProcessJob",
        "metadata": {"name": "job"},
        "spec": {"processRef": "water", "stepWorkload": "Job"}
    }))
    .unwrap();
    assert_eq!(job.spec.process_ref.as_deref(), Some("water"));
}
