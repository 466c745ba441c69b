//! A job from its request to its results, and whose it is.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, TryStreamExt as _};
use libtest_mimic::Trial;
use serde_json::{Value as Json, json};
use weir_api::Phase;
use weir_http::backend::{Backend, BackendError, JobId};

use super::world::{WAITS, World, finished, job, jobs, log, open, process, tenant, text, wait_for};
use crate::jobs::fixture::{processes_of, trials};

pub fn trials() -> Vec<Trial> {
    trials![
        water_bodies_become_results_in_the_store,
        a_job_whose_client_went_away_runs,
        a_dismissed_job_stops_its_processes_and_can_be_removed,
        tenants_do_not_meet,
        a_failed_job_says_why_and_its_log_stays,
    ]
}

fn water_bodies_become_results_in_the_store() {
    let world = World::new();
    let acme = tenant("acme");
    let repository = Path::new("../..").canonicalize().unwrap();
    let package = fs::read_to_string(repository.join("manifests/water-bodies/water-bodies.cwl")).unwrap();
    let item = |scene: &str| format!("file://{}/tests/data/olinda/{scene}/{scene}.json", repository.display());
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("water-bodies", &package)).await.unwrap();
        let inputs = json!({
            "stac_items": [item("L7_OLINDA_NORTH"), item("L7_OLINDA_SOUTH")],
            "aoi": "-34.905,-8.03,-34.83,-7.96",
        });
        let accepted = opened.backend.create(&acme, job("water-bodies", inputs)).await.unwrap();
        assert_eq!((accepted.phase, accepted.progress), (Phase::Accepted, 0));
        let id = accepted.id.clone();
        let record = finished(&opened, &acme, &id).await;
        assert_eq!(record.phase, Phase::Successful, "{record:?}");
        assert_eq!((record.progress, record.message.as_deref()), (100, Some("all 10 steps succeeded")));
        assert!(record.created <= record.started.unwrap() && record.started <= record.finished);
        assert_eq!(record.steps.len(), 5);

        let results = opened.backend.results(&acme, &id).await.unwrap();
        assert_eq!(Json::from(results), json!({"stac_catalog": format!("s3://results/{id}/catalog.json")}));
        let read = async |key: &str| {
            let location = format!("s3://results/{id}/{key}");
            opened.backend.read_result(&acme, &id, &location).await
        };
        let catalog: Json = serde_json::from_str(&text(read("catalog.json").await.unwrap()).await).unwrap();
        assert_eq!(catalog["links"][1]["href"], format!("s3://results/{id}/{id}/collection.json"));
        let key = format!("{id}/L7_OLINDA_NORTH/L7_OLINDA_NORTH.json");
        let stac: Json = serde_json::from_str(&text(read(&key).await.unwrap()).await).unwrap();
        let href = stac["assets"]["data"]["href"].as_str().unwrap();
        let mask = opened.backend.read_result(&acme, &id, href).await.unwrap();
        let mask: Vec<u8> = mask.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
        assert_eq!(&mask[..4], b"II*\0", "a TIFF");
        for key in [".weir-owner", "nothing", "../x"] {
            assert!(matches!(read(key).await, Err(BackendError::NotFound(_))), "{key}");
        }

        let texts = opened.backend.texts(&acme, &id).await.unwrap();
        let names: Vec<&str> = texts.iter().map(|text| text.name.as_str()).collect();
        assert_eq!(names.len(), 11, "{names:?}");
        assert_eq!(names[names.len() - 2..], ["node_stage_out.log", "usage.json"]);
        for name in ["node_crop.log", "node_crop_4.log", "node_otsu_2.log", "node_stac.log"] {
            assert!(names.contains(&name), "{names:?}");
        }
        let usage: Json = serde_json::from_str(&log(&opened, &acme, &id, "usage.json").await).unwrap();
        assert_eq!(usage["total_tasks"], 10);
        let folder = world.dir().join("tenants/acme/jobs").join(id.as_str());
        wait_for("the folders of attempts go", || !folder.join("att").exists());

        // Removing the job leaves the results.
        opened.backend.remove(&acme, &id).await.unwrap();
        assert!(opened.backend.job(&acme, &id).await.unwrap().is_none() && !folder.exists());
        let catalog = world.dir().join(format!("store/buckets/results/{id}.d/catalog.json.o"));
        assert!(catalog.exists());
    });
}

