//! A job's data from its first order to its published results.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStoreExt as _};
use tokio::sync::watch;
use weir_api::FailureClass;
use weir_api::agent::{Complete, Ending, EntryKind, Hints, LinkTarget, ListedEntry};
use weir_cwl::{Record, Value};
use weir_plan::action::Launch;
use weir_plan::drive::Job;
use weir_plan::{Intent, Outcome};
use weir_store::usage::Report;

use super::*;
use world::{Agent, Files, ID, Store, Web, again, first_launch, job, report};

pub(crate) mod world;

pub(crate) const WATER_BODIES: &str = include_str!("../../../tests/packages/water-bodies-trivial.cwl");
pub(crate) const SCENES: &str = r#"{"stac_items": ["north", "south"], "bands": ["green", "nir"]}"#;

async fn publish(context: &JobContext, outputs: Record) -> Result<Record, PublishError> {
    let (_goes_on, stop) = watch::channel(false);
    super::publish(context, outputs, stop, async { true }).await
}

/// Plays all steps of a job and gives its output object before it is published.
pub(crate) async fn played(context: &Arc<JobContext>) -> (Record, Agent, Job) {
    let mut agent = Agent::new(context);
    let mut job = Job::new(Intent::clone(&context.intent));
    tokio::task::spawn_blocking(move || {
        let finished = job.finish(&mut |launch: &Launch| -> Outcome { agent.run(launch) }).unwrap();
        assert_eq!(finished.failure, None);
        (finished.outputs, agent, job)
    })
    .await
    .unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn water_bodies_goes_from_orders_to_published_results() {
    let store = Store::served().await;
    let context = job(&store, WATER_BODIES, SCENES, Web::default());
    let (outputs, agent, job) = played(&context).await;
    assert_eq!(agent.orders.len(), 10);
    let stac = &agent.orders[8];
    assert_eq!(stac.argv, ["cat", "/weir/work/in/1/otsu.tif", "/weir/work/in/2/otsu.tif"]);
    assert!(stac.deny_network && stac.log.as_ref().unwrap().url.contains("/acme/jobs/run/logs/node_stac.9.log?"));
    let published = publish(&context, outputs.clone()).await.unwrap();
    let catalog = format!("s3://results/{ID}/catalog.json");
    assert_eq!(published["stac_catalog"].as_str(), Some(catalog.as_str()));
    let results = store.results();
    let mut found = Vec::new();
    let mut objects: Vec<_> = results.list(None).try_collect::<Vec<_>>().await.unwrap();
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    for object in objects {
        let got = results.get_opts(&object.location, GetOptions::default()).await.unwrap();
        let media = got.attributes.get(&object_store::Attribute::ContentType).map(|media| media.as_ref().to_owned());
        found.push(format!("{} {}", object.location.to_string().replace(ID, "ID"), media.unwrap_or_default()));
    }
    insta::assert_snapshot!(found.join("\n"), @r"
    ID/.weir-owner text/plain
    ID/ID/collection.json application/geo+json
    ID/ID/scene/otsu.tif image/tiff; application=geotiff
    ID/ID/scene/scene.json application/geo+json
    ID/catalog.json application/geo+json
    ");
    let mask = results.get(&Path::from(format!("{ID}/{ID}/scene/otsu.tif"))).await.unwrap().bytes().await.unwrap();
    assert_eq!(mask, "north green\nnorth nir\nsouth green\nsouth nir\n");

    let same = publish(&again(&context, "run"), outputs.clone()).await.unwrap();
    assert_eq!(same, published, "publishing again after a crash gives the same");
    let inline = weir_cwl::File {
        location: Some("data:image/tiff;base64,SUkqAA==".to_owned()),
        basename: Some("i.tif".into()),
        ..weir_cwl::File::default()
    };
    let inline = Record::from_iter([("inline".to_owned(), Value::File(Box::new(inline)))]);
    let inline = weir_cwl::json::compact(&Value::Record(publish(&again(&context, "run"), inline).await.unwrap()));
    assert!(
        inline.contains(&format!("s3://results/{ID}/inline/i.tif\",\"basename\":\"i.tif\",\"size\":4")),
        "{inline}"
    );
    let bytes = results.get(&Path::from(format!("{ID}/inline/i.tif"))).await.unwrap().bytes().await.unwrap();
    assert_eq!(&bytes[..], b"II*\0");
    let foreign = publish(&again(&context, "other"), Record::from_iter([("t".to_owned(), literal("x"))])).await;
    let error = foreign.unwrap_err();
    assert!(matches!(&error, PublishError::ForeignOwner { owner, .. } if owner == "acme/run"), "{error}");
    assert!(!error.is_retryable());

    let stopped = again(&context, "run");
    let literal = Record::from_iter([("late".to_owned(), literal("x"))]);
    let stopped = super::publish(&stopped, literal, watch::channel(true).1, async { true }).await.unwrap_err();
    assert!(matches!(stopped, PublishError::Stopped), "{stopped}");
    let late = Path::from(format!("{ID}/late"));
    assert!(results.list(Some(&late)).try_next().await.unwrap().is_none(), "a job that is to stop publishes no more");

    let mut usage = Report::default();
    job.journal.iter().for_each(|recorded| usage.observe(recorded));
    record(&context, Some(&published), &usage).await.unwrap();
    let read = async |key| store.objects.get(&key).await.unwrap().bytes().await.unwrap();
    let results: serde_json::Value = serde_json::from_slice(&read(context.keys.results()).await).unwrap();
    assert_eq!(results["stac_catalog"], catalog);
    let usage: serde_json::Value = serde_json::from_slice(&read(context.keys.usage()).await).unwrap();
    assert_eq!(usage["total_tasks"], 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_is_written_last_and_only_if_the_job_is_committed_i5() {
    let store = Store::served().await;
    let context = job(&store, WATER_BODIES, SCENES, Web::default());
    let (outputs, _agent, _) = played(&context).await;
    let (_goes_on, stop) = watch::channel(false);
    let results = store.results();
    let is_there = async |key: &str| results.head(&Path::from(format!("{ID}/{key}"))).await.is_ok();
    let commit = async {
        assert!(is_there(&format!("{ID}/scene/otsu.tif")).await);
        assert!(!is_there("catalog.json").await);
        false
    };
    let refused = super::publish(&context, outputs.clone(), stop, commit).await.unwrap_err();
    assert!(matches!(refused, PublishError::Stopped), "{refused}");
    assert!(!is_there("catalog.json").await);
    publish(&again(&context, "run"), outputs).await.unwrap();
    assert!(is_there("catalog.json").await);
}

/// Staged in by URL, one of several results each: copied scene by scene.
const SCENE_BY_SCENE: &str = r"
cwlVersion: v1.2
$graph:
- class: Workflow
  id: water-bodies
  requirements: {ScatterFeatureRequirement: {}}
  inputs: {scenes: 'Directory[]', more: Directory}
  outputs:
    copies: {type: 'Directory[]', outputSource: copy/copy}
    same: {type: Directory, outputSource: more}
    named: {type: 'File[]', outputSource: copy/text}
  steps:
    copy: {run: '#copy', scatter: scene, in: {scene: scenes}, out: [copy, text]}
- class: CommandLineTool
  id: copy
  baseCommand: cat
  inputs: {scene: Directory}
  arguments: [$(inputs.scene.path)/catalog.json]
  stdout: catalog.json
  outputs:
    copy: {type: Directory, outputBinding: {glob: .}}
    text: {type: File, outputBinding: {glob: catalog.json}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenes_by_url_are_staged_in_and_lists_of_results_do_not_collide() {
    let store = Store::served().await;
    let inputs = r#"{"scenes": [{"class": "Directory", "location": "https://h/north"},
        {"class": "Directory", "location": "s3://b/south"}], "more": {"class": "Directory", "location": "https://h/more"}}"#;
    let context = job(&store, SCENE_BY_SCENE, inputs, Web::default());
    let (outputs, agent, _) = played(&context).await;
    let told: Vec<_> =
        agent.orders.iter().map(|order| order.argv.join(" ")).filter(|argv| argv.contains("eo")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    weir-eo stage_in https://h/north
    weir-eo stage_in s3://b/south
    weir-eo stage_in https://h/more
    weir-eo stage_out --layout . --id same --to s3://results/68046976-7dcb-11f0-90ac-2a20aea25780 /weir/work/in/1/out
    weir-eo stage_out --layout published --to s3://results/68046976-7dcb-11f0-90ac-2a20aea25780/copies --each /weir/work/in/1/out /weir/work/in/2/out
    ");
    let published = publish(&context, outputs).await.unwrap();
    let text = weir_cwl::json::compact(&Value::Record(published)).replace(ID, "ID");
    insta::assert_snapshot!(text, @r#"{"copies":["s3://results/ID/copies/1/catalog.json","s3://results/ID/copies/2/catalog.json"],"same":"s3://results/ID/same/catalog.json","named":[{"class":"File","location":"s3://results/ID/named/catalog.json","basename":"catalog.json","size":15},{"class":"File","location":"s3://results/ID/named/catalog.json_2","basename":"catalog.json_2","size":12}]}"#);
    let read = async |key: &str| {
        let key = Path::from(format!("{ID}/{key}"));
        store.results().get(&key).await.unwrap().bytes().await.unwrap()
    };
    assert_eq!(read("copies/2/2/scene/otsu.tif").await, "s3://b/south");
    assert_eq!(read("same/same/scene/otsu.tif").await, "https://h/more");
    assert_eq!(read("named/catalog.json_2").await, "s3://b/south");
}

fn literal(text: &str) -> Value {
    let file =
        weir_cwl::File { contents: Some(text.to_owned()), basename: Some("t.csv".into()), ..weir_cwl::File::default() };
    Value::File(Box::new(file))
}

/// A tool with File outputs of all kinds, which the test says the files of.
fn tool(outputs: &str) -> String {
    format!(
        "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\nsuccessCodes: [0, 3]\ntemporaryFailCodes: [75]\n\
         requirements:\n  ToolTimeLimit: {{timelimit: 60}}\n  ResourceRequirement: {{ramMin: 512}}\n\
         inputs: {{}}\noutputs:\n{outputs}"
    )
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

const DATA: &str = "  data: {type: File, secondaryFiles: [.idx], outputBinding: {glob: data.tif}}\n  all: {type: \
                    'File[]', outputBinding: {glob: '*.txt', loadContents: true}}\n  n: {type: string, outputBinding: \
                    {glob: a.txt, loadContents: true, outputEval: '$(self[0].contents)'}}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_are_asked_for_at_once_and_only_what_is_referred_to_is_stored_and_published() {
    let store = Store::served().await;
    let context = job(&store, &tool(DATA), "{}", Web::default());
    let agent = Agent::new(&context);
    let launch = first_launch(&context);
    let out =
        files(&[("data.tif", "pixels"), ("data.tif.idx", "index"), ("a.txt", "A"), ("b.txt", "B"), ("scrap", "")]);
    let outcome = blocking({
        let (context, out) = (Arc::clone(&context), out.clone());
        move || {
            let order = prepare(&context, &launch).unwrap();
            let first = report(&launch, Ending::Code(3), &out);
            let Collected::Read(asked) = exited(&context, &launch, &order, &first).unwrap() else { panic!() };
            assert_eq!(asked.iter().map(|read| read.path.as_str()).collect::<Vec<_>>(), ["a.txt", "b.txt"]);
            agent.hand_in(&launch, &order, first, &out)
        }
    })
    .await;
    assert_eq!((outcome.exit_code, outcome.usage.output_bytes), (Some(3), 13));
    let outputs = outcome.outputs.unwrap();
    assert_eq!(outputs["n"].as_str(), Some("A"));
    let Value::File(data) = &outputs["data"] else { panic!() };
    assert_eq!((data.location.as_deref(), data.size), (Some("weir:1/data.tif"), Some(6)));
    let manifest = context.data.manifest(&context, 1).await.unwrap().unwrap();
    let stored: Vec<_> = manifest.below("").map(|(path, _)| path).collect();
    assert_eq!(stored, ["a.txt", "b.txt", "data.tif", "data.tif.idx"]);

    let published = publish(&context, outputs).await.unwrap();
    let text = weir_cwl::json::compact(&Value::Record(published)).replace(ID, "ID");
    insta::assert_snapshot!(text, @r#"{"data":{"class":"File","location":"s3://results/ID/data/data.tif","basename":"data.tif","size":6,"secondaryFiles":[{"class":"File","location":"s3://results/ID/data/data.tif.idx","basename":"data.tif.idx","size":5}]},"all":[{"class":"File","location":"s3://results/ID/all/a.txt","basename":"a.txt","size":1,"contents":"A"},{"class":"File","location":"s3://results/ID/all/b.txt","basename":"b.txt","size":1,"contents":"B"}],"n":"A"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_cannot_be_taken_at_its_word_is_a_failure() {
    let store = Store::in_memory();
    let context = job(&store, &tool("  o: {type: File, outputBinding: {glob: o}}\n"), "{}", Web::default());
    let launch = first_launch(&context);
    blocking(move || {
        let order = prepare(&context, &launch).unwrap();
        let good = report(&launch, Ending::Code(0), &files(&[("o", "12345")]));
        let complete = Complete {
            claimant: good.claimant.clone(),
            exited: good.clone(),
            uploaded: Vec::new(),
            failure: None,
            log_bytes: None,
        };
        let outcome = completed(&context, &launch, &order, &complete).unwrap();
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.class, FailureClass::Platform);
        assert_eq!(failure.message, "step `t`: the agent did not store `o`");

        let mut cut = good;
        cut.listing.incomplete = Some("`x` is too deep".to_owned());
        let Collected::Over(outcome) = exited(&context, &launch, &order, &cut).unwrap() else { panic!() };
        assert_eq!(outcome.failure.unwrap().class, FailureClass::OutputInvalid);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_says_which_step_and_why() {
    let store = Store::in_memory();
    let context = job(&store, &tool("  o: {type: File, outputBinding: {glob: o}}\n"), "{}", Web::default());
    let launch = first_launch(&context);
    let said = blocking(move || {
        let order = prepare(&context, &launch).unwrap();
        let over = |ending, hints, out: &Files| {
            let mut report = report(&launch, ending, out);
            report.hints = hints;
            match exited(&context, &launch, &order, &report).unwrap() {
                Collected::Over(outcome) => outcome.failure.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let none = Files::new();
        let mut said = Vec::new();
        for (ending, hints) in [
            (Ending::Code(1), Hints::default()),
            (Ending::Signal(9), Hints { oom_kills: 1, ..Hints::default() }),
            (Ending::Signal(15), Hints { time_limit: true, ..Hints::default() }),
            (Ending::Code(0), Hints::default()),
        ] {
            let failure = over(ending, hints, &none);
            assert_eq!(failure.stderr_tail.as_deref(), Some("last words\n"));
            said.push(format!("{}: {}", failure.class, failure.message));
        }
        said
    })
    .await;
    insta::assert_snapshot!(said.join("\n"), @r"
    ToolFailed: step `t`: the tool ended with exit code 1
    OutOfMemory: step `t`: the kernel killed the tool for want of memory (it asked for 512 MiB)
    TimeLimit: step `t`: the tool ran longer than its ToolTimeLimit of 60 s
    OutputInvalid: step `t`: output `o`: nothing in the output directory matches `o`; there is nothing at all
    ");
}

fn entry(path: &str, kind: EntryKind) -> ListedEntry {
    ListedEntry { path: path.to_owned(), kind }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_within_a_directory_are_followed_and_links_out_of_it_are_refused() {
    let store = Store::served().await;
    let outputs = "  o: {type: Directory, outputBinding: {glob: d}}\n";
    let context = job(&store, &tool(outputs), "{}", Web::default());
    let agent = Agent::new(&context);
    let launch = first_launch(&context);
    let manifest = blocking(move || {
        let order = prepare(&context, &launch).unwrap();
        let out = files(&[("d/a", "A"), ("e/b", "B")]);
        let inside = |path: &str| EntryKind::Link(LinkTarget::Inside(path.to_owned()));
        let mut linked = report(&launch, Ending::Code(0), &out);
        linked.listing.entries.extend([
            entry("d/empty", EntryKind::Directory {}),
            entry("d/e", inside("e")),
            entry("d/here", inside("d")),
            entry("d/same", inside("d/a")),
            entry("d/up", inside("")),
            entry("e/back", inside("d")),
        ]);
        let mut out_of_it = linked.clone();
        out_of_it.listing.entries.push(entry("d/x", EntryKind::Link(LinkTarget::Outside("/usr/x".to_owned()))));
        let Collected::Over(outcome) = exited(&context, &launch, &order, &out_of_it).unwrap() else { panic!() };
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.class, FailureClass::OutputInvalid);
        assert!(failure.message.contains("`d/x` is a symbolic link to /usr/x, outside"), "{}", failure.message);

        let outcome = agent.hand_in(&launch, &order, linked, &out);
        assert_eq!(outcome.usage.output_bytes, 2, "each file is stored once");
        let read = tokio::runtime::Handle::current().block_on(context.data.manifest(&context, 1));
        serde_json::to_value(&*read.unwrap().unwrap()).unwrap()
    })
    .await;
    let members: Vec<_> =
        manifest.as_object().unwrap().iter().map(|(path, m)| format!("{path} {}", m["object"])).collect();
    insta::assert_snapshot!(members.join("\n"), @r#"
    d/a "att/1/0"
    d/e/b "att/1/1"
    d/empty null
    d/same "att/1/0"
    "#);
}

fn with_input(type_: &str) -> String {
    format!(
        "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs:\n  i: {{type: {type_}, inputBinding: \
         {{}}}}\noutputs:\n  o: {{type: File, outputBinding: {{outputEval: $(inputs.i)}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_is_published_outside_of_its_place_i5() {
    let context = job(&Store::in_memory(), &with_input("string"), r#"{"i": "x"}"#, Web::default());
    for name in ["..", "a/b", ""] {
        let error = publish(&context, Record::from_iter([(name.to_owned(), literal("x"))])).await.unwrap_err();
        assert!(matches!(&error, PublishError::Name { .. }) && !error.is_retryable(), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_runs_is_not_ended_for_an_input_that_cannot_be_looked_at_any_more_i1() {
    let store = Store::in_memory();
    let gone = "https://example.org/presigned?expired";
    let away = RemoteError("refused (403)".into());
    for web in [Web::default(), Web(BTreeMap::from([(gone.to_owned(), Err(away))]))] {
        let inputs = format!(r#"{{"i": {{"class": "File", "location": "{gone}"}}}}"#);
        let context = job(&store, &with_input("File"), &inputs, web);
        let launch = first_launch(&context);
        blocking(move || {
            let refusal = prepare(&context, &launch).unwrap_err();
            assert_eq!(refusal.class, FailureClass::StageIn);
            assert!(!refusal.message.contains("expired"), "a query may be a signature: {}", refusal.message);
            let order = prepare_again(&context, &launch).unwrap();
            let ended = exited(&context, &launch, &order, &report(&launch, Ending::Code(0), &Files::new())).unwrap();
            assert!(matches!(&ended, Collected::Over(outcome) if outcome.outputs.is_some()), "{ended:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_behind_urls_are_left_to_the_agent_and_what_cannot_be_had_is_said() {
    let url = "https://example.org/a%20b.tif";
    let busy = RemoteError("https://example.org/busy: the server answers 503".into());
    let web = || {
        Web(BTreeMap::from([
            (url.to_owned(), Ok("pixels".to_owned())),
            ("https://example.org/busy".to_owned(), Err(busy.clone())),
        ]))
    };
    let prepared = async |location: &str| {
        let store = Store::in_memory();
        let inputs = format!(r#"{{"i": {{"class": "File", "location": "{location}"}}}}"#);
        let context = job(&store, &with_input("File"), &inputs, web());
        let launch = first_launch(&context);
        blocking(move || {
            let order = prepare(&context, &launch)?;
            let passed = exited(&context, &launch, &order, &report(&launch, Ending::Code(0), &Files::new())).unwrap();
            let Collected::Over(outcome) = passed else { panic!("{passed:?}") };
            let Value::File(file) = &outcome.outputs.unwrap()["o"] else { panic!() };
            assert_eq!(file.location.as_deref(), Some(url), "an input that is given on stays where it is");
            order.to_agent(&context, std::time::SystemTime::now())
        })
        .await
    };
    let order = prepared(url).await.unwrap();
    assert_eq!(order.argv, ["t", "/weir/work/in/1/a b.tif"]);
    let placed = serde_json::to_string(&order.placements).unwrap();
    insta::assert_snapshot!(placed, @r#"[{"path":"/weir/work/in/1/a b.tif","content":{"url":{"url":"https://example.org/a%20b.tif"}},"writable":false}]"#);
    let mut said = Vec::new();
    for location in ["https://example.org/busy", "https://example.org/none", "gs://bucket/a", "file:///a", "weir:9/a"] {
        let Refusal { class, message } = prepared(location).await.unwrap_err();
        said.push(format!("{class}: {message}"));
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    StageIn: input `i`: https://example.org/busy: the server answers 503
    StageIn: input `i`: there is no File at https://example.org/none
    StageIn: input `i`: `gs://bucket/a` cannot be read in a cluster; give an http(s) URL
    StageIn: input `i`: `file:///a` cannot be read in a cluster; files of one machine are not seen here: give an http(s) URL, or the text itself as `contents`
    StageIn: input `i`: there is no File at weir:9/a
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_answer_decides_nothing() {
    let good = Store::in_memory();
    let context = job(&good, &tool("  o: {type: File, outputBinding: {glob: o}}\n"), "{}", Web::default());
    let launch = first_launch(&context);
    // A file stands where its folder would be made.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("acme"), "").unwrap();
    let broken = weir_store::directory(dir.path(), false).unwrap();
    let services = crate::context::Services {
        settings: Arc::clone(&context.services.settings),
        store: broken,
        signer: context.services.signer.clone(),
        results: Results::new(&good.settings).unwrap(),
        remote: Arc::new(Web::default()),
        scripts: context.services.scripts.clone(),
        metrics: crate::metrics::Metrics::default(),
    };
    let context = JobContext { services: Arc::new(services), ..again(&context, "run") };
    blocking(move || {
        let order = prepare(&context, &launch).unwrap();
        let exited = report(&launch, Ending::Code(0), &files(&[("o", "12345")]));
        let sha256 = "0".repeat(64);
        let uploaded = vec![weir_api::agent::Uploaded { path: "o".into(), size: 5, sha256 }];
        let claimant = exited.claimant.clone();
        let complete = Complete { claimant, exited, uploaded, failure: None, log_bytes: None };
        let error = completed(&context, &launch, &order, &complete).unwrap_err();
        assert!(error.to_string().contains("the outputs cannot be collected now"), "{error}");
    })
    .await;
}
