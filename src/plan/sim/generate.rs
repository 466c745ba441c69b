//! Random packages: nested workflows over a handful of tools, with every data flow rule somewhere in them.

use std::sync::Arc;

use weir_cwl::document::ScatterMethod;
use weir_cwl::value::Number;
use weir_cwl::{Package, Process, Record, Value};

use super::random::Random;
use crate::builder::{StepBuilder, anything, expression, package, sized, step, tool, workflow};
use crate::intent::{Backoff, OnFailure, Policy};

/// What one seed asks for.
#[derive(Debug, Clone)]
pub struct Case {
    /// The package.
    pub package: Arc<Package>,
    /// Its input object.
    pub inputs: Record,
    /// The rules.
    pub policy: Policy,
    /// How many in 1000 inputs make a tool fail for good.
    pub trouble: u64,
}

/// What a port carries, as far as the generator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Flag,
    Other,
}

#[derive(Debug, Clone)]
struct PortName {
    name: String,
    kind: Kind,
}

const TOOLS: [(&str, Kind); 5] = [
    ("number", Kind::Other),
    ("list", Kind::List),
    ("flag", Kind::Flag),
    ("maybe", Kind::Other),
    ("wide", Kind::Other),
];

/// The next case of the sequence.
pub fn case(random: &mut Random) -> Case {
    let runs_min = if random.chance(90) { 4 } else { 0 };
    loop {
        let case = any_case(random);
        if super::oracle::is_worth_telling(&case, runs_min) {
            return case;
        }
    }
}

fn any_case(random: &mut Random) -> Case {
    let mut processes: Vec<Process> = Vec::new();
    let mut kinds: Vec<Vec<(&str, Kind)>> = Vec::new();
    for (id, kind) in TOOLS {
        let plain = tool(id, &[("a", anything()), ("b", anything())], &[("out", anything())]);
        let cores = if id == "wide" { 3.0 } else { 1.0 };
        processes.push(sized(plain, cores, 256.0));
        kinds.push(vec![("out", kind)]);
    }
    processes.push(expression("wrap", &[("out", anything())], &[("out", anything())], "$(inputs)"));
    kinds.push(vec![("out", Kind::Other)]);
    let leaves = processes.len();
    let workflows = 1 + random.below(3);
    // Plain steps one after another: much is certain to run.
    let is_plain = random.chance(30);
    for number in 0..workflows {
        let is_last = number + 1 == workflows;
        let count = if is_last { 2 + random.below(if is_plain { 6 } else { 3 }) } else { random.below(4) };
        let made = build(random, &processes, &kinds, leaves, count, is_plain, if is_last { "main" } else { "inner" });
        processes.push(made);
        kinds.push(vec![("o", Kind::Other), ("p", Kind::Other)]);
    }
    let number = |value: usize| Value::Number(Number::Int(i64::try_from(value).unwrap_or(0)));
    let items = (0..random.below(5)).map(|_| number(random.below(50))).collect();
    let inputs = [
        ("x".to_owned(), number(random.below(1000))),
        ("l".to_owned(), Value::Array(items)),
        ("f".to_owned(), Value::Bool(random.chance(60))),
    ];
    let policy = Policy {
        parallelism: 1 + u32::try_from(random.below(5)).unwrap_or(0),
        uncounted_retries_max: 1000,
        backoff: Backoff { first_ms: 10, max_ms: 1000 },
        memory_cap_mib: if random.chance(80) { 4096 } else { 400 },
        on_failure: if random.chance(50) { OnFailure::Stop } else { OnFailure::Continue },
        ..Policy::default()
    };
    let trouble = if random.chance(30) { 60 } else { 0 };
    Case { package: package(processes), inputs: inputs.into_iter().collect(), policy, trouble }
}