fn a_job_whose_client_went_away_runs() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |settings| settings.unfinished_max = 1).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        for name in ["a", "b"] {
            let inputs = json!({"folder": world.path(), "name": name});
            let mut request = Box::pin(opened.backend.create(&acme, job("waits", inputs)));
            let _maybe_not_yet = (&mut request).now_or_never();
            drop(request);
            let deadline = Instant::now() + Duration::from_secs(30);
            let id = loop {
                let newest = jobs(&opened, &acme)
                    .await
                    .into_iter()
                    .next()
                    .filter(|_| world.path().join(format!("started-{name}")).exists());
                if let Some(id) = newest {
                    break id.parse::<JobId>().unwrap();
                }
                assert!(Instant::now() < deadline, "the job does not run");
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            // Its place is free again: the next one is accepted.
            assert_eq!(finished(&opened, &acme, &id).await.phase, Phase::Successful);
        }
    });
}

fn a_dismissed_job_stops_its_processes_and_can_be_removed() {
    let world = World::new();
    let acme = tenant("acme");
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |settings| settings.jobs = 1).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let inputs = |name: &str| json!({"folder": world.path(), "name": name});
        let id = opened.backend.create(&acme, job("waits", inputs("a"))).await.unwrap().id.clone();
        wait_for("the tool runs", || world.path().join("started-a").exists());
        let queued = opened.backend.create(&acme, job("waits", inputs("b"))).await.unwrap().id.clone();
        wait_for("it is seen", || !processes_of(&world.dir()).is_empty());
        // Live: the tool has said something, and more is to come.
        let texts = opened.backend.texts(&acme, &id).await.unwrap();
        assert_eq!(texts[0].name, "waits.log");
        assert_eq!(log(&opened, &acme, &id, "waits.log").await, "waiting\n");
        let usage: Json = serde_json::from_str(&log(&opened, &acme, &id, "usage.json").await).unwrap();
        assert_eq!(usage["total_tasks"], 0);
        assert!(matches!(opened.backend.results(&acme, &id).await, Err(BackendError::NotFound(_))));
        assert!(matches!(opened.backend.remove(&acme, &id).await, Err(BackendError::Refused(_))));

        let waiting = tokio::spawn({
            let (backend, acme, id) = (Arc::clone(&opened.backend), acme.clone(), id.clone());
            async move { backend.finished(&acme, &id).await }
        });
        // One that waits for its place needs none to stop.
        let record = opened.backend.dismiss(&acme, &queued).await.unwrap();
        assert_eq!((record.phase, record.started), (Phase::Dismissed, None));
        let record = opened.backend.dismiss(&acme, &id).await.unwrap();
        assert_eq!((record.phase, record.failure.as_ref()), (Phase::Dismissed, None));
        assert_eq!(waiting.await.unwrap().unwrap().unwrap().phase, Phase::Dismissed);
        wait_for("its processes are gone", || processes_of(&world.dir()).is_empty());
        assert_eq!(opened.backend.dismiss(&acme, &id).await.unwrap().phase, Phase::Dismissed);
        drop(opened);

        let again = open(&world.dir(), |_| {}).await;
        assert_eq!(again.backend.job(&acme, &id).await.unwrap().unwrap().phase, Phase::Dismissed);
        again.backend.remove(&acme, &id).await.unwrap();
        assert!(matches!(again.backend.remove(&acme, &id).await, Err(BackendError::NotFound(_))));
        assert_eq!(jobs(&again, &acme).await, [queued.to_string()]);
    });
}

