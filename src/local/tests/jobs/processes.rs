//! What becomes of processes: time limits, cancellation, strays, a killed launcher.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tokio::sync::watch;
use weir_api::{FailureClass, Phase};
use weir_cwl::Record;
use weir_local::launcher::{ARG0, Reply, Request, Sink, Tool};
use weir_local::publish::{IntoFolder, Publication, PublishError, Publisher};
use weir_local::{BackendError, Control};

use super::fixture::{Fixture, processes_of, trials};
use super::ordinary::WORDS;

pub fn trials() -> Vec<Trial> {
    trials![
        a_time_limit_ends_the_whole_group,
        a_tool_that_ignores_sigterm_is_killed_after_the_grace,
        cancelling_dismisses_the_job,
        cancelling_now_waits_for_no_grace,
        cancelling_twice_leaves_outputs_that_are_being_published_to_the_next_run,
        a_job_whose_outputs_cannot_be_published_can_be_cancelled,
        a_tool_that_is_stopped_before_it_was_started_does_not_run_on,
        what_a_tool_leaves_running_ends_with_it,
        a_killed_launcher_is_replaced_and_the_step_tried_again,
        one_job_is_run_by_one_process_at_a_time,
    ]
}

/// A tool that says that it runs, then sleeps, in several processes.
fn sleeper(script: &str, limit: u32) -> String {
    format!(
        r"
cwlVersion: v1.2
class: CommandLineTool
requirements: {{ToolTimeLimit: {{timelimit: {limit}}}}}
baseCommand: [sh, -c, '{script}']
inputs: {{mark: {{type: string, inputBinding: {{}}}}}}
outputs: {{}}
"
    )
}