fn build(
    random: &mut Random,
    processes: &[Process],
    kinds: &[Vec<(&str, Kind)>],
    leaves: usize,
    count: usize,
    is_plain: bool,
    id: &str,
) -> Process {
    let mut ports: Vec<PortName> = [("x", Kind::Other), ("l", Kind::List), ("f", Kind::Flag)]
        .map(|(name, kind)| PortName { name: name.to_owned(), kind })
        .into();
    let mut steps = Vec::new();
    for number in 0..count {
        // Nested workflows are rarer than tools, or jobs would grow without end.
        let run = if processes.len() > leaves && random.chance(35) {
            leaves + random.below(processes.len() - leaves)
        } else {
            random.below(leaves)
        };
        let name = format!("s{number}");
        let (made, is_wrapped) = make_step(random, &name, run, &processes[run], &kinds[run], &ports, is_plain);
        for (output, kind) in &kinds[run] {
            let kind = if is_wrapped { Kind::List } else { *kind };
            ports.push(PortName { name: format!("{name}/{output}"), kind });
        }
        steps.push(made);
    }
    random.shuffle(&mut steps);
    let o = source(random, &ports, |_| true);
    let p = source(random, &ports, |_| true);
    workflow(
        id,
        &[("x", anything()), ("l", anything()), ("f", anything())],
        steps,
        &[("o", anything(), &o), ("p", anything(), &p)],
    )
}

fn source(random: &mut Random, ports: &[PortName], fits: impl Fn(&PortName) -> bool) -> String {
    let fitting: Vec<&PortName> = ports.iter().filter(|port| fits(port)).collect();
    let first = random.pick(&fitting).name.clone();
    if random.chance(85) {
        return first;
    }
    let second = &random.pick(&fitting).name;
    let rules =
        ["", "|merge_flattened", "|merge_nested", "|first_non_null", "|all_non_null", "|merge_flattened|all_non_null"];
    format!("{first},{second}{}", random.pick(&rules))
}

/// A step, and whether it is scattered.
fn make_step(
    random: &mut Random,
    name: &str,
    run: usize,
    process: &Process,
    outputs: &[(&str, Kind)],
    ports: &[PortName],
    is_plain: bool,
) -> (StepBuilder, bool) {
    let outputs: Vec<&str> = outputs.iter().map(|(id, _)| *id).collect();
    let mut made = step(name, run, &outputs);
    let ids: Vec<&str> = process.header().inputs.iter().map(|input| input.id.as_str()).collect();
    let mut lists = Vec::new();
    for id in &ids {
        let from = match *id {
            "l" => source(random, ports, |port| port.kind == Kind::List),
            "f" => random.pick(&ports.iter().filter(|port| port.kind == Kind::Flag).collect::<Vec<_>>()).name.clone(),
            // Mostly the step before.
            _ if is_plain && random.chance(60) => ports[ports.len() - 1].name.clone(),
            _ => source(random, ports, |_| true),
        };
        let is_list = ports.iter().any(|port| port.name == from && port.kind == Kind::List);
        made = made.input(id, &from);
        if random.chance(15) {
            made = made.default(Value::Number(Number::Int(7)));
        }
        if is_list && *id != "l" {
            lists.push((*id, from));
        } else if !matches!(*id, "l" | "f") && random.chance(15) {
            let text = *random.pick(&["<$(self)>", "$(inputs)", "$(number of self)", "${ return inputs }"]);
            made = made.value_from(text);
        }
    }
    if !is_plain && random.chance(25) {
        let flag = random.pick(&ports.iter().filter(|port| port.kind == Kind::Flag).collect::<Vec<_>>()).name.clone();
        made = made.input("go", &flag);
        made = made.when(random.pick::<&str>(&["$(inputs.go)", "$(inputs.go)", "$(flag of inputs)"]));
    }
    if is_plain || lists.is_empty() || random.chance(25) {
        return (made, false);
    }
    let method = match random.below(3) {
        // Two lists of one source have one length.
        0 if lists.len() == 1 || lists[0].1 == lists[1].1 || random.chance(10) => ScatterMethod::DotProduct,
        1 => ScatterMethod::NestedCrossProduct,
        _ => ScatterMethod::FlatCrossProduct,
    };
    let over: Vec<&str> = lists.iter().map(|(id, _)| *id).collect();
    (made.scatter(&over, method), true)
}
