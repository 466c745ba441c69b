//! Outputs collected from an imagined directory, each for one rule of CWL.

use super::*;
use crate::document::CwlVersion::{V1_0, V1_2};
use crate::expression::Computed;
use crate::fixture::*;
use crate::requirement::{InitialWorkDir, WorkDirEntry};
use crate::schema::{SecondaryFile, Type};

fn ordered(tool: &CommandLineTool, inputs: &str, world: &mut World) -> WorkOrder {
    order(tool, inputs, world, &mut Scripts::default()).unwrap()
}

/// Outputs of a tool without inputs, on one line.
fn outputs(parameters: Vec<OutputParameter>, files: &[(&str, &str)]) -> Result<String, String> {
    let tool = tool(V1_2, vec![], parameters);
    let mut world = World::with(files);
    let order = ordered(&tool, "{}", &mut world);
    collected(&tool, &order, &mut world, &mut Scripts::default())
}

/// The locations in a JSON text.
fn locations(json: &str) -> Vec<String> {
    let mut found = vec![];
    value(json).for_each_entry(&mut |entry| found.push(entry.location().unwrap_or("literal").to_owned()));
    found
}

const FILES: &[(&str, &str)] =
    &[("/out/b.txt", "bb"), ("/out/a.txt", "a"), ("/out/B.txt", ""), ("/out/.hidden.txt", ""), ("/out/sub/c.txt", "c")];

