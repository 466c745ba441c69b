//! Inputs that lie elsewhere: a step `node_stage_in` before every Directory input that is given by a URL, as the platforms
//! of OGC 20-089r1 add it (Best Practice for Earth Observation Application Package, §7.4 "stage-in"), and before every
//! File input in an object store.
//!
//! A Directory at an `http:`, `https:` or `s3:` URL is a scene: the URL is that of its STAC item, and the step makes a
//! folder with a catalog, the item and its assets of it. A File behind http(s) needs no step: executors fetch it.

use crate::diagnostic::Diagnostics;
use crate::document::{Link, Package, Port, ProcessIndex, Scatter, ScatterMethod, Workflow};
use crate::load::{NoFetch, load_text};
use crate::schema::{ArrayType, FileTreatment, Type};
use crate::uri;
use crate::value::{Directory, File, Record, Value};
use crate::wrap;

/// Where the built-in stage-in tools claim to come from.
pub const TOOL_URL: &str = "weir:stage_in.cwl";

/// Texts of the tools.
const SCENE_TOOL: &str = include_str!("stage_in.cwl");
const FILE_TOOL: &str = include_str!("stage_in_file.cwl");

/// Names of their input and output.
const GIVEN: &str = "given";
const STAGED: &str = "staged";

/// A package and its inputs that cannot be put together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StageInError {
    /// Something that lies elsewhere, at a place where no step can take it from.
    #[error(
        "input `{input}`: the {class} at {url} cannot be staged in; it must be the input's own value, or stand in a list \
         in which all are {class} URLs"
    )]
    Misplaced {
        /// The input.
        input: String,
        /// `File` or `Directory`.
        class: &'static str,
        /// Where it is, without its query: that may hold a signature.
        url: String,
    },
    /// A built-in tool is wrong.
    #[error("{0}")]
    Tool(Diagnostics),
}

/// The package whose entry stages in what the inputs name by URL, and the inputs for it: these have the URLs as strings
/// (Files: as records) where they were Directories. A package whose inputs are all at hand comes back as it is.
///
/// A list is staged in by scattering; nulls in it stay.
pub fn with_stage_in(mut package: Package, mut inputs: Record) -> Result<(Package, Record), StageInError> {
    let header = package.processes[package.entry.0].header();
    let mut given = Vec::new();
    for (at, input) in header.inputs.iter().enumerate() {
        // A null takes the default, as everywhere.
        let value = inputs.get(&input.id).filter(|value| !value.is_null()).or(input.default.as_ref());
        let Some(value) = value else { continue };
        match Given::of(value) {
            Some(found) => given.push((at, found)),
            None => at_hand(&input.id, value)?,
        }
    }
    if given.is_empty() {
        return Ok((package, inputs));
    }
    let mut workflow = wrap::entry_workflow(&package);
    let is_only = given.len() == 1;
    let mut tools = Tools::default();
    for (at, given) in given {
        let run = tools.index(&given, &mut package)?;
        let id = &workflow.header.inputs[at].id;
        let name = if is_only { "node_stage_in".to_owned() } else { format!("node_stage_in_{id}") };
        inputs.insert(id.clone(), given.value());
        let name = wrap::free_step_name(&workflow, &name);
        add_step(&mut workflow, at, &given, name, run);
    }
    Ok((wrap::with_entry(package, workflow), inputs))
}

/// Whether [`with_stage_in`] puts a step before an input of this value.
pub fn is_staged(value: &Value) -> bool {
    Given::of(value).is_some()
}

/// Indices of the tools in the package, once they are there.
#[derive(Default)]
struct Tools {
    scene: Option<ProcessIndex>,
    file: Option<ProcessIndex>,
}

impl Tools {
    fn index(&mut self, given: &Given, package: &mut Package) -> Result<ProcessIndex, StageInError> {
        let (slot, text) = match given.kind {
            Kind::Scene => (&mut self.scene, SCENE_TOOL),
            Kind::File => (&mut self.file, FILE_TOOL),
        };
        if let Some(index) = slot {
            return Ok(*index);
        }
        let tool = load_text(TOOL_URL, text, None, &NoFetch).map_err(StageInError::Tool)?;
        Ok(*slot.insert(wrap::add_process(package, &tool)))
    }
}