fn tenants_do_not_meet() {
    let world = World::new();
    let (acme, other) = (tenant("acme"), tenant("other"));
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let allowed = [acme.clone(), other.clone()].into();
        let opened = open(&world.dir(), |settings| settings.tenants = Some(allowed)).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        opened.backend.deploy(&other, process("waits", WAITS)).await.unwrap();
        let inputs = json!({"folder": world.path(), "name": "a"});
        let id = opened.backend.create(&acme, job("waits", inputs.clone())).await.unwrap().id.clone();
        let own = opened.backend.create(&other, job("waits", inputs.clone())).await.unwrap().id.clone();
        for (tenant, id) in [(&acme, &id), (&other, &own)] {
            assert_eq!(finished(&opened, tenant, id).await.phase, Phase::Successful);
        }
        let backend = &opened.backend;
        assert_eq!(jobs(&opened, &other).await, [own.to_string()]);
        assert!(backend.job(&other, &id).await.unwrap().is_none());
        assert!(backend.finished(&other, &id).await.unwrap().is_none());
        let location = format!("s3://results/{id}/said/said.txt");
        assert!(backend.read_result(&acme, &id, &location).await.is_ok());
        let foreign = [
            backend.dismiss(&other, &id).await.map(drop),
            backend.remove(&other, &id).await,
            backend.results(&other, &id).await.map(drop),
            backend.texts(&other, &id).await.map(drop),
            backend.text(&other, &id, "waits.log").await.map(drop),
            backend.read_result(&other, &id, &location).await.map(drop),
            // With a job of one's own, too.
            backend.read_result(&other, &own, &location).await.map(drop),
            backend.read_result(&other, &own, &format!("s3://results/{own}/../{id}/said/said.txt")).await.map(drop),
            backend.read_result(&other, &own, "file:///etc/passwd").await.map(drop),
        ];
        for (number, result) in foreign.into_iter().enumerate() {
            assert!(matches!(result, Err(BackendError::NotFound(_))), "{number}: {result:?}");
        }
        for name in ["../results.json", "../../../../acme/jobs/x/logs/waits.log", "lock", "results.json", "waits"] {
            assert!(backend.text(&other, &own, name).await.unwrap().is_none(), "{name}");
        }
        // Nobody names files of this machine.
        for place in ["file:///etc/passwd", "/etc/passwd", "../x"] {
            let files = r"
cwlVersion: v1.2
class: CommandLineTool
id: files
baseCommand: 'true'
inputs: {file: File}
outputs: {}
";
            let inputs = json!({"file": {"class": "File", "location": place}});
            let mut wanted = job("files", inputs);
            wanted.package = Some(files.to_owned());
            let refused = backend.create(&other, wanted).await.unwrap_err();
            assert!(refused.to_string().contains("/inputs/file"), "{refused}");
        }
        let stranger = tenant("stranger");
        assert!(!backend.has_tenant(&stranger).await.unwrap());
        assert!(backend.deploy(&stranger, process("waits", WAITS)).await.is_err());
        assert!(backend.create(&stranger, job("waits", inputs)).await.is_err());
        assert!(!world.dir().join("tenants/stranger").exists());
    });
}

fn a_failed_job_says_why_and_its_log_stays() {
    let world = World::new();
    let acme = tenant("acme");
    let package = r"
cwlVersion: v1.2
class: CommandLineTool
id: fails
baseCommand: [sh, -c, 'echo no water here >&2; exit 3']
inputs: {}
outputs: {}
";
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        // A built-in process brings its package along.
        let mut wanted = job("fails", json!({}));
        wanted.package = Some(package.to_owned());
        let id = opened.backend.create(&acme, wanted).await.unwrap().id.clone();
        let record = finished(&opened, &acme, &id).await;
        let failure = record.failure.as_ref().unwrap();
        assert_eq!((record.phase, failure.class.as_str(), failure.exit_code), (Phase::Failed, "ToolFailed", Some(3)));
        assert_eq!(failure.stderr.as_deref(), Some("no water here"));
        assert_eq!(log(&opened, &acme, &id, "fails.log").await, "no water here\n");
        assert!(matches!(opened.backend.results(&acme, &id).await, Err(BackendError::NotFound(_))));
        let unknown = opened.backend.create(&acme, job("nothing", json!({}))).await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no process `nothing`");
    });
}
