//! Promises of the worker process, kept against real processes: this program starts itself again
//! as a worker, as `weir` does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use weir_script::{Kind, Pool, Request, ScriptError, Worker, WorkerCommand, sandbox};

/// The name under which this program enters the sandbox and tries to break out.
const PROBE: &str = "probe";

/// The name under which this program owns a worker that never stops computing.
const OWNER: &str = "owner";

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || { $name(); Ok::<(), Failed>(()) })),*]
    };
}

fn main() -> ExitCode {
    if weir_script::called_as_worker() {
        return weir_script::worker_main();
    }
    match std::env::args().next().as_deref() {
        Some(PROBE) => {
            probe();
            return ExitCode::SUCCESS;
        }
        Some(OWNER) => {
            own_a_busy_worker();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let mut trials = trials![
        values_come_back_as_javascript_prints_them,
        unicode_survives,
        modern_language_works,
        library_is_visible_and_sees_the_variables,
        the_library_cannot_replace_the_variables,
        syntax_errors_name_line_and_column,
        exceptions_name_line_and_column,
        a_mistake_in_the_library_names_its_entry,
        assignment_to_an_undeclared_variable_fails,
        nothing_of_a_host_is_there,
        values_without_json_form_are_errors,
        an_infinite_loop_ends_at_its_time_limit,
        a_loop_that_catches_everything_ends_at_its_time_limit,
        a_hanging_to_json_ends_at_its_time_limit,
        a_backtracking_regex_ends_at_its_time_limit,
        a_native_loop_is_ended_by_the_owner,
        an_allocation_bomb_ends_at_the_memory_limit,
        recursion_without_end_is_told_as_such,
        requests_and_results_have_a_maximum_size,
        a_result_of_one_mebibyte_comes_back,
        many_big_requests_and_results_do_not_block_each_other,
        nothing_leaks_between_elements_of_a_batch,
        a_failure_harms_only_its_own_request,
        a_killed_worker_is_replaced,
        a_stopped_worker_is_replaced_and_the_rest_of_its_batch_runs,
        a_worker_outlives_the_thread_that_started_it,
        a_busy_worker_dies_with_its_owner,
        a_program_that_is_no_worker_is_named,
        a_pool_serves_more_threads_than_it_has_workers,
        all_layers_of_the_sandbox_stand,
        the_sandbox_refuses_files_sockets_processes_and_threads,
        the_worker_has_no_environment_and_lives_under_its_filter,
    ];
    trials.push(
        Trial::test("figures", || {
            figures();
            Ok(())
        })
        .with_ignored_flag(true),
    );
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

// Values

fn values_come_back_as_javascript_prints_them() {
    let cases = [
        ("5", "5"),
        ("5.0", "5"),
        ("1e42", "1e+42"),
        ("0.1+0.2", "0.30000000000000004"),
        ("12345678901234567890", "12345678901234567000"),
        ("0/0", "null"),
        ("undefined", "null"),
        ("null", "null"),
        ("'a' + 1", "\"a1\""),
        ("{a: [1, true, {}], b: undefined}", "{\"a\":[1,true,{}]}"),
        ("1 // a comment at the end", "1"),
        ("inputs.x + self[1] + runtime.cores", "12"),
    ];
    for (source, expected) in cases {
        assert_eq!(expression(source), Ok(expected.to_owned()), "{source}");
    }
    assert_eq!(body("return 1;"), Ok("1".to_owned()));
    assert_eq!(body("var unused = 1;"), Ok("null".to_owned()));
}

fn unicode_survives() {
    let text = "é 水 🌍 \u{2028} \\u0000 \"\\\\";
    let json = serde_json::to_string(text).unwrap();
    let request = Request { inputs: &json, ..request("inputs") };
    let back = one(&request).unwrap();
    assert_eq!(serde_json::from_str::<String>(&back).unwrap(), text);
    assert_eq!(expression("'水'.length + '🌍'.length"), Ok("3".to_owned()));
    // Half of a surrogate pair stays JSON.
    assert_eq!(expression("'🌍'[0]"), Ok("\"\\ud83c\"".to_owned()));
}

fn modern_language_works() {
    let source = "const {a, ...rest} = {a: 1, b: 2}; let f = (x = 3) => `${x}-${a}`;
        class P { get v() { return [...new Set([1, 1, 2])].includes(2); } }
        return [f(), rest, new P().v, JSON.parse('[1]'), 2 ** 3, null ?? 4, 'ab'.replace(/(?<x>a)/u, '$<x>!'),
            typeof new Date().getTime(), new Date(0).getTimezoneOffset(), Math.random() < 1];";
    let expected = r#"["3-1",{"b":2},true,[1],8,4,"a!b","number",0,true]"#;
    assert_eq!(body(source), Ok(expected.to_owned()));
}

fn library_is_visible_and_sees_the_variables() {
    let library = [
        "function twice(x) { return 2 * x; }".to_owned(),
        "var four = twice(2); const add = (x) => x + inputs.x; sloppy = 1;".to_owned(),
    ];
    let request = Request { library: &library, ..request("[twice(3), four, add(1), sloppy]") };
    assert_eq!(one(&request), Ok("[6,4,2,1]".to_owned()));
}

fn the_library_cannot_replace_the_variables() {
    let library = ["var early = inputs; inputs = 3; var runtime = {cores: 0};".to_owned()];
    let request = Request { library: &library, ..request("[early, inputs.x, runtime.cores]") };
    assert_eq!(one(&request), Ok("[null,1,8]".to_owned()));
}

// Mistakes

fn syntax_errors_name_line_and_column() {
    assert_snapshot!(expression("1 +* 2").unwrap_err(), @"SyntaxError: unexpected token in expression: '*' (at line 1, column 4 of the expression)");
    assert_snapshot!(expression("").unwrap_err(), @"SyntaxError: unexpected token in expression: ')' (at line 1, column 1 of the expression)");
    assert_snapshot!(body("var a = 1;\n  return a b;").unwrap_err(), @"SyntaxError: expecting ';' (at line 2, column 12 of the expression)");
    assert_snapshot!(body("if (true) {\n  return 1;").unwrap_err(), @"SyntaxError: unexpected token in expression: ')' (at line 2, column 2 of the expression)");
}

fn exceptions_name_line_and_column() {
    assert_snapshot!(expression("inputs.missing.length").unwrap_err(), @"TypeError: cannot read property 'length' of undefined (at line 1, column 1 of the expression)");
    assert_snapshot!(body("var a = 1;\n\n  return a.b.c;").unwrap_err(), @"TypeError: cannot read property 'c' of undefined (at line 3, column 10 of the expression)");
    assert_snapshot!(body("throw new Error('no tiles')").unwrap_err(), @"Error: no tiles (at line 1, column 11 of the expression)");
    assert_snapshot!(body("throw {code: 3}").unwrap_err(), @r#"uncaught exception: {"code":3}"#);
    assert_snapshot!(body("throw undefined").unwrap_err(), @"uncaught exception: a value without JSON form");
    assert_snapshot!(one(&Request { inputs: "{x", ..request("1") }).unwrap_err(), @"the variable `inputs` is not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)");
}

fn a_mistake_in_the_library_names_its_entry() {
    let library = ["var fine = 1;".to_owned(), "function f(x) {\n  return x.y.z;\n}".to_owned()];
    let call = Request { library: &library, ..request("f({})") };
    assert_snapshot!(one(&call).unwrap_err(), @"TypeError: cannot read property 'z' of undefined (at line 2, column 10 of expressionLib[1])");
    let library = ["function (".to_owned()];
    let call = Request { library: &library, ..request("1") };
    assert_snapshot!(one(&call).unwrap_err(), @"SyntaxError: function name expected (at line 1, column 10 of expressionLib[0])");
}

fn assignment_to_an_undeclared_variable_fails() {
    assert_snapshot!(body("x = 1; return x;").unwrap_err(), @"ReferenceError: x is not defined (at line 1, column 1 of the expression)");
}

fn nothing_of_a_host_is_there() {
    let names = [
        "require",
        "process",
        "std",
        "os",
        "print",
        "fetch",
        "setTimeout",
        "XMLHttpRequest",
        "Deno",
        "performance",
        "scriptArgs",
        "WebAssembly",
        "Worker",
    ];
    for name in names {
        assert_eq!(expression(&format!("typeof {name}")), Ok("\"undefined\"".to_owned()), "{name}");
    }
    assert!(matches!(body("import os from 'os'"), Err(ScriptError::Syntax { .. })));
    assert!(matches!(expression("import('os')"), Err(ScriptError::NotJson { .. })));
}

fn values_without_json_form_are_errors() {
    assert_snapshot!(expression("function () {}").unwrap_err(), @"the expression returned a function, which has no JSON form");
    assert_snapshot!(body("var a = {}; a.a = a; return a;").unwrap_err(), @"the expression returned a value that contains itself, which has no JSON form");
    assert_snapshot!(expression("1n").unwrap_err(), @"the expression returned a BigInt, which has no JSON form");
    assert_snapshot!(expression("Symbol()").unwrap_err(), @"the expression returned a symbol, which has no JSON form");
    assert_snapshot!(expression("[1n]").unwrap_err(), @"TypeError: BigInt are forbidden in JSON.stringify");
}

// Limits

const SHORT: Duration = Duration::from_millis(200);

fn an_infinite_loop_ends_at_its_time_limit() {
    assert_snapshot!(within_short("while (true) {}").unwrap_err(), @"the expression ran longer than 0.2 s");
}

fn a_loop_that_catches_everything_ends_at_its_time_limit() {
    let source = "while (true) { try { while (true) {} } catch (e) {} finally { continue; } }";
    assert_eq!(within_short(source), late());
}

fn a_hanging_to_json_ends_at_its_time_limit() {
    assert_eq!(within_short("return {toJSON() { while (true) {} }};"), late());
    let source = "throw Object.defineProperty(new Error(), 'message', {get() { while (true) {} }})";
    assert_eq!(within_short(source), late());
}

fn a_backtracking_regex_ends_at_its_time_limit() {
    assert_eq!(within_short("return /^(a+)+$/.test('a'.repeat(40) + '!');"), late());
}

fn a_native_loop_is_ended_by_the_owner() {
    // The engine does not look at the clock inside `join`.
    let endless = Request { time_limit: SHORT, ..body_request("return new Array(4e9).join('')") };
    let begin = Instant::now();
    assert_eq!(worker().evaluate(&[endless, request("2")]), [late(), Ok("2".to_owned())]);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

fn an_allocation_bomb_ends_at_the_memory_limit() {
    let bombs = [
        "var a = []; while (true) a.push('x'.repeat(1e6) + a.length);",
        "var s = 'x'; while (true) s = [s, s].join('');",
        "var a = []; while (true) a.push({a: a.length});",
        "return new Uint8Array(1e9);",
        "while (true) { try { var a = [a, a, new Array(1e5).fill(a)]; } catch (e) { throw e; } }",
    ];
    let mut worker = worker();
    worker.start().unwrap();
    let process = worker.process_id();
    for bomb in bombs {
        assert_eq!(worker.evaluate(&[body_request(bomb)]), [Err(ScriptError::MemoryLimit)], "{bomb}");
        assert_eq!(worker.process_id(), process, "the worker did not survive {bomb}");
    }
    assert_snapshot!(ScriptError::MemoryLimit, @"the expression used more than 64 MiB of memory");
}

fn recursion_without_end_is_told_as_such() {
    let sources = [
        "function f() { return 1 + f(); } return f();",
        "var a = []; a.toString = function () { return 'x' + this; }; return '' + a;",
        "var deep = '['.repeat(1e6); return JSON.parse(deep);",
    ];
    for source in sources {
        assert_eq!(body(source), Err(ScriptError::StackOverflow), "{source}");
    }
    assert_snapshot!(ScriptError::StackOverflow, @"the expression nests calls too deeply (a recursion without end?)");
}

fn requests_and_results_have_a_maximum_size() {
    let big = format!("\"{}\"", "x".repeat(17 << 20));
    assert_snapshot!(one(&Request { inputs: &big, ..request("1") }).unwrap_err(), @"the expression and its variables are 17825811 bytes; at most 16 MiB are accepted");
    assert_snapshot!(expression("'x'.repeat(17 * 1024 * 1024)").unwrap_err(), @"the expression's result is 17825794 bytes of JSON; at most 16 MiB are accepted");
    let escaped = expression("'\"'.repeat(8 * 1000 * 1000)").unwrap();
    assert_eq!(escaped.len(), 2 + 16_000_000);
}

fn a_result_of_one_mebibyte_comes_back() {
    let big = format!("\"{}\"", "é".repeat(1 << 19));
    let request = Request { inputs: &big, ..request("inputs") };
    assert_eq!(one(&request).map(|json| json == big), Ok(true));
}

fn many_big_requests_and_results_do_not_block_each_other() {
    let big = format!("\"{}\"", "x".repeat(1 << 20));
    let request = Request { inputs: &big, ..request("inputs") };
    let results = worker().evaluate(&[request; 20]);
    assert!(results.iter().all(|result| result.as_ref() == Ok(&big)));
}

// Processes

fn nothing_leaks_between_elements_of_a_batch() {
    let spoil = "globalThis.leak = 1; Array.prototype.leak = 1; Object.prototype.leak = 1;
        JSON.stringify = null; inputs.x = 7; return 'spoilt';";
    let look = "return [typeof leak, typeof [].leak, typeof {}.leak, typeof JSON.stringify, inputs.x];";
    let batch = [body_request(spoil), body_request(look)];
    let results = worker().evaluate(&batch);
    assert_eq!(results[0], Ok("\"spoilt\"".to_owned()));
    let clean = r#"["undefined","undefined","undefined","function",1]"#;
    assert_eq!(results[1], Ok(clean.to_owned()));
}

fn a_failure_harms_only_its_own_request() {
    let batch = [
        request("1"),
        request("nope"),
        Request { time_limit: SHORT, ..body_request("while (true) {}") },
        request("2"),
        body_request("return 'x'.repeat(1e9)"),
        request("3"),
    ];
    let mut worker = worker();
    let results = worker.evaluate(&batch);
    let values: Vec<_> = results.iter().map(|result| result.as_deref().ok()).collect();
    assert_eq!(values, [Some("1"), None, None, Some("2"), None, Some("3")]);
}

fn a_killed_worker_is_replaced() {
    let mut worker = worker();
    assert_eq!(worker.evaluate(&[request("1")]), [Ok("1".to_owned())]);
    let first = worker.process_id().unwrap();
    signal(first, Signal::KILL);
    assert_eq!(worker.evaluate(&[request("2")]), [Ok("2".to_owned())]);
    assert_ne!(worker.process_id(), Some(first));
}

fn a_stopped_worker_is_replaced_and_the_rest_of_its_batch_runs() {
    let mut worker = worker();
    worker.start().unwrap();
    signal(worker.process_id().unwrap(), Signal::STOP);
    let big = format!("\"{}\"", "x".repeat(1 << 20));
    let first = Request { time_limit: SHORT, inputs: &big, ..request("1") };
    let results = worker.evaluate(&[first, request("2")]);
    assert_eq!(results, [late(), Ok("2".to_owned())]);
}

fn a_worker_outlives_the_thread_that_started_it() {
    let start = || {
        let mut worker = worker();
        worker.start().unwrap();
        worker
    };
    let mut worker = thread::spawn(start).join().unwrap();
    let first = worker.process_id();
    assert_eq!(worker.evaluate(&[request("1")]), [Ok("1".to_owned())]);
    assert_eq!(worker.process_id(), first);
}

fn a_busy_worker_dies_with_its_owner() {
    let mut owner = this_program_as(OWNER).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", line.trim())).ok()?;
        stat.rsplit(") ").next()?.chars().next().filter(|state| *state != 'Z')
    };
    assert!(state().is_some());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while state().is_some() {
        assert!(Instant::now() < deadline, "the worker lives on");
        thread::yield_now();
    }
}

/// Runs in a process of its own: prints the worker's id and keeps it busy.
#[expect(clippy::print_stdout, reason = "the output is the result")]
fn own_a_busy_worker() {
    let mut worker = worker();
    worker.start().unwrap();
    println!("{}", worker.process_id().unwrap());
    let time_limit = Duration::from_mins(1);
    worker.evaluate(&[Request { time_limit, ..body_request("return new Array(4e9).join('')") }]);
}

fn a_program_that_is_no_worker_is_named() {
    let command = |program: &str| WorkerCommand { program: program.into(), arg0: "x".into(), args: Vec::new() };
    let missing = Worker::new(command("/nowhere/weir")).evaluate(&[request("1"), request("2")]);
    assert_eq!(missing.len(), 2);
    assert_snapshot!(missing[0].as_ref().unwrap_err(), @"the process that evaluates expressions cannot be started: /nowhere/weir: No such file or directory (os error 2)");
    let other = Worker::new(command("/bin/true")).evaluate(&[request("1")]);
    assert_snapshot!(other[0].as_ref().unwrap_err(), @"the process that evaluates expressions cannot be started: /bin/true did not answer as a worker: exit status: 0");
}

fn a_pool_serves_more_threads_than_it_has_workers() {
    let pool = Pool::with_workers(&WorkerCommand::this_program().unwrap(), 2.try_into().unwrap());
    thread::scope(|scope| {
        let ask = |number: usize| {
            let pool = pool.clone();
            move || {
                let source = number.to_string();
                assert_eq!(pool.evaluate(&[request(&source)]), [Ok(source.clone())]);
            }
        };
        for number in 0..16 {
            scope.spawn(ask(number));
        }
    });
}

// Sandbox

fn all_layers_of_the_sandbox_stand() {
    let mut worker = worker();
    assert_eq!(worker.start().unwrap().missing, [""; 0]);
}

fn the_sandbox_refuses_files_sockets_processes_and_threads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = this_program_as(PROBE)
        .arg(listener.local_addr().unwrap().port().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r#"
    read a file: possible
    list a folder: possible
    look at a file: possible
    connect: possible
    send datagrams: possible
    local socket: possible
    start a program: possible
    start a thread: possible
    signal a process: possible
    make a pipe: possible
    -- missing layers: []
    read a file: PermissionDenied
    list a folder: PermissionDenied
    look at a file: PermissionDenied
    connect: PermissionDenied
    send datagrams: PermissionDenied
    local socket: PermissionDenied
    start a program: PermissionDenied
    start a thread: PermissionDenied
    signal a process: PermissionDenied
    make a pipe: PermissionDenied
    "#);
}

/// Runs in a process of its own: what is possible before and after entering the sandbox.
#[expect(clippy::print_stdout, reason = "the output is the result")]
fn probe() {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or_default();
    // Asking for the id is refused later as well.
    let own = rustix::process::getpid();
    let attempts = || {
        let word = |result: Result<(), std::io::Error>| match result {
            Ok(()) => "possible".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        let results = [
            ("read a file", word(File::open("/etc/passwd").map(drop))),
            ("list a folder", word(std::fs::read_dir("/").map(drop))),
            ("look at a file", word(std::fs::metadata("/").map(drop))),
            ("connect", word(TcpStream::connect(("127.0.0.1", port)).map(drop))),
            ("send datagrams", word(UdpSocket::bind("127.0.0.1:0").map(drop))),
            ("local socket", word(UnixStream::pair().map(drop))),
            ("start a program", word(Command::new("/bin/true").status().map(drop))),
            ("start a thread", word(thread::Builder::new().spawn(|| ()).map(drop))),
            ("signal a process", word(kill_process(own, Signal::CONT).map_err(Into::into))),
            ("make a pipe", word(std::io::pipe().map(drop))),
        ];
        results.map(|(what, result)| format!("{what}: {result}")).join("\n")
    };
    println!("{}", attempts());
    let sandbox = sandbox::enter();
    println!("-- missing layers: {:?}", sandbox.missing);
    println!("{}", attempts());
}

fn the_worker_has_no_environment_and_lives_under_its_filter() {
    let mut worker = worker();
    worker.start().unwrap();
    let own = format!("/proc/{}", worker.process_id().unwrap());
    assert_eq!(std::fs::read(format!("{own}/environ")).unwrap(), b"TZ=UTC0\0");
    assert_eq!(std::fs::read_link(format!("{own}/cwd")).unwrap().to_str(), Some("/"));
    let status = std::fs::read_to_string(format!("{own}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(status.contains("Seccomp:\t2"), "{status}");
}

// Speed

/// Prints measured figures; run with `cargo test -p weir-script --release -- --ignored`.
#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn figures() {
    let small = request("inputs.x + self.length");
    let begin = Instant::now();
    let starts = 20;
    for _ in 0..starts {
        worker().start().unwrap();
    }
    println!("start of a worker: {:?}", begin.elapsed() / starts);
    let mut worker = worker();
    worker.start().unwrap();
    let begin = Instant::now();
    assert!(worker.evaluate(&vec![small; 1000]).iter().all(Result::is_ok));
    println!("1000 evaluations in one batch: {:?}", begin.elapsed());
    let begin = Instant::now();
    for _ in 0..1000 {
        assert!(worker.evaluate(&[small])[0].is_ok());
    }
    println!("1000 single evaluations: {:?}", begin.elapsed());
}

fn this_program_as(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg0(name);
    command
}

fn worker() -> Worker {
    Worker::new(WorkerCommand::this_program().unwrap())
}

fn request(source: &str) -> Request<'_> {
    Request {
        library: &[],
        kind: Kind::Expression,
        source,
        inputs: r#"{"x":1}"#,
        self_: "[2,3]",
        runtime: r#"{"cores":8}"#,
        time_limit: Duration::from_secs(20),
    }
}

fn body_request(source: &str) -> Request<'_> {
    Request { kind: Kind::Body, ..request(source) }
}

fn one(request: &Request<'_>) -> Result<String, ScriptError> {
    worker().evaluate(&[*request]).remove(0)
}

fn expression(source: &str) -> Result<String, ScriptError> {
    one(&request(source))
}

fn body(source: &str) -> Result<String, ScriptError> {
    one(&body_request(source))
}

/// Evaluates a body that has [`SHORT`] time, in a worker that must survive it.
fn within_short(source: &str) -> Result<String, ScriptError> {
    let mut worker = worker();
    worker.start().unwrap();
    let process = worker.process_id();
    let result = worker.evaluate(&[Request { time_limit: SHORT, ..body_request(source) }]).remove(0);
    assert_eq!(worker.process_id(), process, "the worker did not survive");
    result
}

fn late() -> Result<String, ScriptError> {
    Err(ScriptError::TimeLimit { limit: SHORT })
}

fn signal(process: u32, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}