/// What a tool is told, and of what kind it is.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    kind: Kind,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scene,
    File,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    One(Value),
    /// `Null` where nothing is given.
    Each(Vec<Value>),
}

impl Given {
    /// What is to be staged in, if the value is all of one kind of it.
    fn of(value: &Value) -> Option<Self> {
        if let Some((kind, told)) = told(value) {
            return Some(Self { kind, what: What::One(told) });
        }
        let Value::Array(items) = value else { return None };
        let mut kind = None;
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            if item.is_null() {
                all.push(Value::Null);
                continue;
            }
            let (one, told) = told(item)?;
            if *kind.get_or_insert(one) != one {
                return None;
            }
            all.push(told);
        }
        kind.map(|kind| Self { kind, what: What::Each(all) })
    }

    /// What the entry's input becomes.
    fn value(&self) -> Value {
        match &self.what {
            What::One(told) => told.clone(),
            What::Each(all) => Value::Array(all.clone()),
        }
    }

    /// The type of that, which the step's tool checks more closely.
    fn type_(&self) -> Type {
        match &self.what {
            What::One(_) => Type::Any,
            What::Each(_) => {
                let items = Type::Union(vec![Type::Null, Type::Any]);
                Type::Array(Box::new(ArrayType { items, input_binding: None }))
            }
        }
    }
}

