//! An object that cannot even be read as what it claims to be (invariant I11): it gets a condition, and harms nobody else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::error_boundary::InvalidObject;
use weir_api::kubernetes::conditions::MALFORMED;

use super::refusal::bounded;

/// What is wrong with a malformed object.
pub fn message(invalid: &InvalidObject) -> String {
    bounded(&format!("the object cannot be read: {}; see `kubectl explain`", invalid.error))
}

/// The condition of a malformed object, `type_`, that does not hold. `now` is when it was seen first.
pub fn condition(type_: &str, invalid: &InvalidObject, now: Time) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: "False".to_owned(),
        reason: MALFORMED.to_owned(),
        message: message(invalid),
        observed_generation: invalid.metadata.generation,
        last_transition_time: now,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::json;
    use weir_api::kubernetes::ProcessJob;
    use weir_api::kubernetes::conditions::ACCEPTED;

    use super::*;

    #[test]
    fn a_malformed_job_gets_a_condition_i11() {
        let object = json!({
            "apiVersion": "weir.dev/v1alpha1",
            "kind": "ProcessJob",
            "metadata": {"name": "broken", "generation": 3},
            "spec": {"processRef": "a", "parallelism": "many"}
        });
        let guard: DeserializeGuard<ProcessJob> = serde_json::from_value(object).unwrap();
        let condition = condition(ACCEPTED, &guard.0.unwrap_err(), Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!((condition.status.as_str(), condition.observed_generation), ("False", Some(3)));
        insta::assert_snapshot!(condition.message, @r#"the object cannot be read: Invalid type string "many". Expected i32; see `kubectl explain`"#);
    }
}
