//! Results that outlive a job: a step `node_stage_out` behind every Directory output of the entry process, as the
//! platforms of OGC 20-089r1 add it (Best Practice for Earth Observation Application Package, §7.5 "stage-out").

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostics;
use crate::document::{Link, Package, Port, Process, StepInput, WorkflowOutput};
use crate::load::{NoFetch, load_text};
use crate::schema::{ArrayType, Type};
use crate::value::Value;
use crate::wrap;

/// Where the built-in stage-out tools claim to come from.
pub const TOOL_URL: &str = "weir:stage_out.cwl";

/// Names of their inputs and output.
const CATALOG: &str = "catalog";
const TO: &str = "to";
const ID: &str = "id";
const PUBLISHED: &str = "published";

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOut {
    /// A directory, or `s3://bucket[/prefix]`.
    pub to: String,
    /// First segment of every key: the job's id.
    pub id: String,
    /// Whether the step only lays the results out, in its own output directory and without credentials, and the executor
    /// copies them to `to` (an `s3://` URL) afterwards. The outputs then stay Directories, which the executor replaces
    /// by the URLs of the published catalogs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lays_out: bool,
}

impl StageOut {
    /// The text of the built-in stage-out tool that does what this asks for.
    fn tool(&self, shape: Shape) -> &'static str {
        match (self.lays_out, shape) {
            (false, Shape::One) => include_str!("stage_out.cwl"),
            (false, Shape::Each) => include_str!("stage_out_each.cwl"),
            (true, Shape::One) => include_str!("stage_out_layout.cwl"),
            (true, Shape::Each) => include_str!("stage_out_layout_each.cwl"),
        }
    }

    /// What a staged output becomes: URLs of catalogs, or what is laid out.
    fn type_of(&self, shape: Shape) -> Type {
        let one = if self.lays_out { Type::Directory } else { Type::String };
        match shape {
            Shape::One => one,
            Shape::Each => Type::Array(Box::new(ArrayType { items: one, input_binding: None })),
        }
    }
}

/// What a staged output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A directory: `<to>/<id>/`.
    One,
    /// Some directories: `<to>/1/`, `<to>/2/` …
    Each,
}

/// The package whose entry stages every Directory, `Directory?`, `Directory[]` and `Directory[]?` output out. The staged
/// outputs become the URLs of the published catalogs (strings), or Directories where `stage_out` only lays them out. A
/// package without such outputs comes back as it is.
///
/// One output is staged under `<to>/<id>/`, several under `<to>/<id>/<output>/` each; the elements of a list under
/// `<to>/<id>/<output>/1/` and so on, without its nulls.
pub fn with_stage_out(mut package: Package, stage_out: &StageOut) -> Result<Package, Diagnostics> {
    let mut workflow = wrap::entry_workflow(&package);
    let staged: Vec<(usize, Shape)> =
        workflow.outputs.iter().enumerate().filter_map(|(at, output)| Some((at, shape(&output.type_)?))).collect();
    if staged.is_empty() {
        return Ok(package);
    }
    let is_only = staged.len() == 1;
    let mut tools = Vec::new();
    for (at, shape) in staged {
        let run = match tools.iter().find(|(known, _)| *known == shape) {
            Some((_, run)) => *run,
            None => {
                let tool = load_text(TOOL_URL, stage_out.tool(shape), None, &NoFetch)?;
                let run = wrap::add_process(&mut package, &tool);
                tools.push((shape, run));
                run
            }
        };
        let port = Port::Step { step: workflow.steps.len(), output: PUBLISHED.to_owned() };
        let output = &mut workflow.outputs[at];
        let link = std::mem::replace(&mut output.link, Link { sources: vec![port], ..Link::default() });
        let is_nullable = matches!(&output.type_, Type::Union(_));
        let type_ = stage_out.type_of(shape);
        output.type_source = format!("{type_}{}", if is_nullable { "?" } else { "" });
        output.type_ = if is_nullable { Type::Union(vec![Type::Null, type_]) } else { type_ };

        let output = &workflow.outputs[at];
        let name = if is_only { "node_stage_out".to_owned() } else { format!("node_stage_out_{}", output.id) };
        let name = wrap::free_step_name(&workflow, &name);
        let mut step = wrap::step(name, run, Vec::new(), &output.span);
        step.label = Some("Publish the results".to_owned());
        step.inputs = step_inputs(stage_out, output, shape, is_only, link);
        step.outputs = vec![PUBLISHED.to_owned()];
        if is_nullable {
            wrap::only_if_given(&mut step, CATALOG);
        }
        workflow.steps.push(step);
    }
    Ok(wrap::with_entry(package, workflow))
}

fn step_inputs(
    stage_out: &StageOut,
    output: &WorkflowOutput,
    shape: Shape,
    is_only: bool,
    link: Link,
) -> Vec<StepInput> {
    let StageOut { to, id, .. } = stage_out;
    let input = |id: &str, link, default| wrap::step_input(id, link, default, &output.span);
    let text = |name: &str, text: String| input(name, Link::default(), Some(Value::String(text)));
    let below = || format!("{}/{id}", to.trim_end_matches('/'));
    match shape {
        Shape::One if is_only => vec![input(CATALOG, link, None), text(TO, to.clone()), text(ID, id.clone())],
        // The tool's id is one segment.
        Shape::One => vec![input(CATALOG, link, None), text(TO, below()), text(ID, output.id.clone())],
        Shape::Each => vec![input(CATALOG, link, None), text(TO, format!("{}/{}", below(), output.id))],
    }
}

