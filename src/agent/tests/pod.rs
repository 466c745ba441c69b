//! Both programs as processes, without Kubernetes: a folder stands for the pod's volume, a small HTTP server for the
//! operator and the store. In `operator` they meet the real ones.

mod operator;
mod world;

use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use weir_api::FailureClass;
use weir_api::agent::{ClaimAnswer, Content, Contents, Ending, EntryKind, LinkTarget, TerminationMessage};
use weir_api::limits::LOG_BYTES_MAX;

use world::{Fault, World};

#[test]
fn a_tools_outputs_and_log_are_stored_and_acknowledged() {
    let world = World::new();
    world.object("scene.tif", b"pixels");
    let scene = world.placed_url("in/1/scene.tif", "scene.tif");
    let config = world.placed_literal("out/config.txt", "mode=fast");
    let mut order = world.shell(
        "cat \"$SCENE\" config.txt > both.txt; mkdir -p d/e; echo deep > d/e/f; echo on stdout; echo on stderr >&2; pwd; echo $HOME",
    );
    order.env.push(("SCENE".to_owned(), scene.path.clone()));
    order.placements = vec![scene, config];
    let outdir = order.outdir.clone();
    let end = world.run(order);
    assert_eq!((end.agent, end.shim), (Some(0), Some(0)), "{}", end.shim_stderr);
    let exited = world.last_exited();
    assert_eq!(exited.ending, Ending::Code(0));
    assert_eq!(exited.stderr_tail.as_deref(), Some("on stderr"));
    assert!(exited.usage.memory_peak_bytes > 0 && exited.usage.started_ms <= exited.usage.finished_ms);
    assert_eq!(world.stored("both.txt").unwrap(), b"pixelsmode=fast");
    assert_eq!(world.stored("d/e/f").unwrap(), b"deep\n");
    let log = String::from_utf8(world.stored("log").unwrap()).unwrap();
    for line in ["on stdout", "on stderr", &outdir] {
        assert!(log.lines().any(|logged| logged == line), "{log}");
    }
    assert!(end.shim_stdout.contains("on stdout") && end.shim_stderr.contains("on stderr"));
    let complete = world.completes().pop().unwrap();
    let both = complete.uploaded.iter().find(|file| file.path == "both.txt").unwrap();
    assert_eq!((both.size, both.sha256.as_str()), (15, world::sha256(b"pixelsmode=fast").as_str()));
    assert_eq!(complete.log_bytes, Some(log.len() as u64));
    let last: TerminationMessage = serde_json::from_slice(&end.termination).unwrap();
    assert_eq!((last.agent.as_str(), last.ending), ("completed", Some(Ending::Code(0))));
}

#[test]
fn an_operator_is_known_by_its_own_authority_only() {
    let world = World::with_tls();
    world.object("a", b"water");
    let mut order = world.shell("cp ../in/1/a copy");
    order.placements = vec![world.placed_url("in/1/a", "a")];
    let end = world.run(order);
    assert_eq!((end.agent, end.shim), (Some(0), Some(0)), "{}", end.shim_stderr);
    assert_eq!(world.stored("copy").unwrap(), b"water");

    let other = World::with_tls();
    std::fs::copy(world.ca(), other.ca()).unwrap();
    other.order(other.shell("true"));
    let mut agent = other.start_agent();
    let mut said = std::io::BufReader::new(agent.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("invalid peer certificate")));
    world::until_terminable(&agent);
    world::terminate(&agent);
    // What it says at last must find a reader.
    said.for_each(drop);
    assert_eq!(world::wait(agent).0, Some(143));
    assert!(other.requests().is_empty());
}

#[test]
fn the_tools_output_shows_in_its_container_while_it_runs() {
    let world = World::new();
    world.order(world.shell("echo to stdout; echo to stderr >&2; while [ ! -e go ]; do sleep 0.01; done"));
    let (agent, mut shim) = (world.start_agent(), world.start_shim());
    let mut line = String::new();
    std::io::BufReader::new(shim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "to stdout\n");
    line.clear();
    std::io::BufReader::new(shim.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "to stderr\n");
    assert!(world.requests().iter().all(|request| !request.contains("/agent/v1/exited")));
    std::fs::write(world.work("out/go"), "").unwrap();
    assert_eq!((world::wait(shim).0, world::wait(agent).0), (Some(0), Some(0)));
}

