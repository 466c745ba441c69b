use std::collections::BTreeMap;

use object_store::PutPayload;
use object_store::memory::InMemory;
use serde_json::{Value as Json, json};
use weir_plan::Intent;

use super::*;
use crate::process::stored::StoredPackageError;
use crate::settings::FetchSettings;

const PACKAGE: &str = "cwlVersion: v1.2
$graph:
- class: Workflow
  id: water
  inputs:
    aoi: {type: string, label: area of interest}
    bands: {type: 'string[]', default: [green, nir]}
  outputs:
    catalog: {type: Directory, outputSource: detect/found}
  steps:
    detect:
      run: '#tool'
      in: {aoi: aoi}
      out: [found]
- class: CommandLineTool
  id: tool
  baseCommand: detect
  requirements: {DockerRequirement: {dockerPull: 'ghcr.io/org/detect:1'}}
  inputs: {aoi: string}
  outputs: {found: {type: Directory, outputBinding: {glob: .}}}
";

const UUID: &str = "0190d1c6-5d2c-7a2b-9f5e-3b7a4f9c1d00";

fn tenant() -> Tenant {
    "acme".parse().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "a literal at each call")]
fn job(name: &str, spec: Json) -> ProcessJob {
    serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "ProcessJob",
        "metadata": {"name": name, "namespace": "eo", "uid": "7f0c", "generation": 1},
        "spec": spec
    }))
    .unwrap()
}

fn own(mut spec: Json) -> ProcessJob {
    spec["process"] = json!({"inline": PACKAGE});
    if spec.get("inputs").is_none() && spec.get("inputsRef").is_none() {
        spec["inputs"] = json!({"aoi": "1,2,3,4"});
    }
    job("olinda", spec)
}

#[expect(clippy::needless_pass_by_value, reason = "a literal at each call")]
fn process(digest: &str, spec: Json, ready: (&str, &str)) -> Process {
    serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "Process",
        "metadata": {"name": "water", "namespace": "eo", "generation": 2},
        "spec": spec,
        "status": {"observedGeneration": 2, "digest": digest, "conditions": [{
            "type": "Ready", "status": ready.0, "reason": "x", "message": ready.1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        }]}
    }))
    .unwrap()
}

/// What `accept` does, over a store in memory.
async fn decide(
    settings: &Settings,
    store: &InMemory,
    job: &ProcessJob,
    process: Option<&Process>,
) -> Result<Accepted, IntakeError> {
    let guarded = Guarded::new(&FetchSettings::default()).unwrap();
    let tenant = tenant();
    let request = Request { tenant: &tenant, job, process };
    let gathered = gather(&guarded, store, request).await?;
    pin(settings, request, gathered)
}

async fn accepted(job: &ProcessJob) -> Accepted {
    decide(&fixture::settings(), &InMemory::new(), job, None).await.unwrap()
}

async fn refused(job: &ProcessJob) -> (&'static str, String) {
    let error = decide(&fixture::settings(), &InMemory::new(), job, None).await.unwrap_err();
    (error.reason(), error.message())
}

async fn stored(store: &InMemory) -> String {
    let documents = BTreeMap::from([("weir:processes/water/package.cwl".to_owned(), PACKAGE.to_owned())]);
    let package =
        crate::process::stored::StoredPackage { entry: "weir:processes/water/package.cwl#water".to_owned(), documents };
    package.put(store, &tenant()).await.unwrap()
}

#[tokio::test]
async fn a_job_with_its_own_package_is_pinned_whole() {
    let spec = json!({"timeoutSeconds": 60, "parallelism": 4, "retry": {"attempts": 2, "continueOnFailure": true}});
    let Accepted { job, warnings } = accepted(&own(spec)).await;
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(job.job.entry, "weir:processjobs/olinda/package.cwl");
    assert_eq!(job.job.documents[&job.job.entry], PACKAGE);
    let rules = (job.job.time_limit_ms, job.job.parallelism, job.job.attempts_max, job.job.continue_on_failure);
    assert_eq!(rules, (Some(60_000), Some(4), 2, true));
    let names = (job.namespace.as_str(), job.name.as_str(), job.uid.as_str(), job.result_id.as_str());
    assert_eq!(names, ("eo", "olinda", "7f0c", "7f0c"));
    assert_eq!(job.results_bucket, "results-acme");
    assert_eq!(job.job.stage_out.as_ref().unwrap().to, "s3://results-acme");
    let read = ClusterJob::from_json(&serde_json::to_value(&job).unwrap()).unwrap();
    let intent: Intent = read.intent(&fixture::settings()).unwrap();
    let places: Vec<_> = intent.places().iter().map(|place| format!("{place:?}")).collect();
    assert!(places.iter().any(|place| place.contains("node_stage_out")), "{places:?}");
}

