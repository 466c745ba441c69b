//! Data flow rules, each by the smallest package that shows it.

use weir_api::{FailureClass, Phase};
use weir_cwl::document::ScatterMethod;
use weir_cwl::value::Number;
use weir_cwl::{Process, Record, Type, Value};

use crate::action::Launch;
use crate::builder::{StepBuilder, anything, array, expression, package, step, tool, workflow};
use crate::drive::{Job, run};
use crate::event::{Failure, Outcome, Usage};
use crate::state::Finished;
use crate::{Intent, Policy};

fn json(text: &str) -> Value {
    weir_cwl::json::parse(text).unwrap()
}

fn record(text: &str) -> Record {
    match json(text) {
        Value::Record(record) => record,
        other => panic!("{other:?} is no object"),
    }
}

fn success(outputs: Record) -> Outcome {
    Outcome { outputs: Some(outputs), failure: None, exit_code: Some(0), usage: Usage::default() }
}

fn failure(class: FailureClass) -> Outcome {
    let failure = Failure { class, message: "no".to_owned(), instance: None, exit_code: None, stderr_tail: None };
    Outcome { outputs: None, failure: Some(failure), exit_code: Some(1), usage: Usage::default() }
}

/// Every tool returns its name and inputs as text: `tool(a=1 b=2)`.
fn echo(launch: &Launch) -> Outcome {
    fn show(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            other => weir_cwl::json::compact(other),
        }
    }
    let inputs: Vec<String> = launch.inputs.iter().map(|(id, value)| format!("{id}={}", show(value))).collect();
    let (name, _) = launch.instance.0.last().map_or(("", None), |last| (last.step.as_str(), last.element));
    success([("out".to_owned(), Value::String(format!("{name}({})", inputs.join(" "))))].into_iter().collect())
}

fn echo_tool() -> Process {
    tool("echo", &[("a", anything()), ("b", anything())], &[("out", anything())])
}

fn show(finished: &Finished) -> String {
    match &finished.failure {
        Some(failure) => format!("{:?} {}: {}", finished.phase, failure.class, failure.message),
        None => weir_cwl::json::compact(&Value::Record(finished.outputs.clone())),
    }
}

/// A workflow of echo tools (process 0) with inputs `x`, `y` of any type and one output.
fn flow(steps: Vec<StepBuilder>, output: &str, inputs: &str) -> String {
    let main = workflow("main", &[("x", anything()), ("y", anything())], steps, &[("o", anything(), output)]);
    show(&run(package(vec![echo_tool(), main]), record(inputs), &mut echo))
}