#[test]
fn an_exit_code_is_passed_on_and_nothing_is_uploaded() {
    let world = World::new();
    let end = world.run(world.shell("echo wrong >&2; exit 3"));
    assert_eq!((end.agent, end.shim), (Some(0), Some(3)));
    let exited = world.last_exited();
    assert_eq!((exited.ending, exited.stderr_tail.as_deref()), (Ending::Code(3), Some("wrong")));
    assert_eq!(exited.log_bytes, Some(6));
    assert!(world.completes().is_empty());
}

#[test]
fn a_report_that_is_too_long_for_the_operator_says_so_and_how_the_tool_ended() {
    let world = World::new();
    world.read_back(["big"]);
    // Bytes that are no text come as two digits each.
    let end = world.run(world.shell("head -c 34000000 /dev/zero | tr '\\0' '\\377' > big"));
    assert_eq!((end.agent, end.shim), (Some(0), Some(0)), "{}", end.shim_stderr);
    let exited = world.last_exited();
    assert_eq!((exited.ending, exited.contents.len(), exited.listing.entries.len()), (Ending::Code(0), 0, 0));
    let incomplete = exited.listing.incomplete.unwrap();
    assert!(incomplete.contains("and 67108864 are taken; write fewer files"), "{incomplete}");
    assert!(world.completes().is_empty());
}

#[test]
fn a_tool_beyond_its_time_limit_is_stopped_with_its_children() {
    let world = World::new();
    let mut order = world.shell("sleep 600 & setsid sleep 600 & echo $! > pid; sleep 600");
    order.time_limit_seconds = Some(1);
    let end = world.run(order);
    assert_eq!(end.shim, Some(128 + 15));
    let exited = world.last_exited();
    assert_eq!(exited.ending, Ending::Signal(15));
    assert!(exited.hints.time_limit && !exited.hints.terminated);
    World::assert_gone(&world.work("out/pid"));
}

#[test]
fn a_missing_program_is_named() {
    let world = World::new();
    let mut order = world.shell("");
    order.argv = vec!["no-such-program".to_owned()];
    let end = world.run(order);
    assert_eq!((end.agent, end.shim), (Some(0), Some(127)));
    let Ending::Failed { class, message } = world.last_exited().ending else { panic!("it ran") };
    assert_eq!(class, FailureClass::ToolFailed);
    assert!(message.contains("`no-such-program`") && message.contains("PATH"), "{message}");
}

#[test]
fn long_values_come_by_file_and_a_long_argument_is_refused_with_advice() {
    let world = World::new();
    let placed = world.placed_literal("in/1/long", &"x".repeat(400_000));
    let mut order = world.shell("wc -c < $IN > count");
    order.env.push(("IN".to_owned(), placed.path.clone()));
    order.placements = vec![placed];
    assert_eq!(world.run(order).shim, Some(0));
    assert_eq!(world.stored("count").unwrap(), b"400000\n");

    let world = World::new();
    let mut order = world.shell("true");
    order.argv.push("x".repeat(400_000));
    let end = world.run(order);
    assert_eq!(end.shim, Some(126));
    let Ending::Failed { class, message } = world.last_exited().ending else { panic!("it ran") };
    assert_eq!(class, FailureClass::ToolFailed);
    assert!(message.contains("400000 bytes") && message.contains("in a file"), "{message}");
}

#[test]
fn an_input_that_is_not_there_is_named_with_its_status() {
    let world = World::new();
    let mut order = world.shell("echo ran > ran");
    order.placements = vec![world.placed_url("in/1/a", "missing?X-Amz-Signature=secret")];
    let end = world.run(order);
    assert_eq!((end.agent, end.shim), (Some(0), Some(125)));
    let Ending::Failed { class, message } = world.last_exited().ending else { panic!("it ran") };
    assert_eq!(class, FailureClass::StageIn);
    assert!(message.contains("/data/missing") && message.contains("404") && !message.contains("secret"), "{message}");
    assert!(end.shim_stderr.contains("/data/missing"), "{}", end.shim_stderr);
}

#[test]
fn an_input_is_fetched_through_errors_and_broken_connections() {
    let world = World::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    world.object("big", &bytes);
    world.fault("/data/big", [Fault::Status(503), Fault::Drop, Fault::Cut(1_000_000), Fault::Cut(2_500_000)]);
    let mut order = world.shell("cp $IN copy");
    let placed = world.placed_url("in/1/big", "big");
    order.env.push(("IN".to_owned(), placed.path.clone()));
    order.placements = vec![placed];
    let end = world.run(order);
    assert_eq!(end.shim, Some(0), "{}", end.shim_stderr);
    assert_eq!(world.stored("copy").unwrap(), bytes);
    assert!(world.requests().iter().any(|request| request.contains("bytes=1000000-")), "{:?}", world.requests());
}