/// What a tool is told of a File or Directory that lies elsewhere.
fn told(value: &Value) -> Option<(Kind, Value)> {
    match value {
        Value::Directory(directory) => match &**directory {
            Directory { location: Some(location), listing: None, .. } if is_remote(location) => {
                Some((Kind::Scene, Value::String(location.clone())))
            }
            _ => None,
        },
        Value::File(file) => match &**file {
            File { location: Some(location), secondary_files, .. }
                if location.starts_with("s3://") && secondary_files.is_empty() =>
            {
                let basename = file.basename.clone().unwrap_or_else(|| uri::basename(location));
                let mut told = Record::from([
                    ("location".to_owned(), location.as_str().into()),
                    ("basename".to_owned(), basename.as_str().into()),
                ]);
                if let Some(format) = &file.format {
                    told.insert("format".to_owned(), format.as_str().into());
                }
                Some((Kind::File, Value::Record(told)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a location is a URL that a stage-in tool reads.
pub(crate) fn is_remote(location: &str) -> bool {
    ["http://", "https://", "s3://"].iter().any(|scheme| location.starts_with(scheme))
}

/// Refuses what nobody could read: a Directory elsewhere, or a File in an object store, that no step stages in.
fn at_hand(input: &str, value: &Value) -> Result<(), StageInError> {
    let mut misplaced = None;
    value.for_each_entry(&mut |entry| {
        let Some(location) = entry.location() else { return };
        let class = match entry {
            crate::value::EntryRef::Directory(directory) if directory.listing.is_none() && is_remote(location) => {
                "Directory"
            }
            crate::value::EntryRef::File(_) if location.starts_with("s3://") => "File",
            _ => return,
        };
        let url = location.split(['?', '#']).next().unwrap_or(location).to_owned();
        misplaced.get_or_insert(StageInError::Misplaced { input: input.to_owned(), class, url });
    });
    misplaced.map_or(Ok(()), Err)
}

/// Puts the step behind the input at `at`: whoever has read the input now reads the step's output.
fn add_step(workflow: &mut Workflow, at: usize, given: &Given, name: String, run: ProcessIndex) {
    let staged = Port::Step { step: workflow.steps.len(), output: STAGED.to_owned() };
    let input = &mut workflow.header.inputs[at];
    let id = input.id.clone();
    let treatment = std::mem::take(&mut input.file);
    (input.type_, input.default, input.input_binding) = (given.type_(), None, None);
    input.type_source = if matches!(given.what, What::Each(_)) { "Any[]".to_owned() } else { "Any".to_owned() };

    for reader in workflow.steps.iter_mut().flat_map(|step| &mut step.inputs) {
        if redirect(&mut reader.link, &id, &staged) {
            let FileTreatment { load_contents, load_listing, .. } = &treatment;
            reader.load_contents |= load_contents;
            reader.load_listing = reader.load_listing.or(*load_listing);
        }
    }
    for output in &mut workflow.outputs {
        redirect(&mut output.link, &id, &staged);
    }

    let span = workflow.header.span.clone();
    let link = Link { sources: vec![Port::Input(id)], ..Link::default() };
    let mut step = wrap::step(name, run, vec![wrap::step_input(GIVEN, link, None, &span)], &span);
    step.label = Some("Fetch the inputs".to_owned());
    step.outputs = vec![STAGED.to_owned()];
    if let What::Each(all) = &given.what {
        step.scatter = Some(Scatter { inputs: vec![GIVEN.to_owned()], method: ScatterMethod::DotProduct });
        if all.contains(&Value::Null) {
            wrap::only_if_given(&mut step, GIVEN);
        }
    }
    workflow.steps.push(step);
}

/// Makes a link read `staged` where it reads the input `id`. Whether it did.
fn redirect(link: &mut Link, id: &str, staged: &Port) -> bool {
    let mut is_reader = false;
    for source in &mut link.sources {
        if matches!(source, Port::Input(input) if input == id) {
            *source = staged.clone();
            is_reader = true;
        }
    }
    is_reader
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::document::Process;
    use crate::json;

    const PACKAGE: &str = r"
cwlVersion: v1.2
class: Workflow
id: w
requirements: {MultipleInputFeatureRequirement: {}}
inputs:
  scene: Directory
  more: {type: 'Directory[]?', loadListing: deep_listing}
  mask: File?
  aoi: string?
outputs:
  same: {type: Directory, outputSource: scene}
steps:
  node_stage_in_mask:
    run: {class: CommandLineTool, id: t, baseCommand: t, outputs: {}, inputs: {s: Directory, m: 'Directory[]', f: File?}}
    in: {s: scene, m: {source: [more, scene], linkMerge: merge_flattened}, f: mask}
    out: []
";

    fn staged(package: &str, inputs: &str) -> Result<(Package, Record), StageInError> {
        let package = load_text("file:///p.cwl", package, None, &NoFetch).unwrap();
        let Value::Record(inputs) = json::parse(inputs).unwrap().recognise().unwrap() else { panic!() };
        with_stage_in(package, inputs)
    }

    /// The entry's inputs, links and steps, and the values, one a line.
    fn told_of(package: &str, inputs: &str) -> String {
        let (package, inputs) = match staged(package, inputs) {
            Ok(staged) => staged,
            Err(error) => return error.to_string(),
        };
        let found = check(&package);
        assert!(!found.has_errors(), "{found}");
        let Process::Workflow(workflow) = &package.processes[package.entry.0] else {
            return format!("a {:?} as it was", package.processes[package.entry.0].header().id);
        };
        let port = |port: &Port| match port {
            Port::Input(id) => id.clone(),
            Port::Step { step, output } => format!("{}/{output}", workflow.steps[*step].id),
        };
        let link = |link: &Link| link.sources.iter().map(port).collect::<Vec<_>>().join(" + ");
        let mut lines: Vec<String> = workflow.header.inputs.iter().map(|i| format!("{}: {}", i.id, i.type_)).collect();
        for step in &workflow.steps {
            let run = &package.processes[step.run.0].header().id;
            let inputs: Vec<_> = step
                .inputs
                .iter()
                .map(|i| format!("{} <- {} {:?}", i.id, link(&i.link), i.load_listing).replace(" None", ""))
                .collect();
            let scatter = step.scatter.as_ref().map_or(String::new(), |s| format!(" for each {}", s.inputs.join(" ")));
            let when = step.when.as_ref().map_or(String::new(), |when| format!(" when {}", when.source));
            lines.push(format!("{} runs {run}({}){scatter}{when}", step.id, inputs.join(", ")));
        }
        lines.extend(workflow.outputs.iter().map(|output| format!("{} <- {}", output.id, link(&output.link))));
        lines.push(json::compact(&Value::Record(inputs)));
        lines.join("\n")
    }

    #[test]
    fn what_is_at_hand_is_left_alone() {
        for inputs in [
            r#"{"scene": {"class": "Directory", "location": "file:///scene"}}"#,
            r#"{"scene": {"class": "Directory", "basename": "d", "listing": [
                {"class": "File", "location": "https://h/a.tif"}]}, "mask": {"class": "File", "location": "http://h/m"}}"#,
        ] {
            let (package, values) = staged(PACKAGE, inputs).unwrap();
            assert_eq!(package, load_text("file:///p.cwl", PACKAGE, None, &NoFetch).unwrap());
            assert_eq!(Value::Record(values), json::parse(inputs).unwrap().recognise().unwrap());
        }
    }

    #[test]
    fn a_scene_by_url_goes_through_a_step_to_all_its_readers() {
        let inputs = r#"{"scene": {"class": "Directory", "location": "https://h/items/a?x=1"}, "aoi": "box"}"#;
        insta::assert_snapshot!(told_of(PACKAGE, inputs), @r#"
        scene: Any
        more: Directory[]?
        mask: File?
        aoi: string?
        node_stage_in_mask runs t(s <- node_stage_in/staged, m <- more + node_stage_in/staged, f <- mask)
        node_stage_in runs stage_in(given <- scene)
        same <- node_stage_in/staged
        {"scene":"https://h/items/a?x=1","aoi":"box"}
        "#);
    }

    #[test]
    fn lists_are_scattered_and_nulls_in_them_stay() {
        let inputs = r#"{"scene": {"class": "Directory", "location": "s3://b/a.json"}, "more": [
            {"class": "Directory", "location": "https://h/b"}, null],
            "mask": {"class": "File", "location": "s3://b/m%20m.tif", "format": "f:tif"}}"#;
        insta::assert_snapshot!(told_of(PACKAGE, inputs), @r#"
        scene: Any
        more: (Any?)[]
        mask: Any
        aoi: string?
        node_stage_in_mask runs t(s <- node_stage_in_scene/staged, m <- node_stage_in_more/staged + node_stage_in_scene/staged Some(Deep), f <- node_stage_in_mask_2/staged)
        node_stage_in_scene runs stage_in(given <- scene)
        node_stage_in_more runs stage_in(given <- more) for each given when $(inputs.given !== null)
        node_stage_in_mask_2 runs stage_in_file(given <- mask)
        same <- node_stage_in_scene/staged
        {"scene":"s3://b/a.json","more":["https://h/b",null],"mask":{"location":"s3://b/m%20m.tif","basename":"m m.tif","format":"f:tif"}}
        "#);
    }

    #[test]
    fn a_tool_gets_a_workflow_around_it_and_a_default_is_staged_in_too() {
        let tool = "cwlVersion: v1.0\nclass: CommandLineTool\nid: t\nbaseCommand: t\noutputs: {}\ninputs:\n  d: {type: \
                    Directory, default: {class: Directory, location: 'https://h/default'}}\n";
        insta::assert_snapshot!(told_of(tool, "{}"), @r#"
        d: Any
        t runs t(d <- node_stage_in/staged)
        node_stage_in runs stage_in(given <- d)
        {"d":"https://h/default"}
        "#);
        assert_eq!(told_of(tool, r#"{"d": {"class": "Directory", "location": "file:///d"}}"#), "a \"t\" as it was");
    }

    #[test]
    fn what_no_step_can_take_is_refused_by_its_name_without_its_signature() {
        let mixed = r#"{"scene": {"class": "Directory", "location": "file:///s"}, "more": [
            {"class": "Directory", "location": "file:///d"}, {"class": "Directory", "location": "https://h/b?sig=x"}]}"#;
        insta::assert_snapshot!(told_of(PACKAGE, mixed), @"input `more`: the Directory at https://h/b cannot be staged in; it must be the input's own value, or stand in a list in which all are Directory URLs");
        let beside = r#"{"scene": {"class": "Directory", "location": "file:///s"}, "mask": {"class": "File",
            "location": "https://h/m", "secondaryFiles": [{"class": "File", "location": "s3://b/m.idx"}]}}"#;
        insta::assert_snapshot!(told_of(PACKAGE, beside), @"input `mask`: the File at s3://b/m.idx cannot be staged in; it must be the input's own value, or stand in a list in which all are File URLs");
    }
}
