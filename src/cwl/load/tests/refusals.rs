//! What is no package, and what its author is told: the place, what is wrong there, what would be right.

use super::documents::{MULTI_SCENE, load_all, load_one, messages};
use crate::load::{Fetch, FetchError, load};

#[test]
fn messages_show_place_line_and_remedy() {
    insta::assert_snapshot!(messages("cwlVersion: v1.8\nclass: CommandLineTool\ninputs: []\noutputs: []"), @r#"
    /p/a.cwl:1:13: error: unknown cwlVersion 'v1.8'
     1 | cwlVersion: v1.8
       |             ^^^^
    help: weir runs v1.0, v1.1 and v1.2
    "#);
    insta::assert_snapshot!(messages("class: CommandLineTool\ninputs: []\noutputs: []"), @r#"
    /p/a.cwl:1:1: error: the document states no cwlVersion
     1 | class: CommandLineTool
       | ^
    help: write `cwlVersion: v1.2` at the top of the document
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTol\ninputs: []\noutputs: []"), @"
    /p/a.cwl:2:8: error: 'CommandLineTol' is no class of process
     2 | class: CommandLineTol
       |        ^^^^^^^^^^^^^^
    help: did you mean 'CommandLineTool'?
    ");
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: {a: strng}\noutputs: {o: {type: array, items: string}}\nbasecommand: x"), @r#"
    /p/a.cwl:3:13: error: there is no type 'strng'
     3 | inputs: {a: strng}
       |             ^^^^^
    help: did you mean 'string'?
    /p/a.cwl:4:21: error: 'array' alone is no type
     4 | outputs: {o: {type: array, items: string}}
       |                     ^^^^^
    help: write `type: {type: array, items: string}`
    /p/a.cwl:5:1: error: a CommandLineTool has no field 'basecommand'
     5 | basecommand: x
       | ^^^^^^^^^^^
    help: did you mean 'baseCommand'?
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: {a: string, a: int}\noutputs: []"), @r#"
    /p/a.cwl:3:21: error: the key 'a' stands twice in one mapping
     3 | inputs: {a: string, a: int}
       |                     ^
    help: it stands first at line 3, column 10; remove one
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: []\noutputs: []\narguments: [1, true]"), @r#"
    /p/a.cwl:5:13: error: an argument must be a string, not a number
     5 | arguments: [1, true]
       |             ^
    help: put it in quotes
    /p/a.cwl:5:16: error: an argument must be a string, not a boolean
     5 | arguments: [1, true]
       |                ^^^^
    help: put it in quotes
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: [Commandline"), @r#"
    /p/a.cwl:3:1: error: no valid YAML or JSON: while parsing a flow sequence, expected ',' or ']'
    "#);
}

#[test]
fn texts_are_called_what_the_fetcher_calls_them() {
    struct Named;
    impl Fetch for Named {
        fn fetch(&self, _: &str) -> Result<String, FetchError> {
            Ok("cwlVersion: v9".to_owned())
        }
        fn name(&self, url: &str) -> Option<String> {
            url.strip_prefix("file:///home/me/").map(str::to_owned)
        }
    }
    let message = load("file:///home/me/pkg/a.cwl", &Named).unwrap_err().to_string();
    assert!(message.starts_with("pkg/a.cwl:1:13: error: unknown cwlVersion 'v9'"), "{message}");
}

#[test]
fn sources_that_name_nothing_are_reported_with_what_there_is() {
    let text = r"
cwlVersion: v1.2
class: Workflow
inputs: {message: string}
outputs:
  out: {type: File, outputSource: first/outt}
steps:
  first:
    run: {class: CommandLineTool, inputs: {m: string}, outputs: {out: stdout}, baseCommand: echo}
    in: {m: mesage}
    out: [out]
    scatter: n
  second:
    run: {class: CommandLineTool, inputs: {f: File}, outputs: [], baseCommand: cat}
    in: {f: first}
    out: []
";
    insta::assert_snapshot!(messages(text), @r#"
    /p/a.cwl:6:35: error: the step 'first' has no output 'outt'
     6 |   out: {type: File, outputSource: first/outt}
       |                                   ^^^^^^^^^^
    help: its `out` has: out
    /p/a.cwl:10:13: error: the workflow has no input 'mesage'
     10 |     in: {m: mesage}
        |             ^^^^^^
    help: it has: message; outputs of steps are written step/output
    /p/a.cwl:15:13: error: the workflow has no input 'first'
     15 |     in: {f: first}
        |             ^^^^^
    help: 'first' is a step; its outputs are: first/out
    "#);
}

#[test]
fn workflows_that_run_themselves_are_refused() {
    let a = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {s: {run: b.cwl, in: [], out: []}}";
    let b = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {s: {run: a.cwl, in: [], out: []}}";
    insta::assert_snapshot!(load_all(&[("a.cwl", a), ("b.cwl", b)]).unwrap_err(), @r#"
    /p/b.cwl:5:9: error: a workflow runs itself: a.cwl -> b.cwl -> a.cwl
     5 | steps: {s: {run: a.cwl, in: [], out: []}}
       |         ^
    "#);
}

#[test]
fn types_that_contain_themselves_or_grow_without_bound_are_refused() {
    let own = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\nrequirements: {SchemaDefRequirement: {types: [{name: t, type: record, fields: {a: 't[]'}}]}}\ninputs: {a: t}";
    insta::assert_snapshot!(messages(own), @r#"
    /p/a.cwl:4:83: error: the type 't' contains itself
     4 | requirements: {SchemaDefRequirement: {types: [{name: t, type: record, fields: {a: 't[]'}}]}}
       |                                                                                   ^^^^^
    "#);
    let mut bomb = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\ninputs: {a: t60}\nrequirements:\n  SchemaDefRequirement:\n    types:\n      - {name: t0, type: record, fields: {a: int}}\n".to_owned();
    for level in 1..=60 {
        let inner = level - 1;
        bomb.push_str(
            &[
                "      - {name: t",
                &level.to_string(),
                ", type: record, fields: {a: t",
                &inner.to_string(),
                ", b: t",
                &inner.to_string(),
                "}}\n",
            ]
            .concat(),
        );
    }
    assert!(messages(&bomb).contains("more than 20000 parts"));
}

#[test]
fn fields_of_newer_versions_are_refused_in_older_documents() {
    let text = r"
cwlVersion: v1.1
class: Workflow
inputs: {a: int}
outputs: {o: {type: Any, outputSource: a, pickValue: first_non_null}}
steps:
  s:
    run: {class: CommandLineTool, inputs: [], outputs: [], requirements: {ResourceRequirement: {coresMin: 0.5}}}
    in: []
    out: []
    when: $(true)
";
    insta::assert_snapshot!(messages(text), @r#"
    /p/a.cwl:5:54: error: pickValue came with CWL v1.2, but this process states v1.1
     5 | outputs: {o: {type: Any, outputSource: a, pickValue: first_non_null}}
       |                                                      ^^^^^^^^^^^^^^
    help: state `cwlVersion: v1.2`
    /p/a.cwl:8:107: error: a fraction in coresMin came with CWL v1.2, but this process states v1.1
     8 |     run: {class: CommandLineTool, inputs: [], outputs: [], requirements: {ResourceRequirement: {coresMin: 0.5}}}
       |                                                                                                           ^^^
    help: state `cwlVersion: v1.2`
    /p/a.cwl:11:11: error: when came with CWL v1.2, but this process states v1.1
     11 |     when: $(true)
        |           ^^^^^^^
    help: state `cwlVersion: v1.2`
    "#);
    let embedded = text.replace("class: CommandLineTool", "class: CommandLineTool, cwlVersion: v1.2");
    assert!(!messages(&embedded).contains("coresMin"), "a tool follows its own version");
}

#[test]
fn depth_is_bounded_wherever_it_can_come_from() {
    let chain: String = (1..200)
        .map(|n| {
            ["      - {name: t", &n.to_string(), ", type: record, fields: {a: t", &(n - 1).to_string(), "}}\n"].concat()
        })
        .collect();
    let head = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\nrequirements:\n  SchemaDefRequirement:\n    types:\n      - {name: t0, type: record, fields: {a: int}}\n";
    assert!(messages(&format!("{head}{chain}inputs: {{a: t199}}\n")).contains("more than 64 levels"));
    assert!(messages(&format!("{head}inputs: {{a: 't0{}'}}\n", "[]".repeat(1000))).contains("far beyond use"));
    let texts: Vec<(String, String)> =
        (0..20).map(|n| (format!("{n}.yml"), format!("x: {{$import: {}.yml}}", n + 1))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(load_all(&texts).unwrap_err().to_string().contains("nested deeper than 8 texts"));
    let deep: Vec<(String, String)> = (0..39)
        .map(|n| (format!("{n}.cwl"), format!("cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {{s: {{run: {}.cwl, in: [], out: []}}}}", n + 1)))
        .chain([("39.cwl".to_owned(), "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: []".to_owned())])
        .collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(load_all(&deep).unwrap_err().to_string().contains("nested deeper than 32 levels"));
}

proptest::proptest! {
    /// Cuts, repeats and overwrites parts of a sound document: it loads or is refused with a message.
    #[test]
    fn a_mutated_document_loads_or_is_refused(
        edits in proptest::collection::vec((0usize..6000, 0usize..40, "[-:?,\\[\\]{}#&*!|>'\"$@ \na-e0-9]{0,12}"), 1..6)
    ) {
        let mut text: Vec<char> = MULTI_SCENE.chars().collect();
        for (at, length, replacement) in edits {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        match load_one(&text) {
            Ok(package) => drop(crate::check::check(&package)),
            Err(diagnostics) => proptest::prop_assert!(diagnostics.has_errors() && !diagnostics.to_string().is_empty()),
        }
    }
}

#[test]
fn a_misspelt_class_is_told_though_another_workflow_could_be_meant() {
    let text = "cwlVersion: v1.2
$graph:
- {class: workflow, id: water, inputs: {}, outputs: {}, steps: {one: {run: '#sub', in: [], out: []}}}
- {class: Workflow, id: sub, inputs: {}, outputs: {}, steps: {}}
";
    insta::assert_snapshot!(messages(text), @"
    /p/a.cwl:3:11: error: 'workflow' is no class of process
     3 | - {class: workflow, id: water, inputs: {}, outputs: {}, steps: {one: {run: '#sub', in: [], out: []}}}
       |           ^^^^^^^^
    help: did you mean 'Workflow'?
    ");
}

#[test]
fn amounts_that_can_never_be_right_are_told_before_anything_runs() {
    let tool = |amounts: &str| {
        format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: t\ninputs: {{}}\noutputs: {{}}\nrequirements:\n  ResourceRequirement: {{{amounts}}}\n"
        )
    };
    insta::assert_snapshot!(messages(&tool("coresMax: one, ramMin: '2'")), @"
    /p/a.cwl:7:35: error: coresMax must be a number of 0 or more or an expression, not a string
     7 |   ResourceRequirement: {coresMax: one, ramMin: '2'}
       |                                   ^^^
    /p/a.cwl:7:48: error: ramMin must be a number of 0 or more or an expression, not a string
     7 |   ResourceRequirement: {coresMax: one, ramMin: '2'}
       |                                                ^^^
    ");
    insta::assert_snapshot!(messages(&tool("coresMin: 4, coresMax: 2")), @"
    /p/a.cwl:7:35: error: coresMin is 4, more than the 2 of coresMax
     7 |   ResourceRequirement: {coresMin: 4, coresMax: 2}
       |                                   ^
    ");
    load_one(&tool("coresMin: $(inputs.n), coresMax: 2, ramMin: 2, ramMax: 2")).unwrap();
}

#[test]
fn an_input_with_a_wrong_type_is_told_once() {
    let text = "cwlVersion: v1.2
class: Workflow
inputs: {scene: Flie, other: string}
outputs: {o: {type: string, outputSource: other}}
steps:
  one: {run: {class: Operation, inputs: {s: File}, outputs: {}}, in: {s: scene}, out: []}
";
    insta::assert_snapshot!(messages(text), @"
    /p/a.cwl:3:17: error: there is no type 'Flie'
     3 | inputs: {scene: Flie, other: string}
       |                 ^^^^
    help: name a CWL type, or define it in a SchemaDefRequirement
    ");
}

#[test]
fn fields_beside_graph_that_mean_nothing_are_told() {
    let text = |field: &str| {
        format!(
            "cwlVersion: v1.2\n{field}\n$graph:\n- {{class: CommandLineTool, id: t, baseCommand: t, inputs: {{}}, outputs: {{}}}}\n"
        )
    };
    let package = load_one(&text("s:softwareVersion: 1\nlabel: water\ninputs: {}")).unwrap();
    insta::assert_snapshot!(package.warnings, @"
    /p/a.cwl:3:1: warning: a document with $graph has no field 'label'
     3 | label: water
       | ^^^^^
    help: it is ignored
    /p/a.cwl:4:1: warning: a document with $graph has no field 'inputs'
     4 | inputs: {}
       | ^^^^^^
    help: it is ignored
    ");
    insta::assert_snapshot!(messages(&text("cwlVersions: v1.2")), @"
    /p/a.cwl:2:1: error: a document with $graph has no field 'cwlVersions'
     2 | cwlVersions: v1.2
       | ^^^^^^^^^^^
    help: did you mean 'cwlVersion'?
    ");
}

#[test]
fn a_requirement_that_is_not_supported_is_shown_with_what_would_be_right() {
    let text = |class: &str| {
        format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: t\ninputs: {{}}\noutputs: {{}}\nrequirements:\n  {class}: {{}}\n"
        )
    };
    let told = |class: &str| {
        let package = load_one(&text(class)).unwrap();
        crate::check::unsupported(&package)[0].diagnostic().to_string()
    };
    insta::assert_snapshot!(told("ScaterFeatureRequirement"), @"
    /p/a.cwl:7:3: error: weir does not support `ScaterFeatureRequirement`
     7 |   ScaterFeatureRequirement: {}
       |   ^^^^^^^^^^^^^^^^^^^^^^^^
    help: did you mean 'ScatterFeatureRequirement'?
    ");
    insta::assert_snapshot!(told("FireRequirement"), @"
    /p/a.cwl:7:3: error: weir does not support `FireRequirement`
     7 |   FireRequirement: {}
       |   ^^^^^^^^^^^^^^^
    help: weir cannot promise what it asks for; as a hint it would be ignored
    ");
}
