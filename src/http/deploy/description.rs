//! The description of a deployed process: what its package says, corrected by a `processDescription` that was sent with it
//! (20-044, `/req/ogcapppkg/process-description`). Pure.

use serde_json::{Map, Value as Json, json};
use weir_cwl::Package;
use weir_cwl::description::process_description;

use crate::names::ProcessId;
use crate::problem::Problem;

/// How far a sent description is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Words only: inputs and outputs are those of the CWL package.
    Words,
    /// All of it: a container says nothing of itself.
    Whole,
}

/// The description of a process, without links.
pub fn describe(
    id: &ProcessId,
    package: &Package,
    sent: Option<&Map<String, Json>>,
    trust: Trust,
) -> Result<Map<String, Json>, Problem> {
    let Json::Object(mut description) = process_description(package) else {
        return Err(Problem::internal("a process description is no object"));
    };
    if let Some(sent) = sent {
        for (field, is_right, right) in WORDS {
            correct(&mut description, sent, field, is_right, right)?;
        }
        if trust == Trust::Whole {
            for field in ["inputs", "outputs"] {
                correct(&mut description, sent, field, Json::is_object, "write one member for each id")?;
            }
        }
    }
    description.insert("id".into(), json!(id.as_str()));
    Ok(description)
}

/// The id that a sent description states.
pub fn stated_id(sent: Option<&Map<String, Json>>) -> Result<Option<&str>, Problem> {
    match sent.and_then(|sent| sent.get("id")) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(id)) => Ok(Some(id)),
        Some(_) => Err(Problem::invalid_parameter("/processDescription/id", "not a string", "write the process's id")),
    }
}

type Word = (&'static str, fn(&Json) -> bool, &'static str);

/// Fields that are corrected, and what they are (18-062r2, `descriptionType.yaml` and `processSummary.yaml`).
const WORDS: [Word; 5] = [
    ("title", Json::is_string, "write a string"),
    ("description", Json::is_string, "write a string"),
    ("version", Json::is_string, "write a string"),
    ("keywords", |value| every(value, Json::is_string), "write an array of strings"),
    ("metadata", |value| every(value, Json::is_object), "write an array of objects"),
];

fn every(value: &Json, is_right: fn(&Json) -> bool) -> bool {
    value.as_array().is_some_and(|members| members.iter().all(is_right))
}

fn correct(
    description: &mut Map<String, Json>,
    sent: &Map<String, Json>,
    field: &str,
    is_right: fn(&Json) -> bool,
    right: &str,
) -> Result<(), Problem> {
    match sent.get(field) {
        None | Some(Json::Null) => Ok(()),
        Some(value) if is_right(value) => {
            description.insert(field.to_owned(), value.clone());
            Ok(())
        }
        Some(_) => Err(Problem::invalid_parameter(&format!("/processDescription/{field}"), "of the wrong type", right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PACKAGE, package};

    fn described(sent: &Json, trust: Trust) -> Result<Json, String> {
        let id = "other".parse().unwrap();
        let described = describe(&id, &package(PACKAGE), sent.as_object(), trust);
        described.map(Json::Object).map_err(|problem| problem.detail)
    }

    #[test]
    fn words_of_a_sent_description_win_and_its_inputs_do_not() {
        let sent = json!({"title": "T", "version": "2", "keywords": ["a"], "metadata": [{"title": "m"}], "mutable": false,
            "inputs": {}, "links": [], "jobControlOptions": []});
        let described = described(&sent, Trust::Words).unwrap();
        assert_eq!(
            (&described["id"], &described["title"], &described["version"]),
            (&json!("other"), &json!("T"), &json!("2"))
        );
        assert_eq!((&described["keywords"], &described["metadata"]), (&json!(["a"]), &json!([{"title": "m"}])));
        assert_eq!(described["description"], "Says what it is told.", "as the package says");
        assert_eq!(described["mutable"], true);
        assert!(described["inputs"]["message"].is_object() && described.get("links").is_none());
    }

    #[test]
    fn of_a_container_inputs_and_outputs_are_those_that_were_sent() {
        let inputs = json!({"il": {"schema": {"type": "string"}, "maxOccurs": 1024}});
        let described = described(&json!({"inputs": inputs, "outputs": {}}), Trust::Whole).unwrap();
        assert_eq!((&described["inputs"], &described["outputs"]), (&inputs, &json!({})));
    }

    #[test]
    fn a_field_of_the_wrong_type_is_refused_at_its_place() {
        insta::assert_snapshot!(described(&json!({"keywords": "a"}), Trust::Words).unwrap_err(), @"/processDescription/keywords: of the wrong type; write an array of strings");
        assert!(stated_id(json!({"id": 1}).as_object()).is_err());
    }
}