/// Where the results of a staged output lie: `<id>`, `<id>/<output>` where there are several staged outputs, or the same
/// for a list, whose elements lie below under the names that the tool gave them. `None` for an output that is not staged.
pub fn place_of(package: &Package, output: &str, id: &str) -> Option<String> {
    let (_, inputs) = staged_steps(package).find(|(staged, _)| *staged == output)?;
    let is_list = inputs.iter().all(|input| input.id != ID);
    let is_only = staged_steps(package).count() == 1;
    Some(if is_only && !is_list { id.to_owned() } else { format!("{id}/{output}") })
}

/// The staged outputs of the entry, with the inputs of their steps.
fn staged_steps(package: &Package) -> impl Iterator<Item = (&str, &[StepInput])> {
    let workflow = match &package.processes[package.entry.0] {
        Process::Workflow(workflow) => Some(workflow),
        _ => None,
    };
    workflow.into_iter().flat_map(|workflow| &workflow.outputs).filter_map(move |output| {
        let [Port::Step { step, output: port }] = output.link.sources.as_slice() else { return None };
        let step = workflow?.steps.get(*step).filter(|_| port == PUBLISHED)?;
        let is_ours = package.processes[step.run.0].header().span.source.url == TOOL_URL;
        is_ours.then_some((output.id.as_str(), step.inputs.as_slice()))
    })
}

/// The shape of values of a type, if they are directories, some of them, or null.
fn shape(type_: &Type) -> Option<Shape> {
    match type_ {
        Type::Directory => Some(Shape::One),
        Type::Array(array) => (shape(&array.items) == Some(Shape::One)).then_some(Shape::Each),
        Type::Union(types) => {
            let mut shapes = types.iter().filter(|one| **one != Type::Null).map(shape);
            let first = shapes.next()??;
            shapes.all(|other| other == Some(first)).then_some(first)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs: {}\noutputs:\n  \
        a: {type: Directory, outputBinding: {glob: a}}\n  n: {type: int, outputBinding: {outputEval: $(1)}}\n";

    fn staged(package: &str, lays_out: bool) -> Package {
        let stage_out = StageOut { to: "s3://results/".to_owned(), id: "job".to_owned(), lays_out };
        let package = load_text("file:///p.cwl", package, None, &NoFetch).unwrap();
        with_stage_out(package, &stage_out).unwrap()
    }

    /// The staged outputs, where they lie, and what their steps are told.
    fn told_of(package: &str, lays_out: bool) -> String {
        let package = staged(package, lays_out);
        let Process::Workflow(workflow) = &package.processes[package.entry.0] else { panic!() };
        let line = |id: &str| {
            let output = workflow.outputs.iter().find(|output| output.id == id).unwrap();
            let [Port::Step { step, .. }] = output.link.sources.as_slice() else { panic!() };
            let step = &workflow.steps[*step];
            let told = step.inputs.iter().filter_map(|input| Some((&input.id, input.default.as_ref()?.as_str()?)));
            let told: Vec<_> = told.map(|(id, text)| format!("{id} {text}")).collect();
            let when = step.when.as_ref().map_or(String::new(), |when| format!(" when {}", when.source));
            let (type_, place) = (&output.type_source, place_of(&package, id, "job").unwrap());
            format!("{id}: {type_} at {place}, {}({}){when}", step.id, told.join(", "))
        };
        staged_steps(&package).map(|(output, _)| line(output)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn one_directory_has_the_jobs_results_to_itself_and_what_is_laid_out_stays_a_directory() {
        insta::assert_snapshot!(told_of(PACKAGE, false), @"a: string at job, node_stage_out(to s3://results/, id job)");
        insta::assert_snapshot!(told_of(PACKAGE, true), @"a: Directory at job, node_stage_out(to s3://results/, id job)");
    }

    #[test]
    fn several_outputs_are_staged_below_the_jobs_id() {
        let more = format!(
            "{PACKAGE}  b: {{type: Directory?, outputBinding: {{glob: b}}}}\n  c: {{type: 'Directory[]', outputBinding: \
             {{glob: c*}}}}\n  f: {{type: File, outputBinding: {{glob: f}}}}\n"
        );
        insta::assert_snapshot!(told_of(&more, true), @"
        a: Directory at job/a, node_stage_out_a(to s3://results/job, id a)
        b: Directory? at job/b, node_stage_out_b(to s3://results/job, id b) when $(inputs.catalog !== null)
        c: Directory[] at job/c, node_stage_out_c(to s3://results/job/c)
        ");
    }

    #[test]
    fn the_elements_of_a_list_get_numbers_below_their_output() {
        let list = PACKAGE.replace("type: Directory", "type: 'Directory[]?'");
        insta::assert_snapshot!(told_of(&list, false), @"a: string[]? at job/a, node_stage_out(to s3://results/job/a) when $(inputs.catalog !== null)");
    }

    #[test]
    fn a_step_of_that_name_in_the_package_is_no_obstacle() {
        let taken = PACKAGE.replace("id: t", "id: node_stage_out");
        let package = staged(&taken, true);
        let Process::Workflow(workflow) = &package.processes[package.entry.0] else { panic!() };
        let names: Vec<_> = workflow.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(names, ["node_stage_out", "node_stage_out_2"]);
    }
}
