//! Many jobs: how many run at a time, what they take, how quick they are.

use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::json;
use weir_api::Phase;
use weir_http::backend::{Backend, BackendError};

use super::world::{WAITS, World, finished, job, jobs, open, process, tenant, wait_for};
use crate::jobs::fixture::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        fifty_jobs_run_four_at_a_time_and_more_are_refused,
        ten_thousand_finished_jobs_are_read_at_once,
        small_jobs_are_quick,
    ]
}

fn fifty_jobs_run_four_at_a_time_and_more_are_refused() {
    let world = World::new();
    let acme = tenant("acme");
    let package = r"
cwlVersion: v1.2
class: CommandLineTool
id: counts
requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 16}}
baseCommand: [sh, -c, 'echo + >> $0; sleep 0.02; echo - >> $0']
inputs: {ledger: {type: string, inputBinding: {}}}
outputs: {}
";
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |settings| {
            (settings.jobs, settings.jobs_of_tenant, settings.unfinished_max) = (8, 4, 50);
        })
        .await;
        opened.backend.deploy(&acme, process("counts", package)).await.unwrap();
        let inputs = json!({"ledger": world.path().join("ledger")});
        let mut ids = Vec::new();
        let mut refused = None;
        for _ in 0..200 {
            match opened.backend.create(&acme, job("counts", inputs.clone())).await {
                Ok(record) => ids.push(record.id.clone()),
                Err(error) => drop(refused.get_or_insert(error)),
            }
            if refused.is_some() && ids.len() >= 50 {
                break;
            }
        }
        if let Some(refused) = refused {
            assert!(matches!(refused, BackendError::TooMany { retry_after: 1.., .. }), "{refused:?}");
        }
        assert!(ids.len() >= 50);
        for id in &ids {
            assert_eq!(finished(&opened, &acme, id).await.phase, Phase::Successful);
        }
        let ledger = fs::read_to_string(world.path().join("ledger")).unwrap();
        let (mut at_once, mut most) = (0_i32, 0);
        for line in ledger.lines() {
            at_once += if line == "+" { 1 } else { -1 };
            most = most.max(at_once);
        }
        assert_eq!((at_once, ledger.lines().count()), (0, 2 * ids.len()));
        assert!(most <= 4, "{most} at once");
    });
}

fn ten_thousand_finished_jobs_are_read_at_once() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        let mut wanted = job("waits", json!({"folder": world.path(), "name": "a"}));
        wanted.package = Some(WAITS.to_owned());
        let id = opened.backend.create(&acme, wanted).await.unwrap().id.clone();
        finished(&opened, &acme, &id).await;
        let own = world.dir().join("tenants/acme");
        let index = own.join("finished.jsonl");
        wait_for("it is in the index", || fs::read_to_string(&index).is_ok_and(|text| text.ends_with('\n')));
        drop(opened);

        let line = fs::read_to_string(&index).unwrap();
        let mut lines = String::new();
        for number in 0..10_000 {
            let other = format!("00000000-0000-7000-8000-{number:012}");
            fs::create_dir(own.join("jobs").join(&other)).unwrap();
            lines += &line.replace(id.as_str(), &other);
        }
        fs::write(&index, lines + &line).unwrap();
        let before = resident_kib();
        let started = Instant::now();
        let again = open(&world.dir(), |_| {}).await;
        let took = started.elapsed();
        let listed = jobs(&again, &acme).await;
        assert_eq!(listed.len(), 10_001);
        let more = resident_kib().saturating_sub(before);
        println!("10,001 finished jobs: open in {took:?}, {more} KiB more resident");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

fn small_jobs_are_quick() {
    let package = r"
cwlVersion: v1.2
class: ExpressionTool
id: same
inputs: {number: int}
outputs: {number: int}
expression: '$({number: inputs.number})'
requirements: {InlineJavascriptRequirement: {}}
";
    for fsync in [false, true] {
        let world = World::new();
        let acme = tenant("acme");
        world.runtime.block_on(async {
            let opened = open(&world.dir(), |settings| settings.engine.fsync = fsync).await;
            opened.backend.deploy(&acme, process("same", package)).await.unwrap();
            let started = Instant::now();
            let mut ids = Vec::new();
            for number in 0..200 {
                let created = opened.backend.create(&acme, job("same", json!({"number": number}))).await.unwrap();
                ids.push(created.id.clone());
            }
            let accepted = started.elapsed();
            for (number, id) in ids.iter().enumerate() {
                let record = finished(&opened, &acme, id).await;
                assert_eq!(
                    (record.phase, record.message.as_deref()),
                    (Phase::Successful, Some("its only step succeeded"))
                );
                assert_eq!(opened.backend.results(&acme, id).await.unwrap()["number"], number);
            }
            println!("200 jobs, fsync {fsync}: accepted in {accepted:?}, over in {:?}", started.elapsed());
        });
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