#[test]
fn an_input_with_another_digest_is_refused() {
    let world = World::new();
    world.object("a", b"wine");
    let mut placed = world.placed_url("in/1/a", "a");
    placed.content = match placed.content {
        Content::Url { url, .. } => Content::Url { url, sha256: Some(world::sha256(b"water")), size: None },
        other => other,
    };
    let mut order = world.shell("true");
    order.placements = vec![placed];
    world.run(order);
    let Ending::Failed { class, message } = world.last_exited().ending else { panic!("it ran") };
    assert!(class == FailureClass::StageIn && message.contains("SHA-256"), "{message}");
}

#[test]
fn a_placement_outside_of_the_working_folder_is_refused() {
    let world = World::new();
    let mut order = world.shell("true");
    let target = world.folder().join("work/in/../../outside");
    let mut placed = world.placed_literal("in/a", "");
    placed.path = target.to_string_lossy().into_owned();
    order.placements = vec![placed];
    world.run(order);
    assert!(matches!(world.last_exited().ending, Ending::Failed { class: FailureClass::Unsupported, .. }));
    assert!(!world.folder().join("outside").exists());
}

#[test]
fn redirected_streams_become_files_and_stdin_is_read() {
    let world = World::new();
    let mut order = world.shell("cat; echo err >&2");
    let placed = world.placed_literal("in/1/text", "from stdin\n");
    order.stdin = Some(placed.path.clone());
    order.placements = vec![placed];
    order.stdout = Some("sub/out.txt".to_owned());
    order.stderr = Some("sub/out.txt".to_owned());
    let end = world.run(order);
    assert_eq!(end.shim, Some(0));
    assert_eq!(world.stored("sub/out.txt").unwrap(), b"from stdin\nerr\n");
    assert_eq!(world.stored("log").unwrap(), b"");
    assert_eq!(end.shim_stdout, "");
    assert_eq!(world.last_exited().stderr_tail.as_deref(), Some("from stdin\nerr"));
}

#[test]
fn large_outputs_arrive_whole_though_the_store_stumbles() {
    let world = World::new();
    world.fault("/put/a.bin", [Fault::Status(500), Fault::Drop, Fault::Status(429)]);
    world.fault("/agent/v1/complete", [Fault::Drop, Fault::Status(503)]);
    let end = world.run(world.shell("for f in a b c; do head -c 1048576 /dev/zero | tr '\\0' $f > $f.bin; done"));
    assert_eq!(end.agent, Some(0));
    for name in ["a", "b", "c"] {
        assert_eq!(world.stored(&format!("{name}.bin")).unwrap(), name.repeat(1 << 20).into_bytes());
    }
    let completes = world.completes();
    assert_eq!(completes[0].failure, None);
    assert_eq!(completes[0].exited, world.last_exited());
}

#[test]
fn an_output_that_the_store_refuses_is_told() {
    let world = World::new();
    world.fault("/put/a", [Fault::Status(403)]);
    world.run(world.shell("echo > a"));
    let failure = world.completes().pop().unwrap().failure.unwrap();
    assert!(failure.class == FailureClass::Platform && failure.message.contains("403"), "{}", failure.message);
}

#[test]
fn links_say_where_they_lead_and_secrets_stay_secret() {
    let world = World::new();
    let placed = world.placed_literal("in/1/scene", "");
    let mut order = world.shell(
        "echo a > a; ln -s a inside; ln -s $SCENE staged; ln -s /etc/passwd outside; ln -s nothing dangling; \
         ln -s ../../token token; ln -s loop loop; mkfifo pipe",
    );
    order.env.push(("SCENE".to_owned(), placed.path.clone()));
    order.placements = vec![placed.clone()];
    world.read_back(["inside", "token", "a"]);
    let end = world.run(order);
    assert_eq!(end.agent, Some(0));
    let exited = world.last_exited();
    let kind = |path: &str| exited.listing.entries.iter().find(|entry| entry.path == path).map(|it| it.kind.clone());
    assert_eq!(kind("a"), Some(EntryKind::File { size: 2 }));
    assert_eq!(kind("inside"), Some(EntryKind::Link(LinkTarget::Inside("a".to_owned()))));
    assert_eq!(kind("staged"), Some(EntryKind::Link(LinkTarget::Staged(placed.path))));
    assert_eq!(kind("outside"), Some(EntryKind::Link(LinkTarget::Outside("/etc/passwd".to_owned()))));
    assert_eq!(kind("dangling"), Some(EntryKind::Link(LinkTarget::Inside("nothing".to_owned()))));
    assert!(matches!(kind("token"), Some(EntryKind::Link(LinkTarget::Outside(_)))));
    assert_eq!((kind("loop"), kind("pipe")), (None, None));
    assert_eq!(exited.contents["inside"], Contents::Text("a\n".to_owned()));
    assert!(matches!(exited.contents["token"], Contents::Unreadable(_)));
}

