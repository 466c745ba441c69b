//! What was accepted is there after a restart, a crash, and what became of the files meanwhile.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Map, json};
use weir_api::Phase;
use weir_http::backend::{Backend, JobId, NewJob, ProcessId, Subscriber};
use weir_local::facade::{DirLock, OpenError};

use super::world::{WAITS, World, finished, job, jobs, log, open, process, tenant, text, wait_for};
use crate::jobs::fixture::{processes_of, trials};

/// The name under which this program accepts jobs and runs them until it is killed: `<dir>`.
pub const SERVER: &str = "weir-test-server";

pub fn trials() -> Vec<Trial> {
    trials![
        a_deployed_process_is_durable_and_each_tenant_has_its_own,
        a_job_runs_the_version_of_its_process_that_its_inputs_were_checked_against_or_not_at_all,
        accepted_jobs_survive_kill_9,
        broken_files_harm_only_themselves,
        a_subscriber_is_told_once_also_after_a_restart,
        a_directory_is_used_by_one_weir,
    ]
}

/// Accepts three jobs, one after the other, and writes their ids down.
pub fn server_main() -> ExitCode {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap());
    let folder = dir.parent().unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let opened = open(&dir, |settings| (settings.jobs, settings.jobs_of_tenant) = (2, 2)).await;
        let acme = tenant("acme");
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let mut ids = String::new();
        for name in ["a", "b", "c"] {
            let inputs = json!({"folder": folder, "name": name});
            ids += opened.backend.create(&acme, job("waits", inputs)).await.unwrap().id.as_str();
            ids += "\n";
        }
        fs::write(folder.join("ids.part"), ids).unwrap();
        fs::rename(folder.join("ids.part"), folder.join("ids")).unwrap();
        std::future::pending::<()>().await;
    });
    ExitCode::FAILURE
}

fn server(dir: &Path) -> Child {
    let mut server = Command::new("/proc/self/exe");
    server.arg0(SERVER).arg(dir).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn a_deployed_process_is_durable_and_each_tenant_has_its_own() {
    let world = World::new();
    let (acme, other) = (tenant("acme"), tenant("other"));
    world.runtime.block_on(async {
        let long = "x".repeat(253);
        let opened = open(&world.dir(), |_| {}).await;
        for id in ["waits", "urn:x:1.0_A", &long] {
            opened.backend.deploy(&acme, process(id, WAITS)).await.unwrap();
        }
        let taken = opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap_err();
        assert_eq!(taken.to_string(), "there is already process `waits`");
        let unknown = opened.backend.replace(&other, process("waits", WAITS)).await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no process `waits`");
        let changed = WAITS.replace("hello", "goodbye");
        opened.backend.replace(&acme, process("waits", &changed)).await.unwrap();
        opened.backend.undeploy(&acme, &"urn:x:1.0_A".parse().unwrap()).await.unwrap();
        drop(opened);

        let again = open(&world.dir(), |_| {}).await;
        let ids = again.backend.process_ids(&acme).await.unwrap();
        assert_eq!(ids.iter().map(ProcessId::as_str).collect::<Vec<_>>(), ["waits", long.as_str()]);
        assert!(again.backend.process_ids(&other).await.unwrap().is_empty());
        let waits = again.backend.process(&acme, &"waits".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((waits.deployed.cwl.as_str(), waits.mutable), (changed.as_str(), true));
        assert_eq!(waits.description["id"], "waits");
        assert!(again.backend.process(&other, &"waits".parse().unwrap()).await.unwrap().is_none());
        assert!(!world.dir().join("tenants/other").exists(), "looking creates nothing");
    });
}

fn a_job_runs_the_version_of_its_process_that_its_inputs_were_checked_against_or_not_at_all() {
    let world = World::new();
    let acme = tenant("acme");
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let id = "waits".parse().unwrap();
        let checked = opened.backend.process(&acme, &id).await.unwrap().unwrap().version.clone();
        assert!(checked.is_some());
        opened.backend.replace(&acme, process("waits", &WAITS.replace("hello", "goodbye"))).await.unwrap();
        let asked = || job("waits", json!({"folder": world.path(), "name": "a"}));
        let refused = opened.backend.create(&acme, NewJob { version: checked, ..asked() }).await.unwrap_err();
        let expected = "the process `waits` was changed while the request was looked at: send it again";
        assert_eq!(refused.to_string(), expected);
        assert!(jobs(&opened, &acme).await.is_empty());
        let version = opened.backend.process(&acme, &id).await.unwrap().unwrap().version.clone();
        let created = opened.backend.create(&acme, NewJob { version, ..asked() }).await.unwrap();
        fs::write(world.path().join("go"), "").unwrap();
        assert_eq!(finished(&opened, &acme, &created.id).await.phase, Phase::Successful);
    });
}