#[test]
fn a_single_file_is_its_only_match() {
    insta::assert_snapshot!(outputs(vec![output("o", Type::File, &["a.*"])], FILES).unwrap(), @r#"
    {
        "o": {
            "class": "File",
            "location": "store:/out/a.txt",
            "basename": "a.txt",
            "size": 1,
            "checksum": "sha1$of a.txt"
        }
    }
    "#);
}

#[test]
fn matches_are_sorted_bytewise_and_hidden_names_are_left_out() {
    let found = outputs(vec![output("o", array(Type::File), &["*.txt", "sub/*"])], FILES).unwrap();
    assert_eq!(locations(&found), ["store:/out/B.txt", "store:/out/a.txt", "store:/out/b.txt", "store:/out/sub/c.txt"]);
}

#[test]
fn a_dot_and_the_output_directory_itself_are_the_whole_directory() {
    for pattern in [".", "$(runtime.outdir)", "/out/", "sub/.."] {
        let found = outputs(vec![output("o", Type::Directory, &[pattern])], FILES).unwrap();
        assert_eq!(locations(&found), ["store:/out"], "{pattern}");
    }
}

#[test]
fn patterns_may_not_leave_the_output_directory() {
    let error = |pattern: &str| outputs(vec![output("o", Type::File, &[pattern])], FILES).unwrap_err();
    insta::assert_snapshot!(error("/etc/*"), @"output `o`: the glob `/etc/*` leads out of the output directory");
    assert!(error("sub/../../x").contains("leads out"));
    assert!(error("/outside/x").contains("leads out"));
}

#[test]
fn none_several_or_the_wrong_kind_of_match_are_errors_that_say_what_is_there() {
    let error = |type_: Type, pattern: &str| outputs(vec![output("o", type_, &[pattern])], FILES).unwrap_err();
    insta::assert_snapshot!(error(Type::File, "*.tif"), @"output `o`: nothing in the output directory matches `*.tif`; there is .hidden.txt, B.txt, a.txt, b.txt, sub");
    insta::assert_snapshot!(error(Type::File, "?.txt"), @"output `o` is a single File, but 3 match `?.txt`");
    insta::assert_snapshot!(error(Type::File, "sub"), @"output `o`: expected File, found Directory");
    insta::assert_snapshot!(error(Type::Directory, "a.txt"), @"output `o`: expected Directory, found File");
}

#[test]
fn an_optional_file_may_be_missing_and_an_array_may_be_empty() {
    let parameters =
        vec![output("maybe", optional(Type::File), &["*.tif"]), output("many", array(Type::File), &["*.tif"])];
    insta::assert_snapshot!(outputs(parameters, FILES).unwrap(), @r#"
    {
        "maybe": null,
        "many": []
    }
    "#);
}

fn evaluated(type_: Type, glob: &[&str], source: &str) -> OutputParameter {
    let mut parameter = output("o", type_, glob);
    let binding = parameter.output_binding.as_mut().unwrap();
    binding.load_contents = true;
    binding.output_eval = Some(template(source));
    parameter
}

#[test]
fn output_eval_sees_contents_and_the_exit_code() {
    let code = evaluated(Type::Int, &[], "$(runtime.exitCode)");
    assert_eq!(value(&outputs(vec![code], FILES).unwrap()), value(r#"{"o": 0}"#), "0 is not null");
    let contents = evaluated(Type::String, &["b.txt"], "$(self[0].contents)");
    assert_eq!(value(&outputs(vec![contents], FILES).unwrap()), value(r#"{"o": "bb"}"#));
    let nothing = evaluated(Type::Int, &["x"], "$(self.length)");
    assert_eq!(value(&outputs(vec![nothing], FILES).unwrap()), value(r#"{"o": 0}"#), "self is an empty array");
}

#[test]
fn contents_beyond_64_kib_are_refused() {
    let text = "x".repeat(70_000);
    let parameter = evaluated(Type::String, &["big"], "$(self[0].contents)");
    let error = outputs(vec![parameter], &[("/out/big", &text)]).unwrap_err();
    insta::assert_snapshot!(error, @"output `o`: loadContents reads at most 65536 bytes (64 KiB), `big` has 70000");
}

#[test]
fn any_refuses_null() {
    let error = outputs(vec![evaluated(Type::Any, &[], "$(null)")], FILES).unwrap_err();
    insta::assert_snapshot!(error, @"output `o`: expected Any (anything but null), found null");
}

#[test]
fn secondary_files_are_optional_for_outputs_unless_required() {
    let with = |required: Option<bool>| {
        let mut parameter = output("o", Type::File, &["a.txt"]);
        let pattern = |text: &str, required: Option<bool>| SecondaryFile {
            pattern: template(text),
            required: required.map(Computed::Literal),
        };
        parameter.file.secondary_files = vec![pattern("^.idx", None), pattern(".md", required)];
        parameter.file.format = vec![template("http://example.org/text")];
        outputs(vec![parameter], &[("/out/a.txt", ""), ("/out/a.idx/1", ""), ("/out/a.txt.bak", "")])
    };
    let found = with(None).unwrap();
    assert_eq!(locations(&found), ["store:/out/a.txt", "store:/out/a.idx"]);
    assert!(found.contains("http://example.org/text"));
    insta::assert_snapshot!(with(Some(true)).unwrap_err(), @"output `o`: `a.txt` needs its secondary file `a.txt.md`, which the tool did not write");
}

#[test]
fn a_record_is_collected_field_by_field() {
    let mut one = field("one", Type::File, None);
    one.output_binding = output("x", Type::File, &["a.txt"]).output_binding;
    let mut two = field("two", array(Type::File), None);
    two.output_binding = output("x", Type::File, &["[bB].txt"]).output_binding;
    let mut parameter = output("o", record_type(vec![one, two]), &[]);
    parameter.output_binding = None;
    let found = outputs(vec![parameter], FILES).unwrap();
    assert_eq!(locations(&found), ["store:/out/a.txt", "store:/out/B.txt", "store:/out/b.txt"]);
}

#[test]
fn the_tools_own_object_wins_over_all_bindings_and_is_type_checked() {
    let own = |text: &str| {
        let parameters =
            vec![output("f", optional(array(Type::File)), &["a.txt"]), output("n", optional(Type::Long), &[])];
        outputs(parameters, &[("/out/cwl.output.json", text), ("/out/x y:z.txt", "1"), ("/out/d/w", "2")])
    };
    let found = own(r#"{"n": 1000000000000000000000000000000000000000000, "extra": 1, "f": [
            {"class": "File", "path": "x y:z.txt"},
            {"class": "File", "location": "x%20y:z.txt", "basename": "renamed"},
            {"class": "File", "path": "/out/d/../d/w"},
            {"class": "File", "location": "file:///out/d/w"}]}"#)
    .unwrap();
    assert_eq!(locations(&found), ["store:/out/x y:z.txt", "store:/out/x y:z.txt", "store:/out/d/w", "store:/out/d/w"]);
    assert!(found.contains("\"n\": 1000000000000000000000000000000000000000000"));
    assert!(found.contains("\"renamed\"") && !found.contains("extra"));
    insta::assert_snapshot!(own(r#"{"n": "one"}"#).unwrap_err(), @r#"output `n`: expected long?, found string "one""#);
    insta::assert_snapshot!(own(r#"{"f": [{"class": "File", "path": "/etc/passwd"}]}"#).unwrap_err(), @"output `f`: `/etc/passwd` is outside of the output directory");
    insta::assert_snapshot!(own(r#"{"f": [{"class": "File", "path": "none"}]}"#).unwrap_err(), @"output `f`: `none` does not exist");
    insta::assert_snapshot!(own("[]").unwrap_err(), @"cwl.output.json: it must hold an object, not array");
    insta::assert_snapshot!(own("{").unwrap_err(), @"cwl.output.json: 1:2: expected a member's name in double quotes, but the text ends");
}

#[test]
fn links_to_inputs_are_the_inputs_and_links_elsewhere_are_refused() {
    let tool = tool(V1_2, vec![input("d", Type::Directory, None)], vec![output("o", Type::File, &["link"])]);
    let mut world = World::with(&[("/data/d/x", "1"), ("/etc/secret", "2"), ("/in/1/d/x", "1")]);
    let inputs = r#"{"d": {"class": "Directory", "location": "file:///data/d"}}"#;
    let order = ordered(&tool, inputs, &mut world);
    for target in ["/data/d/x", "/in/1/d/x"] {
        world.links.insert("link".to_owned(), target.to_owned());
        let found = collected(&tool, &order, &mut world, &mut Scripts::default()).unwrap();
        assert_eq!(locations(&found), ["file:///data/d/x"]);
    }
    world.links.insert("link".to_owned(), "/etc/secret".to_owned());
    let error = collected(&tool, &order, &mut world, &mut Scripts::default()).unwrap_err();
    insta::assert_snapshot!(error, @"output `o`: `link` is a symbolic link to /etc/secret, outside of the output directory");
}

#[test]
fn an_input_that_is_passed_through_keeps_its_location_unless_the_tool_could_change_it() {
    let through = |writable| {
        let mut tool = tool(V1_2, vec![input("f", Type::File, None)], vec![evaluated(Type::File, &[], "$(inputs.f)")]);
        tool.header.requirements.initial_work_dir = Some(InitialWorkDir::Listing(vec![WorkDirEntry::Dirent {
            entryname: None,
            entry: template("$(inputs.f)"),
            writable,
        }]));
        let mut world = World::with(&[("/data/x", "1"), ("/out/x", "22")]);
        let order = ordered(&tool, r#"{"f": {"class": "File", "location": "file:///data/x"}}"#, &mut world);
        locations(&collected(&tool, &order, &mut world, &mut Scripts::default()).unwrap())
    };
    assert_eq!(through(false), ["file:///data/x"]);
    assert_eq!(through(true), ["store:/out/x"]);
}

#[test]
fn listings_of_directories_are_loaded_in_v1_0() {
    let tool = tool(V1_0, vec![], vec![output("o", Type::Directory, &["sub"])]);
    let mut world = World::with(FILES);
    let order = ordered(&tool, "{}", &mut world);
    let found = collected(&tool, &order, &mut world, &mut Scripts::default()).unwrap();
    assert_eq!(locations(&found), ["store:/out/sub", "store:/out/sub/c.txt"]);
}

#[test]
fn scripts_make_values_files_and_literals() {
    let body = "${return x}";
    let tool = with_javascript(tool(V1_2, vec![], vec![evaluated(array(Type::File), &[], body)]));
    let mut world = World::with(FILES);
    let order = ordered(&tool, "{}", &mut world);
    let result = r#"[{"class": "File", "path": "/out/a.txt"}, {"class": "File", "basename": "l", "contents": "x"}]"#;
    let found = collected(&tool, &order, &mut world, &mut Scripts(vec![("return x", result)])).unwrap();
    assert_eq!(locations(&found), ["store:/out/a.txt", "literal"]);
}

#[test]
fn an_expression_tool_must_give_an_object_of_the_declared_outputs() {
    let declared = [output("n", Type::Int, &[]), output("m", optional(Type::String), &[])];
    let checked = check_outputs(&declared, value(r#"{"n": 1, "more": 2}"#)).unwrap();
    assert_eq!(Value::from(checked), value(r#"{"n": 1, "m": null}"#));
    let error = |json: &str| check_outputs(&declared, value(json)).unwrap_err().to_string();
    insta::assert_snapshot!(error("[1]"), @"the expression must give an object with the outputs as members, not array");
    insta::assert_snapshot!(error("{}"), @"output `n`: expected int, found null");
}