#[test]
fn an_operator_that_is_away_is_invisible_to_the_tool() {
    let world = World::new();
    world.set_down(true);
    world.order(world.shell("touch running; while [ ! -e go ]; do sleep 0.01; done; echo done > result"));
    let (agent, shim) = (world.start_agent(), world.start_shim());
    std::thread::sleep(Duration::from_millis(300));
    world.set_down(false);
    World::wait_for(&world.work("out/running"));
    world.set_down(true);
    std::fs::write(world.work("out/go"), "").unwrap();
    let code = world::wait(shim).0;
    assert_eq!(code, Some(0));
    std::thread::sleep(Duration::from_millis(300));
    world.set_down(false);
    assert_eq!(world::wait(agent).0, Some(0));
    assert_eq!(world.stored("result").unwrap(), b"done\n");
}

#[test]
fn when_the_agent_is_killed_the_tool_dies() {
    let world = World::new();
    world.order(world.shell("setsid sleep 600 & echo $! > pid; touch running; sleep 600"));
    let (mut agent, shim) = (world.start_agent(), world.start_shim());
    World::wait_for(&world.work("out/running"));
    agent.kill().unwrap();
    let (code, stderr) = world::wait(shim);
    assert_eq!(code, Some(125));
    assert!(stderr.contains("the agent is gone"), "{stderr}");
    World::assert_gone(&world.work("out/pid"));
    agent.wait().unwrap();
    let second = world.start_agent();
    let (code, stderr) = world::wait(second);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("has run in this pod before"), "{stderr}");
}

#[test]
fn a_shim_that_is_killed_is_reported_as_disrupted() {
    let world = World::new();
    world.order(world.shell("touch running; exec sleep 60"));
    let (agent, mut shim) = (world.start_agent(), world.start_shim());
    World::wait_for(&world.work("out/running"));
    shim.kill().unwrap();
    shim.wait().unwrap();
    assert_eq!(world::wait(agent).0, Some(0));
    assert!(matches!(world.last_exited().ending, Ending::Failed { class: FailureClass::Disrupted, .. }));
}

#[test]
fn a_superseded_agent_leaves_before_the_tool_starts() {
    let world = World::new();
    world.claims([ClaimAnswer::Wait {}, ClaimAnswer::Wait {}, ClaimAnswer::Superseded {}]);
    let end = world.run(world.shell("touch ran"));
    assert_eq!((end.agent, end.shim), (Some(0), Some(0)));
    assert!(end.shim_stderr.contains("superseded"), "{}", end.shim_stderr);
    assert!(!world.work("out").exists());
    let gone = World::new();
    gone.fault("/agent/v1/exited", [Fault::Status(410)]);
    let end = gone.run(gone.shell("true"));
    assert_eq!((end.agent, end.shim), (Some(0), Some(0)));
    assert!(gone.completes().is_empty());
}