#[tokio::test]
async fn whether_hints_at_gpus_count_is_pinned_with_the_job() {
    for hinted_gpus in [false, true] {
        let settings = Settings { hinted_gpus, ..fixture::settings() };
        let Accepted { job, .. } = decide(&settings, &InMemory::new(), &own(json!({})), None).await.unwrap();
        assert_eq!(job.job.hinted_gpus, hinted_gpus);
    }
}

#[tokio::test]
async fn a_name_that_is_a_uuid_names_the_results() {
    let mut named = own(json!({}));
    named.metadata.name = Some(UUID.to_owned());
    assert_eq!(accepted(&named).await.job.result_id, UUID);
    for other in [UUID.to_uppercase(), UUID.replace('-', "")] {
        named.metadata.name = Some(other);
        assert_eq!(accepted(&named).await.job.result_id, "7f0c");
    }
}

#[tokio::test]
async fn a_job_runs_the_frozen_package_of_its_process() {
    let store = InMemory::new();
    let digest = stored(&store).await;
    let spec = json!({"package": {"href": "https://gone.example/"}, "defaults": {"aoi": "default", "bands": ["red"]}});
    let process = process(&digest, spec, ("True", ""));
    let job = job("olinda", json!({"processRef": "water", "inputs": {"bands": ["blue"]}}));
    let accepted = decide(&fixture::settings(), &store, &job, Some(&process)).await.unwrap();
    assert_eq!(accepted.job.digest, digest);
    assert_eq!(weir_cwl::json::compact(&accepted.job.job.inputs), r#"{"aoi":"default","bands":["blue"]}"#);
}

#[tokio::test]
async fn a_job_that_states_its_package_needs_its_process_no_more() {
    let store = InMemory::new();
    let digest = stored(&store).await;
    let spec = json!({"processRef": "water", "packageDigest": digest, "inputs": {"aoi": "a"}});
    let job = job("olinda", spec);
    let accepted = decide(&fixture::settings(), &store, &job, None).await.unwrap();
    assert_eq!(accepted.job.digest, digest);
    let other = json!({"package": {"inline": "x"}, "defaults": {"aoi": 1}});
    let replaced = process(&"0".repeat(64), other, ("False", "broken"));
    assert_eq!(decide(&fixture::settings(), &store, &job, Some(&replaced)).await.unwrap(), accepted);
}

#[tokio::test]
async fn a_process_that_is_not_ready_is_waited_for() {
    let store = InMemory::new();
    let digest = stored(&store).await;
    let spec = json!({"package": {"inline": PACKAGE}});
    let job = job("olinda", json!({"processRef": "water", "inputs": {"aoi": "a"}}));
    let of = async |process: Option<&Process>| {
        let error = decide(&fixture::settings(), &store, &job, process).await.unwrap_err();
        assert!(error.is_transient());
        assert_eq!(error.reason(), "ProcessNotReady");
        error.message()
    };
    insta::assert_snapshot!(of(None).await, @"there is no Process `water` in this namespace");
    let broken = process(&digest, spec.clone(), ("False", "package.cwl:1:1: error: this is no CWL"));
    insta::assert_snapshot!(of(Some(&broken)).await, @"Process `water` is not ready: package.cwl:1:1: error: this is no CWL");
    let mut changed = process(&digest, spec.clone(), ("True", ""));
    changed.metadata.generation = Some(3);
    insta::assert_snapshot!(of(Some(&changed)).await, @"Process `water` is not ready: its package has not been looked at yet");
    let lost = process(&"0".repeat(64), spec, ("True", ""));
    let error = decide(&fixture::settings(), &store, &job, Some(&lost)).await.unwrap_err();
    assert!(matches!(
        &error,
        IntakeError::Resolve(crate::process::resolve::ResolveError::Stored(StoredPackageError::Missing(_)))
    ));
    assert_eq!((error.reason(), error.is_transient()), ("PackageUnavailable", false));
}

#[tokio::test]
async fn a_spec_that_contradicts_itself_is_refused_without_the_api_servers_help() {
    let of = async |spec: Json| {
        let (reason, message) = refused(&job("olinda", spec)).await;
        assert_eq!(reason, "SpecInvalid");
        message
    };
    insta::assert_snapshot!(of(json!({})).await, @"state exactly one of spec.processRef and spec.process");
    insta::assert_snapshot!(of(json!({"processRef": "a", "process": {"inline": "b"}})).await, @"state exactly one of spec.processRef and spec.process");
    insta::assert_snapshot!(of(json!({"processRef": "a", "inputs": {}, "inputsRef": "b"})).await, @"state at most one of spec.inputs and spec.inputsRef");
    for (spec, message) in [
        (json!({"parallelism": 0}), "spec.parallelism is 0; it must be at least 1"),
        (json!({"timeoutSeconds": -1}), "spec.timeoutSeconds is -1; it must be at least 1"),
        (json!({"retry": {"attempts": 11}}), "spec.retry.attempts is 11; it must be 1 to 10"),
    ] {
        assert_eq!(refused(&own(spec)).await, ("SpecInvalid", message.to_owned()));
    }
    let large = own(json!({"inputs": {"aoi": "a".repeat(70_000)}}));
    insta::assert_snapshot!(refused(&large).await.1, @"spec.inputs has 70010 bytes as JSON; more than 65536 belong into the store: name their key in spec.inputsRef");
}

#[tokio::test]
async fn wrong_packages_and_inputs_are_told_apart() {
    let mut broken = own(json!({}));
    broken.spec.process.as_mut().unwrap().inline = PACKAGE.replace("Directory,", "Directry,");
    let (reason, message) = refused(&broken).await;
    assert_eq!(reason, "PackageInvalid");
    insta::assert_snapshot!(message, @"
    weir:processjobs/olinda/package.cwl:9:21: error: there is no type 'Directry'
     9 |     catalog: {type: Directry, outputSource: detect/found}
       |                     ^^^^^^^^
    help: did you mean 'Directory'?
    weir:processjobs/olinda/package.cwl:20:27: error: there is no type 'Directry'
     20 |   outputs: {found: {type: Directry, outputBinding: {glob: .}}}
        |                           ^^^^^^^^
    help: did you mean 'Directory'?
    ");
    let (reason, message) = refused(&own(json!({"inputs": {"aoi": 5, "band": []}}))).await;
    assert_eq!(reason, "InputsInvalid");
    insta::assert_snapshot!(message, @"
    spec.inputs: warning: the process has no input 'band'
    help: did you mean 'bands'?
    spec.inputs: error: the value must be of type string, not an integer (at /aoi)
    help: put it in quotes
    ");
    let warned = accepted(&own(json!({"inputs": {"aoi": "a", "band": []}}))).await;
    assert_eq!(warned.warnings, ["the process has no input 'band' (did you mean 'bands'?)"]);
}

#[tokio::test]
async fn what_the_settings_do_not_allow_is_refused() {
    let mut settings = fixture::settings();
    settings.pods.allowed_images = vec!["registry.example/".to_owned()];
    let job = own(json!({"podTemplate": {"labels": {"weir.dev/run": "x"}, "tolerations": [{"operator": "Exists"}]}}));
    let error = decide(&settings, &InMemory::new(), &job, None).await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("NotAllowed", false));
    insta::assert_snapshot!(error.message(), @"
    podTemplate.labels: `weir.dev/run` is not a job's to set: it belongs to weir.dev
    podTemplate.tolerations: the operator does not allow tolerations
    weir:processjobs/olinda/package.cwl:15:3: the image `ghcr.io/org/detect:1` is not allowed; the operator allows registry.example/
    ");
}

#[tokio::test]
async fn inputs_are_read_from_the_tenants_part_of_the_store_only_i9() {
    let store = InMemory::new();
    for key in ["acme/inputs/a.json", "acme/jobs/r/journal/0", "other/inputs/a.json"] {
        store.put(&Path::from(key), PutPayload::from_static(br#"{"aoi": "stored"}"#)).await.unwrap();
    }
    let of = async |key: &str| decide(&fixture::settings(), &store, &own(json!({"inputsRef": key})), None).await;
    let accepted = of("inputs/a.json").await.unwrap();
    assert_eq!(weir_cwl::json::compact(&accepted.job.job.inputs), r#"{"aoi":"stored"}"#);
    for bad in [
        "jobs/r/journal/0",
        "../other/inputs/a.json",
        "inputs/../jobs/r/journal/0",
        "inputs/../../other/inputs/a.json",
        "/inputs/a.json",
        "inputs//a.json",
    ] {
        let error = of(bad).await.unwrap_err();
        assert_eq!(error.reason(), "SpecInvalid", "{bad}: {error}");
    }
    let missing = of("inputs/b.json").await.unwrap_err();
    insta::assert_snapshot!(missing, @"spec.inputsRef: there is no object `acme/inputs/b.json` in the store");
    store.put(&Path::from("acme/inputs/c.json"), PutPayload::from_static(b"{\n  \"aoi\": 7\n}")).await.unwrap();
    insta::assert_snapshot!(of("inputs/c.json").await.unwrap_err(), @r#"
    inputs/c.json:2:10: error: the value must be of type string, not an integer (at /aoi)
     2 |   "aoi": 7
       |          ^
    help: put it in quotes
    "#);
}