fn accepted_jobs_survive_kill_9() {
    let world = World::new();
    let acme = tenant("acme");
    let mut elsewhere = server(&world.dir());
    wait_for("jobs run elsewhere", || {
        ["ids", "started-a", "started-b"].iter().all(|name| world.path().join(name).exists())
    });
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
    let ids = fs::read_to_string(world.path().join("ids")).unwrap();
    let ids: Vec<JobId> = ids.lines().map(|id| id.parse().unwrap()).collect();
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        assert_eq!(jobs(&opened, &acme).await, ids.iter().rev().map(ToString::to_string).collect::<Vec<_>>());
        for (id, name) in ids.iter().zip(["a", "b", "c"]) {
            let found = opened.backend.job(&acme, id).await.unwrap().unwrap();
            assert_eq!(found.asked.outputs, Some(Map::new()));
            let record = finished(&opened, &acme, id).await;
            assert_eq!(record.phase, Phase::Successful, "{record:?}");
            let results = opened.backend.results(&acme, id).await.unwrap();
            let location = results["said"]["location"].as_str().unwrap();
            assert_eq!(location, format!("s3://results/{id}/said/said.txt"));
            let said = opened.backend.read_result(&acme, id, location).await.unwrap();
            assert_eq!(text(said).await, format!("hello from {name}\n"));
        }
        let said = log(&opened, &acme, &ids[0], "waits.log").await;
        assert_eq!(said, "waiting\n--- weir: attempt 1, incarnation 2 ---\nwaiting\n");
    });
    wait_for("nothing is left running", || processes_of(&world.path()).is_empty());
}

fn broken_files_harm_only_themselves() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        opened.backend.deploy(&acme, process("spoilt", WAITS)).await.unwrap();
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            let inputs = json!({"folder": world.path(), "name": name});
            let id = opened.backend.create(&acme, job("waits", inputs)).await.unwrap().id.clone();
            finished(&opened, &acme, &id).await;
            ids.push(id);
        }
        let own = world.dir().join("tenants/acme");
        let index = own.join("finished.jsonl");
        wait_for("all are in the index", || fs::read_to_string(&index).is_ok_and(|text| text.lines().count() == 3));
        drop(opened);

        fs::write(own.join("processes/spoilt.json"), "{").unwrap();
        fs::write(own.join("jobs").join(ids[1].as_str()).join("journal/0000000000"), "nonsense").unwrap();
        // The index is cut in the second line: its job and the third are read from their journals.
        let lines = fs::read_to_string(&index).unwrap();
        let end = lines.match_indices('\n').next().unwrap().0 + 20;
        fs::write(&index, &lines[..end]).unwrap();
        fs::create_dir(own.join("jobs/not a job")).unwrap();

        let again = open(&world.dir(), |_| {}).await;
        assert_eq!(again.backend.process_ids(&acme).await.unwrap().len(), 1);
        assert_eq!(jobs(&again, &acme).await.len(), 3);
        for id in &ids {
            let record = finished(&again, &acme, id).await;
            if record.phase == Phase::Failed {
                assert_eq!(*id, ids[1]);
                let message = record.message.as_deref().unwrap();
                assert!(message.starts_with("the job's journal cannot be used: "), "{message}");
            } else {
                assert_eq!(record.phase, Phase::Successful);
                assert!(again.backend.results(&acme, id).await.is_ok());
                assert_eq!(again.backend.texts(&acme, id).await.unwrap().len(), 2);
            }
        }
        again.backend.remove(&acme, &ids[1]).await.unwrap();
        again.backend.deploy(&acme, process("spoilt", WAITS)).await.unwrap();
    });
}

fn a_subscriber_is_told_once_also_after_a_restart() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let mut wanted = job("waits", json!({"folder": world.path(), "name": "a"}));
        let url = |name: &str| Some(format!("https://example.org/{name}"));
        wanted.subscriber =
            Some(Subscriber { success_uri: url("s"), in_progress_uri: url("p"), failed_uri: None, origin: None });
        let id = opened.backend.create(&acme, wanted).await.unwrap().id.clone();
        let first = opened.backend.next_notice().await.unwrap();
        assert_eq!((first.tenant.as_str(), &first.job.id, first.job.phase), ("acme", &id, Phase::Running));
        opened.backend.noticed(&first).await;
        let second = opened.backend.next_notice().await.unwrap();
        assert_eq!(second.job.phase, Phase::Successful);
        opened.backend.stop();
        assert!(opened.backend.next_notice().await.is_none());
        drop(opened);

        let again = open(&world.dir(), |_| {}).await;
        let told_again = again.backend.next_notice().await.unwrap();
        assert_eq!((told_again.job.phase, &told_again.job.subscriber), (Phase::Successful, &second.job.subscriber));
        again.backend.noticed(&told_again).await;
        drop(again);

        let last = open(&world.dir(), |_| {}).await;
        let nothing = tokio::time::timeout(Duration::from_millis(50), last.backend.next_notice()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    });
}

fn a_directory_is_used_by_one_weir() {
    let world = World::new();
    let _first = DirLock::take(&world.dir()).unwrap();
    let error = DirLock::take(&world.dir()).unwrap_err();
    assert!(matches!(error, OpenError::Used(_)), "{error}");
    assert!(error.to_string().ends_with("is used by another weir; stop that one, or choose another directory"));
}
