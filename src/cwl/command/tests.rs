//! Command lines, environments and working directories of small tools, each for one rule of CWL.

use std::time::Duration;

use super::*;
use crate::Computed;
use crate::document::CwlVersion::{V1_0, V1_2};
use crate::fixture::*;
use crate::requirement::{EnvironmentDef, InitialWorkDir, Requirements, WorkDirEntry};
use crate::schema::{
    ArrayType, CommandLineBinding, EnumType, FileTreatment, InputParameter, LoadListing, RecordType, SecondaryFile,
    Type,
};
use crate::value::Value;

fn argv_of(tool: &CommandLineTool, inputs: &str) -> String {
    let order = order(tool, inputs, &mut World::default(), &mut Scripts::default()).unwrap();
    order.argv.join(" | ")
}

fn plain() -> CommandLineBinding {
    CommandLineBinding::default()
}

// Binding order: position, then argument number or name, numbers first.

#[test]
fn bindings_sort_by_position_then_arguments_before_names() {
    let mut tool = tool(
        V1_2,
        vec![
            input("zulu", Type::String, Some(plain())),
            input("alpha", Type::String, Some(plain())),
            input("first", Type::String, Some(at(-1, plain()))),
            input("unbound", Type::String, None),
        ],
        vec![],
    );
    tool.arguments = vec![value_from("one"), at(1, value_from("last")), value_from("two")];
    insta::assert_snapshot!(
        argv_of(&tool, r#"{"zulu": "z", "alpha": "a", "first": "f", "unbound": "u"}"#),
        @"run | f | one | two | a | z | last"
    );
}

#[test]
fn a_position_may_be_an_expression_over_self_and_null_is_0() {
    let by_self = CommandLineBinding { position: Some(Computed::Expression(template("$(self)"))), ..plain() };
    let by_null = CommandLineBinding { position: Some(Computed::Expression(template("$(null)"))), ..plain() };
    let tool = tool(V1_2, vec![input("a", Type::Int, Some(by_self)), input("b", Type::Int, Some(by_null))], vec![]);
    insta::assert_snapshot!(argv_of(&tool, r#"{"a": 3, "b": 9}"#), @"run | 9 | 3");
}

#[test]
fn booleans_are_their_prefix_and_nulls_and_empty_arrays_are_nothing() {
    let tool = tool(
        V1_2,
        vec![
            input("yes", Type::Boolean, Some(prefix("--yes"))),
            input("no", Type::Boolean, Some(prefix("--no"))),
            input("bare", Type::Boolean, Some(plain())),
            input("none", optional(Type::String), Some(prefix("--none"))),
            input("empty", array(Type::String), Some(prefix("--empty"))),
        ],
        vec![],
    );
    insta::assert_snapshot!(argv_of(&tool, r#"{"yes": true, "no": false, "bare": true, "empty": []}"#), @"run | --yes");
}

#[test]
fn arrays_repeat_join_or_prefix_each_element() {
    let joined = CommandLineBinding { item_separator: Some(",".to_owned()), ..prefix("-j") };
    let each = Type::Array(Box::new(ArrayType { items: Type::String, input_binding: Some(prefix("-e")) }));
    let glued = CommandLineBinding { separate: Some(false), item_separator: Some(":".to_owned()), ..prefix("-g=") };
    let tool = tool(
        V1_2,
        vec![
            input("a_plain", array(Type::Int), Some(prefix("-p"))),
            input("b_joined", array(Type::Int), Some(joined)),
            input("c_each", each.clone(), None),
            input("d_both", each, Some(prefix("-d"))),
            input("e_glued", array(Type::Int), Some(glued)),
            input("f_unbound", array(Type::Int), None),
        ],
        vec![],
    );
    let inputs = r#"{"a_plain": [1, 2], "b_joined": [3, 4], "c_each": ["x", "y"], "d_both": ["v", "w"],
        "e_glued": [5, 6], "f_unbound": [7]}"#;
    insta::assert_snapshot!(argv_of(&tool, inputs), @"run | -p | 1 | 2 | -j | 3,4 | -e | x | -e | y | -d | -e | v | -e | w | -g=5:6");
}

#[test]
fn arrays_of_arrays_of_records_bind_at_every_level() {
    let item = record_type(vec![
        field("b", Type::String, Some(prefix("-b"))),
        field("a", Type::String, Some(at(1, prefix("-a")))),
        field("silent", Type::String, None),
    ]);
    let tool = tool(V1_2, vec![input("all", array(array(item)), Some(prefix("--all")))], vec![]);
    let inputs = r#"{"all": [[{"a": "1", "b": "2", "silent": "3"}], [{"a": "4", "b": "5", "silent": "6"}]]}"#;
    insta::assert_snapshot!(argv_of(&tool, inputs), @"run | --all | -b | 2 | -a | 1 | -b | 5 | -a | 4");
}

#[test]
fn fields_of_an_unbound_record_sort_among_the_other_inputs() {
    let record = record_type(vec![
        field("late", Type::String, Some(at(5, plain()))),
        field("early", Type::String, Some(at(-5, plain()))),
    ]);
    let tool = tool(V1_2, vec![input("r", record, None), input("middle", Type::String, Some(plain()))], vec![]);
    insta::assert_snapshot!(
        argv_of(&tool, r#"{"r": {"late": "z", "early": "a"}, "middle": "m"}"#),
        @"run | a | m | z"
    );
}

#[test]
fn a_union_binds_by_the_alternative_that_the_value_is_of() {
    let symbols = EnumType {
        name: None,
        symbols: vec!["fast".to_owned(), "slow".to_owned()],
        input_binding: Some(prefix("--mode")),
    };
    let file = record_type(vec![field("size", Type::Int, Some(prefix("--size")))]);
    let type_ = Type::Union(vec![Type::Null, Type::Enum(Box::new(symbols)), file]);
    let tool = tool(V1_2, vec![input("mode", type_, None)], vec![]);
    assert_eq!(argv_of(&tool, r#"{"mode": "slow"}"#), "run | --mode | slow");
    assert_eq!(argv_of(&tool, r#"{"mode": {"size": 3}}"#), "run | --size | 3");
    assert_eq!(argv_of(&tool, r#"{"mode": null}"#), "run");
}

#[test]
fn a_record_types_own_binding_serves_where_the_parameter_has_none() {
    let type_ = Type::Record(Box::new(RecordType {
        name: None,
        fields: vec![field("x", Type::Int, Some(plain()))],
        input_binding: Some(prefix("--point")),
    }));
    let tool = tool(V1_2, vec![input("p", type_, None)], vec![]);
    assert_eq!(argv_of(&tool, r#"{"p": {"x": 1}}"#), "run | --point | 1");
}

#[test]
fn value_from_replaces_the_value_by_its_own_type_but_not_null() {
    let from = |source: &str| CommandLineBinding { prefix: Some("-v".to_owned()), ..value_from(source) };
    let tool = tool(
        V1_2,
        vec![
            input("a", Type::Int, Some(from("$(self)0"))),
            input("b", Type::Int, Some(from("$(inputs.list)"))),
            input("c", optional(Type::Int), Some(from("never"))),
            input("list", array(Type::Int), None),
        ],
        vec![],
    );
    insta::assert_snapshot!(argv_of(&tool, r#"{"a": 4, "b": 0, "list": [7, 8]}"#), @"run | -v | 40 | -v | 7 | 8");
}

#[test]
fn numbers_stand_in_decimal_notation() {
    let all = array(Type::Union(vec![Type::Long, Type::Double]));
    let tool = tool(V1_2, vec![input("n", all, Some(plain()))], vec![]);
    insta::assert_snapshot!(
        argv_of(&tool, r#"{"n": [1e-05, 1.23e5, 1e22, 1000000000000000000000000000000000000000000, -0.5]}"#),
        @"run | 0.00001 | 123000 | 10000000000000000000000 | 1000000000000000000000000000000000000000000 | -0.5"
    );
}

// Shell commands.

#[test]
fn without_the_requirement_shell_quote_means_nothing() {
    let unquoted = CommandLineBinding { shell_quote: Some(false), ..value_from("a && b") };
    let mut tool = tool(V1_2, vec![], vec![]);
    tool.arguments = vec![unquoted, value_from("it's")];
    insta::assert_snapshot!(argv_of(&tool, "{}"), @"run | a && b | it's");
    tool.header.requirements.shell_command = Some(());
    insta::assert_snapshot!(argv_of(&tool, "{}"), @r#"/bin/sh | -c | run a && b 'it'"'"'s'"#);
}

// Environment, limits, redirections.

#[test]
fn home_and_tmpdir_are_set_and_env_var_may_override_them() {
    let mut tool = tool(V1_2, vec![input("n", Type::Int, None)], vec![]);
    let define = |name: &str, value: &str| EnvironmentDef { name: name.to_owned(), value: template(value) };
    tool.header.hints.env_var = Some(vec![define("HIDDEN", "x")]);
    tool.header.requirements.env_var = Some(vec![define("N", "$(inputs.n)"), define("TMPDIR", "$(runtime.outdir)/t")]);
    let order = order(&tool, r#"{"n": 5}"#, &mut World::default(), &mut Scripts::default()).unwrap();
    let shown: Vec<_> = order.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    insta::assert_snapshot!(shown.join(" "), @"HOME=/out TMPDIR=/out/t N=5");
}

#[test]
fn a_negative_time_limit_is_refused_and_0_is_none() {
    let limited = |seconds| {
        let mut tool = tool(V1_2, vec![], vec![]);
        tool.header.requirements.time_limit = Some(Computed::Literal(seconds));
        order(&tool, "{}", &mut World::default(), &mut Scripts::default()).map(|order| order.time_limit)
    };
    assert_eq!(limited(0), Ok(None));
    assert_eq!(limited(3), Ok(Some(Duration::from_secs(3))));
    insta::assert_snapshot!(limited(-1).unwrap_err(), @"ToolTimeLimit is -1 s; it must not be negative (0 means no limit)");
}

#[test]
fn the_network_is_open_in_v1_0_and_closed_later_unless_asked_for() {
    let network = |version, access: Option<bool>| {
        let mut tool = tool(version, vec![], vec![]);
        tool.header.requirements.network_access = access.map(Computed::Literal);
        order(&tool, "{}", &mut World::default(), &mut Scripts::default()).unwrap().network
    };
    assert_eq!([network(V1_0, None), network(V1_2, None), network(V1_2, Some(true))], [true, false, true]);
}

#[test]
fn redirections_stay_in_the_output_directory() {
    let redirected = |name: &str| {
        let mut tool = tool(V1_2, vec![], vec![]);
        tool.stdout = Some(template(name));
        order(&tool, "{}", &mut World::default(), &mut Scripts::default()).map(|order| order.stdout.unwrap())
    };
    assert_eq!(redirected("$(runtime.outdir)/a/b.txt"), Ok("a/b.txt".to_owned()));
    insta::assert_snapshot!(redirected("../x").unwrap_err(), @"`stdout: ../x` must be a file in the output directory");
    assert!(redirected("/etc/x").is_err());
    assert!(redirected("/outside/x").is_err());
}

// Input files.

fn file(location: &str) -> String {
    format!(r#"{{"class": "File", "location": "file://{location}"}}"#)
}

fn paths(order: &WorkOrder) -> String {
    let mut lines = vec![];
    for placement in &order.placements {
        let mark = if placement.writable { " (writable)" } else { "" };
        lines.push(match &placement.content {
            Content::Link(location) => format!("{} -> {location}{mark}", placement.path),
            Content::Literal(text) => format!("{} = {text:?}{mark}", placement.path),
            Content::Directory => format!("{}/{mark}", placement.path),
        });
    }
    lines.join("\n")
}

#[test]
fn equal_names_get_distinct_directories_and_secondary_files_follow_their_primary() {
    let mut bam = input("bam", array(Type::File), Some(plain()));
    bam.file.secondary_files = vec![
        SecondaryFile { pattern: template(".bai"), required: None },
        SecondaryFile { pattern: template("^.md"), required: Some(Computed::Literal(false)) },
    ];
    let tool = tool(V1_2, vec![bam], vec![]);
    let mut world = World::with(&[
        ("/a/x.bam", "1"),
        ("/a/x.bam.bai", "2"),
        ("/b/x.bam", "3"),
        ("/b/x.bam.bai", "4"),
        ("/b/x.md", "5"),
    ]);
    let inputs = format!(r#"{{"bam": [{}, {}]}}"#, file("/a/x.bam"), file("/b/x.bam"));
    let order = order(&tool, &inputs, &mut world, &mut Scripts::default()).unwrap();
    insta::assert_snapshot!(order.argv.join(" "), @"run /in/1/x.bam /in/2/x.bam");
    insta::assert_snapshot!(paths(&order), @r"
    /in/1/x.bam -> file:///a/x.bam
    /in/1/x.bam.bai -> file:///a/x.bam.bai
    /in/2/x.bam -> file:///b/x.bam
    /in/2/x.bam.bai -> file:///b/x.bam.bai
    /in/2/x.md -> file:///b/x.md
    ");
}

#[test]
fn a_missing_required_secondary_file_is_an_error_that_names_it() {
    let mut bam = input("bam", Type::File, None);
    bam.file.secondary_files = vec![SecondaryFile { pattern: template(".bai"), required: None }];
    let tool = tool(V1_2, vec![bam], vec![]);
    let mut world = World::with(&[("/a/x.bam", "1")]);
    let error = order(&tool, &format!(r#"{{"bam": {}}}"#, file("/a/x.bam")), &mut world, &mut Scripts::default());
    insta::assert_snapshot!(error.unwrap_err(), @"input `bam`: `x.bam` needs its secondary file `x.bam.bai`, which is not beside it");
}

#[test]
fn a_secondary_file_whose_requirement_gives_null_may_be_missing() {
    let mut bam = input("bam", Type::File, None);
    let pattern = template(".bai");
    bam.file.secondary_files =
        vec![SecondaryFile { pattern, required: Some(Computed::Expression(template("$(inputs.strict)"))) }];
    let tool = tool(V1_2, vec![bam, input("strict", optional(Type::Boolean), None)], vec![]);
    let built = |strict: &str| {
        let inputs = format!(r#"{{"bam": {}, "strict": {strict}}}"#, file("/a/x.bam"));
        order(&tool, &inputs, &mut World::with(&[("/a/x.bam", "1")]), &mut Scripts::default()).is_ok()
    };
    assert_eq!([built("null"), built("false"), built("true")], [true, true, false]);
}

#[test]
fn local_files_are_used_in_place_where_the_layout_allows_and_names_agree() {
    let tool = tool(V1_2, vec![input("a", Type::File, None), input("b", Type::File, None)], vec![]);
    let mut world = World::with(&[("/a/x y.txt", "1"), ("/a/z.txt", "1")]);
    let inputs = record(
        r#"{"a": {"class": "File", "location": "file:///a/x%20y.txt"},
            "b": {"class": "File", "location": "file:///a/z.txt", "basename": "other.txt"}}"#,
    );
    let layout = Layout { in_place: true, ..layout() };
    let effective = Effective::of(&tool.header);
    let order =
        WorkOrder::build(&tool, &effective, &inputs, &runtime(), &layout, &mut world, &mut Scripts::default()).unwrap();
    insta::assert_snapshot!(paths(&order), @"/in/1/other.txt -> file:///a/z.txt");
    insta::assert_snapshot!(crate::json::pretty(&order.inputs.into()), @r#"
    {
        "a": {
            "class": "File",
            "location": "file:///a/x%20y.txt",
            "path": "/a/x y.txt",
            "basename": "x y.txt",
            "size": 1
        },
        "b": {
            "class": "File",
            "location": "file:///a/z.txt",
            "path": "/in/1/other.txt",
            "basename": "other.txt",
            "size": 1
        }
    }
    "#);
}

#[test]
fn literals_are_written_out() {
    let tool = tool(V1_2, vec![input("d", Type::Directory, Some(plain()))], vec![]);
    let inputs = r#"{"d": {"class": "Directory", "basename": "d", "listing": [
        {"class": "File", "basename": "f.txt", "contents": "hello"},
        {"class": "Directory", "basename": "e", "listing": []}]}}"#;
    let order = order(&tool, inputs, &mut World::default(), &mut Scripts::default()).unwrap();
    insta::assert_snapshot!(paths(&order), @r#"
    /in/1/d/
    /in/1/d/f.txt = "hello"
    /in/1/d/e/
    "#);
}

fn loading(version: crate::document::CwlVersion, text: &str) -> Result<Option<usize>, String> {
    let mut parameter = input("f", Type::File, None);
    parameter.file.load_contents = true;
    let tool = tool(version, vec![parameter], vec![]);
    let mut world = World::with(&[("/f", text)]);
    let order = order(&tool, &format!(r#"{{"f": {}}}"#, file("/f")), &mut world, &mut Scripts::default())?;
    let Value::File(file) = &order.inputs["f"] else { panic!("no file") };
    Ok(file.contents.as_ref().map(String::len))
}

#[test]
fn contents_beyond_64_kib_are_cut_before_v1_2_and_refused_from_then_on() {
    let text = "é".repeat(40_000);
    assert_eq!(loading(V1_0, &text), Ok(Some(65_536)));
    assert_eq!(loading(V1_0, &format!("x{text}")), Ok(Some(65_535)), "no half characters");
    assert_eq!(loading(V1_2, "small"), Ok(Some(5)));
    insta::assert_snapshot!(loading(V1_2, &text).unwrap_err(), @"input `f`: loadContents reads at most 65536 bytes (64 KiB), `f` has 80000");
}

#[test]
fn listings_are_loaded_as_deep_as_asked_for() {
    let names = |listing: Option<LoadListing>, version| {
        let mut parameter = input("d", Type::Directory, None);
        parameter.file.load_listing = listing;
        let tool = tool(version, vec![parameter], vec![]);
        let mut world = World::with(&[("/d/b", "1"), ("/d/a/c", "2")]);
        let inputs = r#"{"d": {"class": "Directory", "location": "file:///d"}}"#;
        let order = order(&tool, inputs, &mut world, &mut Scripts::default()).unwrap();
        let mut names = vec![];
        order.inputs["d"].for_each_entry(&mut |entry| names.push(entry.location().unwrap().to_owned()));
        names.join(" ")
    };
    assert_eq!(names(None, V1_2), "file:///d");
    assert_eq!(names(Some(LoadListing::Shallow), V1_2), "file:///d file:///d/a file:///d/b");
    assert_eq!(names(None, V1_0), "file:///d file:///d/a file:///d/a/c file:///d/b", "v1.0 loads everything");
}

#[test]
fn a_wrong_format_is_refused() {
    let parameter = InputParameter {
        file: FileTreatment { format: vec![template("http://example.org/tiff")], ..FileTreatment::default() },
        ..input("f", Type::File, None)
    };
    let tool = tool(V1_2, vec![parameter], vec![]);
    let given = |format: &str| {
        let inputs = format!(
            r#"{{"f": {{"class": "File", "location": "file:///f", "format": "http://example.org/{format}"}}}}"#
        );
        order(&tool, &inputs, &mut World::with(&[("/f", "")]), &mut Scripts::default())
    };
    assert!(given("tiff").is_ok());
    insta::assert_snapshot!(given("png").unwrap_err(), @"input `f`: `f` has format http://example.org/png; expected http://example.org/tiff");
}

#[test]
fn inputs_that_the_tool_does_not_declare_do_not_reach_it() {
    let tool = tool(V1_2, vec![input("a", optional(Type::Int), None)], vec![]);
    let order = order(&tool, r#"{"a": 1, "other": 2}"#, &mut World::default(), &mut Scripts::default()).unwrap();
    assert_eq!(order.inputs.keys().collect::<Vec<_>>(), ["a"]);
}

// The working directory.

fn dirent(name: Option<&str>, entry: &str, writable: bool) -> WorkDirEntry {
    WorkDirEntry::Dirent { entryname: name.map(template), entry: template(entry), writable }
}

fn workdir(listing: Vec<WorkDirEntry>, inputs: &str) -> Result<WorkOrder, String> {
    let parameters = vec![
        input("f", optional(Type::File), Some(plain())),
        input("all", optional(array(Type::File)), None),
        input("object", optional(Type::Any), None),
    ];
    let mut tool = tool(V1_2, parameters, vec![]);
    tool.header.requirements.initial_work_dir = Some(InitialWorkDir::Listing(listing));
    order(&tool, inputs, &mut World::with(&[("/a/x.txt", "1"), ("/b/y.txt", "2")]), &mut Scripts::default())
}

#[test]
fn objects_become_json_unless_a_line_end_makes_them_text() {
    let inputs = r#"{"object": {"b": [1, 2.0], "a": {"c": null}}}"#;
    let listing =
        vec![dirent(Some("a.json"), "$(inputs.object)", false), dirent(Some("b.txt"), "=$(inputs.object)\n", false)];
    insta::assert_snapshot!(paths(&workdir(listing, inputs).unwrap()), @r#"
    /out/a.json = "{\"a\": {\"c\": null}, \"b\": [1, 2.0]}"
    /out/b.txt = "={\"a\": {\"c\": null}, \"b\": [1, 2.0]}\n"
    "#);
}

#[test]
fn a_line_end_after_a_file_makes_it_the_text_of_its_object() {
    let inputs = format!(r#"{{"f": {}}}"#, file("/a/x.txt"));
    let passed = workdir(vec![dirent(Some("n"), "$(inputs.f)", false)], &inputs).unwrap();
    let text = workdir(vec![dirent(Some("n"), "$(inputs.f)\n", false)], &inputs).unwrap();
    assert!(paths(&passed).contains("/out/n -> file:///a/x.txt"));
    assert!(paths(&text).contains(r#"/out/n = "{\"basename\": \"x.txt\", \"class\": \"File\""#));
}

#[test]
fn a_placed_input_has_its_path_in_the_output_directory() {
    let inputs = format!(r#"{{"f": {}}}"#, file("/a/x.txt"));
    let order = workdir(vec![dirent(Some("sub/new.txt"), "$(inputs.f)", true)], &inputs).unwrap();
    assert_eq!(order.argv, ["run", "/out/sub/new.txt"]);
    assert!(paths(&order).contains("/out/sub/new.txt -> file:///a/x.txt (writable)"));
}

#[test]
fn arrays_and_nulls_and_plain_entries_may_be_listed() {
    let inputs = format!(r#"{{"all": [{}, {}]}}"#, file("/a/x.txt"), file("/b/y.txt"));
    let listing = vec![
        WorkDirEntry::Expression(template("$(inputs.all)")),
        WorkDirEntry::Expression(template("$(null)")),
        dirent(None, "$(inputs.f)", false),
    ];
    let shown = paths(&workdir(listing, &inputs).unwrap());
    assert!(shown.ends_with("/out/x.txt -> file:///a/x.txt\n/out/y.txt -> file:///b/y.txt"), "{shown}");
}

#[test]
fn names_must_stay_inside_and_be_distinct() {
    let error =
        |listing: Vec<WorkDirEntry>| workdir(listing, &format!(r#"{{"all": [{}]}}"#, file("/a/x.txt"))).unwrap_err();
    insta::assert_snapshot!(error(vec![dirent(Some("../x"), "t", false)]), @"InitialWorkDirRequirement: `../x` leads out of the output directory");
    insta::assert_snapshot!(error(vec![dirent(Some("/x"), "t", false)]), @"InitialWorkDirRequirement: the absolute `entryname: /x` needs a DockerRequirement under `requirements` and a container to run in; use a relative name");
    insta::assert_snapshot!(error(vec![dirent(None, "t", false)]), @"InitialWorkDirRequirement: `entryname` is required where `entry` is text");
    insta::assert_snapshot!(error(vec![dirent(Some("x"), "$(inputs.all)", false)]), @"InitialWorkDirRequirement: `entryname: x` cannot name an array of Files and Directories; use `basename`");
    insta::assert_snapshot!(error(vec![dirent(Some("x"), "1", false), dirent(Some("./x"), "2", false)]), @"InitialWorkDirRequirement: two entries are to be placed at `/out/x`");
}

#[test]
fn an_entry_below_a_placed_directory_never_reaches_the_original() {
    let build = |listing: Vec<WorkDirEntry>, in_place: bool| {
        let mut tool = tool(V1_2, vec![input("d", Type::Directory, None)], vec![]);
        tool.header.requirements.initial_work_dir = Some(InitialWorkDir::Listing(listing));
        tool.header.requirements.inplace_update = Some(in_place);
        let inputs = r#"{"d": {"class": "Directory", "location": "file:///a"}}"#;
        order(&tool, inputs, &mut World::with(&[("/a/x.txt", "1")]), &mut Scripts::default())
    };
    let inside = || vec![dirent(Some("d"), "$(inputs.d)", false), dirent(Some("d/new"), "text", false)];
    insta::assert_snapshot!(paths(&build(inside(), false).unwrap()), @r#"
    /in/1/a -> file:///a
    /out/d -> file:///a (writable)
    /out/d/new = "text"
    "#);
    assert!(build(inside(), true).is_err(), "a writable directory would be the original");
    let around = vec![dirent(Some("d/new"), "text", false), dirent(Some("d"), "$(inputs.d)", false)];
    insta::assert_snapshot!(build(around, false).unwrap_err(), @"InitialWorkDirRequirement: two entries are to be placed at `/out/d`");
}

#[test]
fn sizes_are_measured_before_anything_is_checked() {
    let given = record(
        r#"{"f": {"class": "File", "location": "file:///a/x%20y"}, "gone": {"class": "File", "path": "/none"},
            "d": {"class": "Directory", "basename": "d", "listing": [{"class": "File", "contents": "four"}]}}"#,
    );
    let measured = measured(given, &mut World::with(&[("/a/x y", "123")]));
    insta::assert_snapshot!(crate::json::compact(&measured.into()), @r#"{"f":{"class":"File","location":"file:///a/x%20y","basename":"x y","size":3},"gone":{"class":"File","location":"file:///none","path":"/none","basename":"none"},"d":{"class":"Directory","basename":"d","listing":[{"class":"File","size":4,"contents":"four"}]}}"#);
}

// Inheritance.

#[test]
fn the_innermost_requirement_wins_and_any_requirement_beats_a_hint() {
    let level = |cores: f64| Requirements {
        resource: Some(crate::requirement::Resource {
            cores_min: Some(Computed::Literal(cores)),
            ..crate::requirement::Resource::default()
        }),
        ..Requirements::default()
    };
    let none = Requirements::default;
    let cores = |effective: &Effective| {
        crate::runtime::resources(effective, &Record::new(), &mut Scripts::default()).unwrap().cores.to_string()
    };
    let tool_hint = Effective { requirements: none(), hints: level(1.5) };
    assert_eq!(cores(&tool_hint), "1.5");
    assert_eq!(cores(&tool_hint.clone().inherit(&none(), &level(3.0))), "1.5", "inner hint over outer hint");
    let under_step = tool_hint.inherit(&level(2.0), &none());
    assert_eq!(cores(&under_step), "2", "outer requirement over inner hint");
    assert_eq!(cores(&under_step.inherit(&level(4.0), &none())), "2", "step over workflow");
    let tool_requirement = Effective { requirements: level(1.0), hints: none() };
    assert_eq!(cores(&tool_requirement.inherit(&level(2.0), &none())), "1", "tool over step");
}

#[test]
fn the_least_number_of_gpus_is_asked_for_whoever_states_it() {
    use crate::requirement::Cuda;
    let counts = |least: Option<f64>, most: Option<f64>| {
        let literal = |count: Option<f64>| count.map(Computed::Literal);
        let cuda = Cuda { device_count_min: literal(least), device_count_max: literal(most) };
        Requirements { cuda: Some(cuda), ..Requirements::default() }
    };
    let none = Requirements::default;
    let gpus = |effective: &Effective| {
        crate::runtime::resources(effective, &Record::new(), &mut Scripts::default()).map(|request| request.gpus)
    };
    assert_eq!(gpus(&Effective::default()), Ok(0));
    let hinted = Effective { requirements: none(), hints: counts(Some(2.0), Some(4.0)) };
    assert_eq!(gpus(&hinted), Ok(2), "a hint asks, and for no more than it needs");
    assert_eq!(gpus(&hinted.clone().inherit(&none(), &counts(Some(3.0), None))), Ok(2), "inner hint over outer hint");
    assert_eq!(gpus(&hinted.inherit(&counts(Some(0.0), None), &none())), Ok(0), "a job can do without what is hinted");
    let of_workflow = Effective::default().inherit(&none(), &none()).inherit(&counts(None, Some(3.0)), &none());
    assert_eq!(gpus(&of_workflow), Ok(3), "from the workflow through the step to the tool");
    let of_tool = Effective { requirements: counts(Some(1.0), None), hints: none() };
    assert_eq!(gpus(&of_tool.inherit(&counts(Some(2.0), None), &none())), Ok(1), "tool over step");
    let contradiction = Effective { requirements: counts(Some(2.0), Some(1.0)), hints: none() };
    insta::assert_snapshot!(gpus(&contradiction).unwrap_err(), @"`cudaDeviceCountMin` is greater than `cudaDeviceCountMax`");
}