#[test]
fn a_new_token_is_used_as_soon_as_it_is_there() {
    let world = World::new();
    world.order(world.shell("true"));
    std::fs::write(world.token(), "old").unwrap();
    let (agent, shim) = (world.start_agent(), world.start_shim());
    while !world.requests().iter().any(|request| request.contains("Bearer old")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(world.token(), "secret").unwrap();
    assert_eq!((world::wait(agent).0, world::wait(shim).0), (Some(0), Some(0)));
}

#[test]
fn signals_reach_the_tool_and_its_end_is_still_reported() {
    let world = World::new();
    world.order(world.shell("trap 'exit 7' TERM; touch running; while :; do sleep 0.05; done"));
    let (agent, shim) = (world.start_agent(), world.start_shim());
    World::wait_for(&world.work("out/running"));
    world::terminate(&shim);
    assert_eq!(world::wait(shim).0, Some(7));
    assert_eq!(world::wait(agent).0, Some(0));
    let exited = world.last_exited();
    assert_eq!(exited.ending, Ending::Code(7));
    assert!(exited.hints.terminated);
}

#[test]
fn without_work_a_termination_ends_both_at_once() {
    let world = World::new();
    world.set_down(true);
    let agent = world.start_agent();
    world::until("the operator is not asked", || !world.requests().is_empty());
    let socket = world.folder().join("agent.sock");
    world::until("the agent does not listen", || socket.exists());
    let shim = world.start_shim();
    // The agent removes it once it has accepted.
    world::until("there is no connection", || !socket.exists());
    world::until_terminable(&agent);
    let begin = Instant::now();
    world::terminate(&agent);
    assert_eq!(world::wait(agent).0, Some(143));
    let (code, stderr) = world::wait(shim);
    assert_eq!(code, Some(125), "{stderr}");
    assert!(begin.elapsed() < Duration::from_secs(10), "neither waits for the other");
}

#[test]
fn the_network_can_be_denied() {
    let world = World::new();
    let script = "python3 -c 'import socket; socket.socket(socket.AF_UNIX); socket.socket()'";
    let mut order = world.shell(script);
    order.deny_network = true;
    world.run(order);
    let exited = world.last_exited();
    assert_eq!(exited.ending, Ending::Code(1));
    assert!(exited.stderr_tail.as_deref().is_some_and(|tail| tail.contains("unreachable")), "{exited:?}");
}

#[test]
fn unreadable_outputs_are_repaired_and_zombies_are_reaped() {
    let world = World::new();
    let end =
        world.run(world.shell("umask 777; mkdir d; chmod 700 d; echo a > d/a; chmod 0 d/a d; (true &) ; sleep 0.1"));
    assert_eq!(end.agent, Some(0));
    assert_eq!(world.stored("d/a").unwrap(), b"a\n");
}

#[test]
fn a_log_of_any_length_is_stored_within_its_limit() {
    let world = World::new();
    let end = world.run(world.shell("echo first; head -c 80000000 /dev/zero; echo last"));
    assert_eq!(end.shim, Some(0));
    let log = world.stored("log").unwrap();
    assert!(log.starts_with(b"first\n") && log.ends_with(b"last\n"));
    assert!((LOG_BYTES_MAX..LOG_BYTES_MAX + 100).contains(&(log.len() as u64)));
}

#[test]
fn the_shim_gives_up_without_an_agent_when_it_is_told_to_end() {
    let world = World::new();
    let shim = world.start_shim();
    world::until_terminable(&shim);
    world::terminate(&shim);
    assert_eq!(world::wait(shim).0, Some(143));
}

#[test]
fn the_images_environment_stays_below_the_orders() {
    let world = World::new();
    let mut order = world.shell("echo $FROM_IMAGE $BOTH > env");
    order.env.push(("BOTH".to_owned(), "order".to_owned()));
    world.order(order);
    let agent = world.start_agent();
    let shim = world.start_shim_with(&[("FROM_IMAGE", "image"), ("BOTH", "image")]);
    assert_eq!((world::wait(shim).0, world::wait(agent).0), (Some(0), Some(0)));
    assert_eq!(world.stored("env").unwrap(), b"image order\n");
}

#[test]
fn the_shim_is_installed_beside_the_tool() {
    let world = World::new();
    let install = |folder: &std::path::Path| {
        let mut agent = std::process::Command::new(env!("CARGO_BIN_EXE_weir-agent"));
        agent.arg("install").arg(folder).env_clear().current_dir("/").output().unwrap()
    };
    assert!(install(world.folder()).status.success());
    let installed = world.folder().join("shim");
    let first = std::fs::read(&installed).unwrap();
    assert_eq!(first, std::fs::read(env!("CARGO_BIN_EXE_weir-shim")).unwrap());
    // Again, while it runs: by hook and by init container, or because the kubelet repeats the hook.
    let shim = std::process::Command::new(&installed).arg(world.folder()).spawn().unwrap();
    assert!(install(world.folder()).status.success());
    world::terminate(&shim);
    assert!(matches!(world::wait(shim).0, Some(143) | None));
    assert_eq!(std::fs::metadata(&installed).unwrap().permissions().mode() & 0o777, 0o755);
    let mut left: Vec<_> = std::fs::read_dir(world.folder()).unwrap().flatten().map(|it| it.file_name()).collect();
    left.sort();
    assert_eq!(left, ["shim", "token"]);
    let nowhere = install(std::path::Path::new("/no/such/folder"));
    let stderr = String::from_utf8_lossy(&nowhere.stderr);
    assert!(!nowhere.status.success() && stderr.contains("/no/such/folder"), "{stderr}");
}