#[test]
fn a_bare_tool_is_a_job() {
    let finished = run(package(vec![echo_tool()]), record(r#"{"a": 1}"#), &mut echo);
    insta::assert_snapshot!(show(&finished), @r#"{"out":"echo(a=1 b=null)"}"#);
}

#[test]
fn values_flow_along_steps_in_any_written_order() {
    let steps = vec![step("late", 0, &["out"]).input("a", "early/out"), step("early", 0, &["out"]).input("a", "x")];
    insta::assert_snapshot!(flow(steps, "late/out", r#"{"x": 1}"#), @r#"{"o":"late(a=early(a=1 b=null) b=null)"}"#);
}

#[test]
fn dotproduct_scatters_and_gathers_in_order() {
    let steps = vec![
        step("s", 0, &["out"]).input("a", "x").input("b", "y").scatter(&["a", "b"], ScatterMethod::DotProduct),
        step("end", 0, &["out"]).input("a", "s/out"),
    ];
    let shown = flow(steps, "end/out", r#"{"x": [1, 2], "y": ["p", "q"]}"#);
    insta::assert_snapshot!(shown, @r#"{"o":"end(a=[s(a=1 b=p) s(a=2 b=q)] b=null)"}"#);
}

#[test]
fn dotproduct_of_unequal_lengths_fails_and_names_them() {
    let steps =
        vec![step("s", 0, &["out"]).input("a", "x").input("b", "y").scatter(&["a", "b"], ScatterMethod::DotProduct)];
    insta::assert_snapshot!(flow(steps, "s/out", r#"{"x": [1, 2], "y": [1]}"#), @"Failed Expression: step `s`: scatterMethod dotproduct needs arrays of one length, but `a` has 2, `b` has 1");
}

#[test]
fn an_empty_scatter_gives_empty_arrays_of_the_right_nesting() {
    let scattered = |method| vec![step("s", 0, &["out"]).input("a", "x").input("b", "y").scatter(&["a", "b"], method)];
    let inputs = r#"{"x": [1, 2], "y": []}"#;
    insta::assert_snapshot!(flow(scattered(ScatterMethod::NestedCrossProduct), "s/out", inputs), @r#"{"o":[[],[]]}"#);
    insta::assert_snapshot!(flow(scattered(ScatterMethod::FlatCrossProduct), "s/out", inputs), @r#"{"o":[]}"#);
}

#[test]
fn crossproducts_combine_everything_with_everything() {
    let scattered = |method| vec![step("s", 0, &["out"]).input("a", "x").input("b", "y").scatter(&["a", "b"], method)];
    let inputs = r#"{"x": [1, 2], "y": [3, 4]}"#;
    insta::assert_snapshot!(flow(scattered(ScatterMethod::NestedCrossProduct), "s/out", inputs), @r#"{"o":[["s(a=1 b=3)","s(a=1 b=4)"],["s(a=2 b=3)","s(a=2 b=4)"]]}"#);
    insta::assert_snapshot!(flow(scattered(ScatterMethod::FlatCrossProduct), "s/out", inputs), @r#"{"o":["s(a=1 b=3)","s(a=1 b=4)","s(a=2 b=3)","s(a=2 b=4)"]}"#);
}

#[test]
fn when_false_gives_null_for_each_element() {
    let steps = vec![
        step("s", 0, &["out"])
            .input("a", "x")
            .input("flag", "y")
            .scatter(&["a", "flag"], ScatterMethod::DotProduct)
            .when("$(inputs.flag)"),
    ];
    insta::assert_snapshot!(flow(steps, "s/out", r#"{"x": [1, 2], "y": [true, false]}"#), @r#"{"o":["s(a=1 b=null)",null]}"#);
}

#[test]
fn when_must_be_boolean() {
    let steps = || vec![step("s", 0, &["out"]).input("flag", "x").when("$(inputs.flag)")];
    insta::assert_snapshot!(flow(steps(), "s/out", r#"{"x": "true"}"#), @"Failed Expression: step `s`: when: `$(inputs.flag)` must be true or false, got string");
    insta::assert_snapshot!(flow(steps(), "s/out", r#"{"x": 1}"#), @"Failed Expression: step `s`: when: `$(inputs.flag)` must be true or false, got integer");
}

#[test]
fn value_from_sees_the_element_and_the_values_before_any_value_from() {
    let steps = vec![
        step("s", 0, &["out"])
            .input("a", "x")
            .value_from("<$(self) of $(inputs.b)>")
            .input("b", "y")
            .value_from("$(inputs.a)")
            .scatter(&["a"], ScatterMethod::DotProduct),
    ];
    insta::assert_snapshot!(flow(steps, "s/out", r#"{"x": [1, 2], "y": "n"}"#), @r#"{"o":["s(a=<1 of n> b=1)","s(a=<2 of n> b=2)"]}"#);
}

#[test]
fn entries_that_the_tool_does_not_declare_are_seen_by_expressions_only() {
    let steps = vec![step("s", 0, &["out"]).input("a", "").value_from("$(inputs.extra)").input("extra", "x")];
    insta::assert_snapshot!(flow(steps, "s/out", r#"{"x": 7}"#), @r#"{"o":"s(a=7 b=null)"}"#);
}

#[test]
fn only_null_takes_the_default() {
    let steps = || vec![step("s", 0, &["out"]).input("a", "x").default(json("5"))];
    insta::assert_snapshot!(flow(steps(), "s/out", r#"{"x": 0}"#), @r#"{"o":"s(a=0 b=null)"}"#);
    insta::assert_snapshot!(flow(steps(), "s/out", r#"{"x": false}"#), @r#"{"o":"s(a=false b=null)"}"#);
    insta::assert_snapshot!(flow(steps(), "s/out", r#"{"x": ""}"#), @r#"{"o":"s(a= b=null)"}"#);
    insta::assert_snapshot!(flow(steps(), "s/out", r#"{"x": null}"#), @r#"{"o":"s(a=5 b=null)"}"#);
    insta::assert_snapshot!(flow(steps(), "s/out", "{}"), @r#"{"o":"s(a=5 b=null)"}"#);
}

#[test]
fn several_sources_are_merged() {
    let steps = |rule: &str| vec![step("s", 0, &["out"]).input("a", &format!("x,y{rule}"))];
    let inputs = r#"{"x": [1, 2], "y": 3}"#;
    insta::assert_snapshot!(flow(steps(""), "s/out", inputs), @r#"{"o":"s(a=[[1 2] 3] b=null)"}"#);
    insta::assert_snapshot!(flow(steps("|merge_flattened"), "s/out", inputs), @r#"{"o":"s(a=[1 2 3] b=null)"}"#);
    let one = |rule: &str| vec![step("s", 0, &["out"]).input("a", &format!("x{rule}"))];
    insta::assert_snapshot!(flow(one("|merge_nested"), "s/out", inputs), @r#"{"o":"s(a=[[1 2]] b=null)"}"#);
    insta::assert_snapshot!(flow(one(""), "s/out", inputs), @r#"{"o":"s(a=[1 2] b=null)"}"#);
}

#[test]
fn pick_value_picks_or_says_why_not() {
    let picked = |rule: &str, inputs: &str| flow(Vec::new(), &format!("x,y|{rule}"), inputs);
    insta::assert_snapshot!(picked("first_non_null", r#"{"x": null, "y": 2}"#), @r#"{"o":2}"#);
    insta::assert_snapshot!(picked("first_non_null", "{}"), @"Failed OutputInvalid: output `o`: pickValue first_non_null found only null");
    insta::assert_snapshot!(picked("the_only_non_null", r#"{"x": 1}"#), @r#"{"o":1}"#);
    insta::assert_snapshot!(picked("the_only_non_null", r#"{"x": 1, "y": 2}"#), @"Failed OutputInvalid: output `o`: pickValue the_only_non_null found 2 values that are not null");
    insta::assert_snapshot!(picked("all_non_null", r#"{"y": 2}"#), @r#"{"o":[2]}"#);
    insta::assert_snapshot!(picked("all_non_null", "{}"), @r#"{"o":[]}"#);
}

#[test]
fn all_non_null_does_not_fit_a_type_that_is_no_array() {
    let main = workflow("main", &[("x", anything())], Vec::new(), &[("o", Type::Int, "x,x|all_non_null")]);
    let finished = run(package(vec![main]), record(r#"{"x": 1}"#), &mut echo);
    insta::assert_snapshot!(show(&finished), @"Failed OutputInvalid: output `o`: expected int, found array");
}

#[test]
fn expression_tools_run_without_incarnations() {
    let pick = expression("pick", &[("a", anything())], &[("out", anything())], "$(inputs.a)");
    let main = workflow(
        "main",
        &[("x", anything())],
        vec![step("p", 0, &["out"]).input("a", "x")],
        &[("o", anything(), "p/out")],
    );
    let finished = run(package(vec![pick.clone(), main.clone()]), record(r#"{"x": {"out": 3}}"#), &mut echo);
    insta::assert_snapshot!(show(&finished), @r#"{"o":3}"#);
    let finished = run(package(vec![pick, main]), record(r#"{"x": 3}"#), &mut echo);
    insta::assert_snapshot!(show(&finished), @"Failed Expression: step `p`: the expression must give an object with the outputs, got integer");
}

/// The shape of water-bodies: scenes scattered over a subworkflow that scatters over bands.
fn scenes() -> Vec<Process> {
    let scene = workflow(
        "scene",
        &[("item", anything()), ("bands", anything())],
        vec![
            step("crop", 0, &["out"])
                .input("a", "item")
                .input("b", "bands")
                .scatter(&["b"], ScatterMethod::DotProduct),
            step("ndwi", 0, &["out"]).input("a", "crop/out"),
        ],
        &[("mask", anything(), "ndwi/out")],
    );
    let main = workflow(
        "main",
        &[("items", array(Type::String)), ("bands", array(Type::String))],
        vec![
            step("scenes", 1, &["mask"])
                .input("item", "items")
                .input("bands", "bands")
                .scatter(&["item"], ScatterMethod::DotProduct),
            step("stac", 0, &["out"]).input("a", "scenes/mask"),
        ],
        &[("catalog", anything(), "stac/out")],
    );
    vec![echo_tool(), scene, main]
}

#[test]
fn a_scene_is_finished_before_the_next_is_begun() {
    let inputs = record(r#"{"items": ["i", "j"], "bands": ["g", "n"]}"#);
    let policy = Policy { parallelism: 1, ..Policy::default() };
    let mut job = Job::new(Intent::new(package(scenes()), inputs, policy).unwrap());
    let mut order = Vec::new();
    let finished = job
        .finish(&mut |launch: &Launch| {
            order.push(format!("{} -> {}", launch.instance, launch.log));
            echo(launch)
        })
        .unwrap();
    insta::assert_snapshot!(order.join("\n"), @r"
    scenes[0]/crop[0] -> crop
    scenes[0]/crop[1] -> crop_2
    scenes[0]/ndwi -> ndwi
    scenes[1]/crop[0] -> crop_3
    scenes[1]/crop[1] -> crop_4
    scenes[1]/ndwi -> ndwi_2
    stac -> stac
    ");
    assert_eq!(finished.phase, Phase::Successful);
    insta::assert_snapshot!(show(&finished), @r#"{"catalog":"stac(a=[ndwi(a=[crop(a=i b=g) crop(a=i b=n)] b=null) ndwi(a=[crop(a=j b=g) crop(a=j b=n)] b=null)] b=null)"}"#);
}

#[test]
fn an_output_of_a_nested_workflow_is_there_before_the_workflow_ends() {
    let inner = workflow(
        "inner",
        &[("x", anything())],
        vec![step("quick", 0, &["out"]).input("a", "x"), step("slow", 0, &["out"]).input("a", "quick/out")],
        &[("early", anything(), "quick/out"), ("late", anything(), "slow/out")],
    );
    let main = workflow(
        "main",
        &[("x", anything())],
        vec![step("in", 1, &["early", "late"]).input("x", "x"), step("next", 0, &["out"]).input("a", "in/early")],
        &[("o", anything(), "next/out")],
    );
    let inputs = record(r#"{"x": 1}"#);
    let mut job = Job::new(Intent::new(package(vec![echo_tool(), inner, main]), inputs, Policy::default()).unwrap());
    let mut order = Vec::new();
    job.finish(&mut |launch: &Launch| {
        order.push(format!("{} {}", launch.incarnation.0, launch.instance));
        echo(launch)
    });
    insta::assert_snapshot!(order.join(", "), @"1 in/quick, 2 in/slow, 3 next");
}

#[test]
fn a_step_runs_again_with_more_memory_up_to_the_cap() {
    let policy = Policy { memory_cap_mib: 700, attempts_max: 9, ..Policy::default() };
    let mut job = Job::new(Intent::new(package(vec![echo_tool()]), Record::new(), policy).unwrap());
    let mut given = Vec::new();
    let finished = job
        .finish(&mut |launch: &Launch| {
            given.push(launch.resources.ram_mib);
            failure(FailureClass::OutOfMemory)
        })
        .unwrap();
    assert_eq!(given, [256, 512, 700]);
    insta::assert_snapshot!(show(&finished), @"Failed OutOfMemory: no (it already had as much memory as a step may have)");
}

#[test]
fn temporary_failures_are_counted_and_the_name_of_the_log_stays() {
    let mut job = Job::new(Intent::new(package(vec![echo_tool()]), Record::new(), Policy::default()).unwrap());
    let mut seen = Vec::new();
    let finished = job
        .finish(&mut |launch: &Launch| {
            seen.push((launch.incarnation.0, launch.attempt, launch.log.clone()));
            if launch.attempt < 3 { failure(FailureClass::ToolFailedTemporarily) } else { echo(launch) }
        })
        .unwrap();
    assert_eq!(finished.phase, Phase::Successful);
    let log = || "echo".to_owned();
    assert_eq!(seen, [(1, 1, log()), (2, 2, log()), (3, 3, log())]);
    assert!(finished.at.0 >= 500 + 1000, "back-off of 0.5 s and 1 s");
}

#[test]
fn the_platform_may_fail_eight_times() {
    let mut job = Job::new(Intent::new(package(vec![echo_tool()]), Record::new(), Policy::default()).unwrap());
    let mut count = 0;
    let finished = job
        .finish(&mut |_: &Launch| {
            count += 1;
            failure(FailureClass::Disrupted)
        })
        .unwrap();
    assert_eq!((count, finished.phase), (9, Phase::Failed));
}

#[test]
fn numbers_of_any_size_pass_through() {
    let big = Value::Number(Number::Big("1000000000000000000000000000000000000000000".to_owned()));
    let main = workflow("main", &[("x", anything())], Vec::new(), &[("o", anything(), "x")]);
    let finished = run(package(vec![main]), [("x".to_owned(), big.clone())].into_iter().collect(), &mut echo);
    assert_eq!(finished.outputs["o"], big);
}