fn a_time_limit_ends_the_whole_group() {
    let fixture = Fixture::new();
    let inputs = format!(r#"{{"mark": "{}"}}"#, fixture.path().join("mark").display());
    let finished = fixture.run(&sleeper("sleep 60 & sleep 60", 1), &inputs);
    assert_eq!(finished.phase, Phase::Failed);
    let failure = finished.failure.unwrap();
    assert_eq!(failure.class, FailureClass::TimeLimit);
    assert!(failure.message.contains("ToolTimeLimit of 1 s"), "{}", failure.message);
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}

fn a_tool_that_ignores_sigterm_is_killed_after_the_grace() {
    let fixture = Fixture::new();
    let inputs = format!(r#"{{"mark": "{}"}}"#, fixture.path().join("mark").display());
    let started = Instant::now();
    let finished = fixture.run(&sleeper(r#"trap "" TERM; while :; do sleep 0.1; done"#, 1), &inputs);
    assert_eq!(finished.failure.unwrap().class, FailureClass::TimeLimit);
    assert!(started.elapsed() > Duration::from_millis(1400), "{:?}", started.elapsed());
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}

fn a_tool_that_is_stopped_before_it_was_started_does_not_run_on() {
    let mut launcher = Command::new(std::env::current_exe().unwrap())
        .arg0(ARG0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let tool = Tool {
        program: "/bin/sleep".into(),
        arg0: "sleep".to_owned(),
        args: vec!["60".to_owned()],
        env: Vec::new(),
        cwd: "/".into(),
        stdin: None,
        stdout: Sink::Append("/dev/null".into()),
        stderr: Sink::Append("/dev/null".into()),
    };
    let mut requests = String::new();
    for id in 1..=20 {
        for request in [Request::Start { id, tool: Box::new(tool.clone()) }, Request::Stop { id, grace_ms: 0 }] {
            requests.push_str(&serde_json::to_string(&request).unwrap());
            requests.push('\n');
        }
    }
    let mut stdin = launcher.stdin.take().unwrap();
    stdin.write_all(requests.as_bytes()).unwrap();
    for reply in BufReader::new(launcher.stdout.take().unwrap()).lines().take(20) {
        let reply = serde_json::from_str(&reply.unwrap()).unwrap();
        let Reply::Exited { id, exit } = reply else { panic!("{reply:?}") };
        assert_eq!((exit.code, exit.signal), (None, Some(9)), "{id}");
    }
    drop(stdin);
    assert!(launcher.wait().unwrap().success());
}

fn cancelling_dismisses_the_job() {
    let fixture = Fixture::new();
    let mark = fixture.path().join("mark");
    let inputs = format!(r#"{{"mark": "{}"}}"#, mark.display());
    let package = sleeper(r#"touch "$0"; sleep 60 & sleep 60"#, 0);
    let finished = fixture.run_and_order(&package, &inputs, &mark, Control::Cancel);
    assert_eq!(finished.phase, Phase::Dismissed);
    assert_eq!(finished.failure.unwrap().class, FailureClass::Dismissed);
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}

fn cancelling_now_waits_for_no_grace() {
    let fixture = Fixture::with(|settings| settings.grace = Duration::from_mins(10));
    let mark = fixture.path().join("mark");
    let inputs = format!(r#"{{"mark": "{}"}}"#, mark.display());
    let package = sleeper(r#"trap "" TERM; touch "$0"; while :; do sleep 0.1; done"#, 0);
    let finished = fixture.run_and_order(&package, &inputs, &mark, Control::Now);
    assert_eq!(finished.phase, Phase::Dismissed);
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}

/// Its first publication does not end before it is told so, and writes nothing.
#[derive(Debug)]
struct Slow {
    has_begun: AtomicBool,
    may_end: AtomicBool,
}

impl Publisher for Slow {
    fn publish(&self, job: &Publication<'_>, outputs: Record) -> Result<Record, PublishError> {
        if self.has_begun.swap(true, Ordering::SeqCst) {
            return IntoFolder.publish(job, outputs);
        }
        while !self.may_end.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(PublishError::Refused("nobody waits for it".to_owned()))
    }
}

fn cancelling_twice_leaves_outputs_that_are_being_published_to_the_next_run() {
    let slow = Arc::new(Slow { has_begun: AtomicBool::new(false), may_end: AtomicBool::new(false) });
    let publisher: Arc<dyn Publisher> = slow.clone();
    let fixture = Fixture::with(|settings| settings.publisher = publisher);
    let run = fixture.submit(WORDS, r#"{"words": ["water"]}"#);
    let (control, receiver) = watch::channel(Control::Run);
    let publishes = Arc::clone(&slow);
    let person = std::thread::spawn(move || {
        while !publishes.has_begun.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        control.send_replace(Control::Cancel);
        control.send_replace(Control::Now);
    });
    let interrupted = fixture.obey(&run, receiver).unwrap_err();
    assert!(matches!(interrupted, BackendError::Interrupted), "{interrupted}");
    person.join().unwrap();
    assert_eq!(fixture.resume(&run).unwrap().phase, Phase::Successful);
    assert_eq!(std::fs::read_to_string(fixture.outdir().join("said.txt")).unwrap(), "water\n");
    slow.may_end.store(true, Ordering::SeqCst);
}

/// Has no room for anything.
#[derive(Debug)]
struct Full;

impl Publisher for Full {
    fn publish(&self, job: &Publication<'_>, _: Record) -> Result<Record, PublishError> {
        let (doing, source) = ("write", std::io::ErrorKind::StorageFull.into());
        Err(PublishError::Io { doing, path: job.spec.outdir.clone(), source })
    }
}

fn a_job_whose_outputs_cannot_be_published_can_be_cancelled() {
    let fixture = Fixture::with(|settings| settings.publisher = Arc::new(Full));
    let run = fixture.submit(WORDS, r#"{"words": ["water"]}"#);
    for _ in 0..2 {
        let error = fixture.resume(&run).unwrap_err();
        assert!(matches!(error, BackendError::Publish(_)), "{error}");
    }
    let (_control, cancelled) = watch::channel(Control::Cancel);
    assert_eq!(fixture.obey(&run, cancelled).unwrap().phase, Phase::Dismissed);
}

fn what_a_tool_leaves_running_ends_with_it() {
    let fixture = Fixture::new();
    let mark = fixture.path().join("mark");
    let inputs = format!(r#"{{"mark": "{}"}}"#, mark.display());
    // One in the tool's own group, one that left it and its parent.
    let package = sleeper("sleep 60 & setsid sh -c \"sleep 61 & sleep 62\" & sleep 0.2", 0);
    let finished = fixture.run(&package, &inputs);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}

fn a_killed_launcher_is_replaced_and_the_step_tried_again() {
    let fixture = Fixture::new();
    let mark = fixture.path().join("mark");
    let inputs = format!(r#"{{"mark": "{}"}}"#, mark.display());
    // The first try kills the launcher, its parent.
    let package = sleeper(r#"test -e "$0" || { touch "$0"; kill -9 $PPID; sleep 60; }"#, 0);
    let finished = fixture.run(&package, &inputs);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(finished.report.steps.len(), 2);
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}

fn one_job_is_run_by_one_process_at_a_time() {
    let fixture = Fixture::new();
    let mark = fixture.path().join("mark");
    let inputs = format!(r#"{{"mark": "{}"}}"#, mark.display());
    let run = fixture.submit(&sleeper(r#"touch "$0"; sleep 60"#, 0), &inputs);
    let mut other = fixture.run_elsewhere(&run);
    while !mark.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let error = fixture.resume(&run).unwrap_err();
    assert!(error.to_string().contains("another weir process is running this job"), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();
    // Its launcher ends its tools without anybody's help.
    let started = Instant::now();
    while !processes_of(&fixture.path()).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", processes_of(&fixture.path()));
        std::thread::sleep(Duration::from_millis(5));
    }
}
