//! `requirements` and `hints` (CWL v1.2 Command Line Tool Description, §4.4; Workflow Description, §4.6).

use super::fields::{Item, boolean_literal, integer_literal};
use super::{Loader, Scope, expand_prefix, fields};
use crate::diagnostic::Diagnostic;
use crate::document::CwlVersion;
use crate::expression::Computed;
use crate::load::suggestion::nearest;
use crate::requirement::{
    Cuda, Docker, EnvironmentDef, InitialWorkDir, InlineJavascript, Requirements, Resource, Unsupported, WorkDirEntry,
};
use crate::schema::LoadListing;
use crate::value::{Entry, Number, Value};
use crate::yaml::{Data, Map, Node};

/// Where a list of requirements stands: an unknown class refuses the package or is ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Requirements,
    Hints,
}

/// The namespace of cwltool's extensions.
const CWLTOOL: &str = "http://commonwl.org/cwltool#";

/// Classes that a name might have been meant for.
const CLASSES: [&str; 17] = [
    "InlineJavascriptRequirement",
    "SchemaDefRequirement",
    "LoadListingRequirement",
    "DockerRequirement",
    "SoftwareRequirement",
    "InitialWorkDirRequirement",
    "EnvVarRequirement",
    "ShellCommandRequirement",
    "ResourceRequirement",
    "WorkReuse",
    "NetworkAccess",
    "InplaceUpdateRequirement",
    "ToolTimeLimit",
    "SubworkflowFeatureRequirement",
    "ScatterFeatureRequirement",
    "MultipleInputFeatureRequirement",
    "StepInputExpressionRequirement",
];

impl Loader<'_> {
    /// Reads `requirements` or `hints`.
    pub(super) fn requirements(&mut self, node: Option<&Node>, scope: &Scope, strictness: Strictness) -> Requirements {
        let mut read = Requirements::default();
        let Some(items) = node.and_then(|node| self.items(node, "requirements", "class")) else { return read };
        self.unique(&items, "requirements");
        for item in &items {
            self.requirement(&mut read, item, scope, strictness);
        }
        read
    }

    fn requirement(&mut self, read: &mut Requirements, item: &Item<'_>, scope: &Scope, strictness: Strictness) {
        // `ScatterFeatureRequirement:` with nothing after it is an empty mapping.
        let empty = Node { data: Data::Map(Map::new()), span: item.node.span.clone() };
        let node = if item.node.data == Data::Null { &empty } else { item.node };
        let expanded = expand_prefix(&item.id, &scope.namespaces);
        let class = ["cwl:", "https://w3id.org/cwl/cwl#", CWLTOOL]
            .iter()
            .find_map(|prefix| expanded.strip_prefix(prefix))
            .unwrap_or(&expanded);
        let is_newer = matches!(
            class,
            "LoadListingRequirement" | "WorkReuse" | "NetworkAccess" | "InplaceUpdateRequirement" | "ToolTimeLimit"
        );
        if is_newer && scope.version < CwlVersion::V1_1 && class == item.id {
            let message = format!("{class} came with CWL v1.1, but this process states {}", scope.version);
            self.report(Diagnostic::warning(item.span, message).help("it is honoured all the same"));
        }
        let Some(mut fields) = self.fields(node, "a requirement") else { return };
        fields.allow(&["class"]);
        match class {
            "InlineJavascriptRequirement" => {
                let library = fields.get("expressionLib").and_then(|node| self.strings(node, "expressionLib"));
                let expression_lib = library.unwrap_or_default().into_iter().map(|(text, _)| text).collect();
                read.inline_javascript = Some(InlineJavascript { expression_lib });
            }
            // Read before the parameters that refer to its types.
            "SchemaDefRequirement" => fields.allow(&["types"]),
            // Weir installs no software: what it names must be there, in the image or on the machine.
            "SoftwareRequirement" => fields.allow(&["packages"]),
            "DockerRequirement" => read.docker = Some(self.docker(&mut fields)),
            "EnvVarRequirement" => read.env_var = self.env_var(fields.get("envDef"), item, scope),
            "InitialWorkDirRequirement" => read.initial_work_dir = self.work_dir(fields.get("listing"), item, scope),
            "ResourceRequirement" => read.resource = Some(self.resource(&mut fields, scope)),
            // Without its namespace other engines refuse it.
            "CUDARequirement" if expanded.starts_with(CWLTOOL) => read.cuda = Some(self.cuda(&mut fields, item, scope)),
            "ShellCommandRequirement" => read.shell_command = Some(()),
            "LoadListingRequirement" => {
                read.load_listing = fields.get("loadListing").and_then(|node| self.load_listing(node));
            }
            "ToolTimeLimit" | "TimeLimit" => {
                read.time_limit = self.computed(fields.get("timelimit"), "timelimit", scope, |data| {
                    integer_literal(data).ok().filter(|seconds| *seconds >= 0).ok_or("0 or more seconds".to_owned())
                });
            }
            "WorkReuse" => {
                read.work_reuse = self.computed(fields.get("enableReuse"), "enableReuse", scope, boolean_literal);
            }
            "NetworkAccess" => {
                read.network_access =
                    self.computed(fields.get("networkAccess"), "networkAccess", scope, boolean_literal);
            }
            "InplaceUpdateRequirement" => {
                read.inplace_update = self.boolean(fields.get("inplaceUpdate"), "inplaceUpdate");
            }
            "ScatterFeatureRequirement" => read.scatter = Some(()),
            "SubworkflowFeatureRequirement" => read.subworkflow = Some(()),
            "MultipleInputFeatureRequirement" => read.multiple_input = Some(()),
            "StepInputExpressionRequirement" => read.step_input_expression = Some(()),
            _ => {
                read.unsupported.push(Unsupported { class: item.id.clone(), span: item.span.clone() });
                self.note_unsupported(item, strictness);
                return;
            }
        }
        self.finish(fields);
    }

    fn note_unsupported(&mut self, item: &Item<'_>, strictness: Strictness) {
        let help = match (meant(&item.id), strictness) {
            (Some(meant), _) => meant,
            (None, Strictness::Requirements) => CANNOT_PROMISE.to_owned(),
            (None, Strictness::Hints) if fields::is_extension(&item.id) => return,
            (None, Strictness::Hints) => "it is ignored".to_owned(),
        };
        let message = format!("the class '{}' is not supported", item.id);
        self.report(Diagnostic::warning(item.span, message).help(help));
    }

    fn docker(&mut self, fields: &mut fields::Fields<'_>) -> Docker {
        let mut text = |loader: &mut Self, key| fields.get(key).and_then(|node| loader.string(node, key));
        let pull = text(self, "dockerPull");
        let output_directory = text(self, "dockerOutputDirectory");
        let image_id = text(self, "dockerImageId");
        let builds = ["dockerLoad", "dockerFile", "dockerImport"].into_iter().find(|key| fields.get(key).is_some());
        fields.allow(&["dockerLoad", "dockerFile", "dockerImport"]);
        Docker { pull, output_directory, builds: builds.map(str::to_owned), image_id }
    }

    fn env_var(&mut self, node: Option<&Node>, item: &Item<'_>, scope: &Scope) -> Option<Vec<EnvironmentDef>> {
        let Some(node) = node else {
            self.error(item.span, "an EnvVarRequirement needs the field 'envDef'");
            return None;
        };
        let items = self.items(node, "envDef", "envName")?;
        let definitions = items.iter().map(|item| {
            let value = item.node.get("envValue").unwrap_or(item.node);
            let value = self.text_template(Some(value), "envValue", scope)?;
            Some(EnvironmentDef { name: item.id.clone(), value })
        });
        definitions.collect::<Vec<_>>().into_iter().collect()
    }

    fn resource(&mut self, fields: &mut fields::Fields<'_>, scope: &Scope) -> Resource {
        let mut amount = |key: &'static str| {
            let node = fields.get(key)?;
            if let Data::Number(Number::Float(_)) = node.data {
                self.since(node, &format!("a fraction in {key}"), CwlVersion::V1_2, scope);
            }
            self.computed::<f64>(Some(node), key, scope, amount_literal)
        };
        let resource = Resource {
            cores_min: amount("coresMin"),
            cores_max: amount("coresMax"),
            ram_min: amount("ramMin"),
            ram_max: amount("ramMax"),
            tmpdir_min: amount("tmpdirMin"),
            tmpdir_max: amount("tmpdirMax"),
            outdir_min: amount("outdirMin"),
            outdir_max: amount("outdirMax"),
        };
        self.in_order(fields, &resource.fields().collect::<Vec<_>>());
        resource
    }

    fn cuda(&mut self, fields: &mut fields::Fields<'_>, item: &Item<'_>, scope: &Scope) -> Cuda {
        let unchecked = ["cudaVersionMin", "cudaComputeCapability"].into_iter();
        let unchecked = unchecked.filter(|key| fields.get(key).is_some());
        let unchecked = unchecked.collect::<Vec<_>>().join(" and ");
        if !unchecked.is_empty() {
            let message = format!("weir asks for the number of GPUs; it cannot check {unchecked}");
            let help = "where nodes differ, a job chooses among them with `podTemplate.nodeSelector`";
            self.report(Diagnostic::warning(item.span, message).help(help));
        }
        let mut count = |key: &'static str| self.computed(fields.get(key), key, scope, count_literal);
        let mut cuda =
            Cuda { device_count_min: count("cudaDeviceCountMin"), device_count_max: count("cudaDeviceCountMax") };
        if cuda.fields().next().is_none() {
            cuda.device_count_min = Some(Computed::Literal(1.0));
        }
        self.in_order(fields, &cuda.fields().collect::<Vec<_>>());
        cuda
    }

    /// Reports a least amount above the most of the same.
    fn in_order(&mut self, fields: &mut fields::Fields<'_>, stated: &[(&'static str, &Computed<f64>)]) {
        let literal = |name| {
            stated.iter().find(|(field, _)| *field == name).and_then(|(_, amount)| match amount {
                Computed::Literal(amount) => Some(*amount),
                Computed::Expression(_) => None,
            })
        };
        for (minimum, maximum) in AMOUNTS {
            if let (Some(low), Some(high)) = (literal(minimum), literal(maximum))
                && low > high
                && let Some(node) = fields.get(minimum)
            {
                self.error(&node.span, format!("{minimum} is {low}, more than the {high} of {maximum}"));
            }
        }
    }

    fn work_dir(&mut self, node: Option<&Node>, item: &Item<'_>, scope: &Scope) -> Option<InitialWorkDir> {
        let Some(node) = node else {
            self.error(item.span, "an InitialWorkDirRequirement needs the field 'listing'");
            return None;
        };
        match &node.data {
            Data::Text(text) => self.template(node, text, scope).map(InitialWorkDir::Expression),
            Data::List(entries) => {
                let entries = entries.iter().filter(|entry| entry.data != Data::Null);
                let entries: Vec<_> = entries.map(|entry| self.work_dir_entry(entry, scope)).collect();
                let entries: Option<Vec<_>> = entries.into_iter().collect();
                entries.map(|lists| InitialWorkDir::Listing(lists.into_iter().flatten().collect()))
            }
            _ => {
                self.error(&node.span, format!("listing must be a list or an expression, not {}", node.kind()));
                None
            }
        }
    }

    fn work_dir_entry(&mut self, node: &Node, scope: &Scope) -> Option<Vec<WorkDirEntry>> {
        match &node.data {
            Data::Text(text) => Some(vec![WorkDirEntry::Expression(self.template(node, text, scope)?)]),
            // A list of Files in the listing stands for its members.
            Data::List(entries) => {
                let entries: Vec<_> = entries.iter().map(|entry| self.work_dir_entry(entry, scope)).collect();
                Some(entries.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
            }
            _ if node.get("class").is_some() => match self.object(node, &scope.namespaces)? {
                Value::File(file) => Some(vec![WorkDirEntry::Entry(Entry::File(*file))]),
                Value::Directory(directory) => Some(vec![WorkDirEntry::Entry(Entry::Directory(*directory))]),
                _ => {
                    self.error(&node.span, "an entry of the listing is a Dirent, a File or a Directory");
                    None
                }
            },
            _ => {
                let mut fields = self.fields(node, "an entry of the listing")?;
                let entryname = self.text_template(fields.get("entryname"), "entryname", scope);
                let writable = self.boolean(fields.get("writable"), "writable").unwrap_or(false);
                let entry = fields.get("entry");
                self.finish(fields);
                if entry.is_none() {
                    self.error(&node.span, "an entry of the listing needs the field 'entry'");
                }
                let entry = self.text_template(entry, "entry", scope)?;
                Some(vec![WorkDirEntry::Dirent { entryname, entry, writable }])
            }
        }
    }
}

/// What is said of a requirement whose class is not known at all.
const CANNOT_PROMISE: &str = "weir cannot promise what it asks for; as a hint it would be ignored";

/// What to do about a requirement whose class is not supported.
pub(crate) fn what_is_right(class: &str) -> String {
    meant(class).unwrap_or_else(|| CANNOT_PROMISE.to_owned())
}

/// What a class that is not supported was most likely meant to be.
fn meant(class: &str) -> Option<String> {
    if let Some(class) = nearest(class, CLASSES) {
        return Some(format!("did you mean '{class}'?"));
    }
    let plain = class.rsplit([':', '#']).next()?.to_ascii_uppercase();
    nearest(&plain, ["CUDAREQUIREMENT"])?;
    Some(format!(
        "write `{CWLTOOL}CUDARequirement`, or `cwltool:CUDARequirement` with `$namespaces: {{cwltool: '{CWLTOOL}'}}`"
    ))
}

/// Least and most of each resource.
const AMOUNTS: [(&str, &str); 5] = [
    ("coresMin", "coresMax"),
    ("ramMin", "ramMax"),
    ("tmpdirMin", "tmpdirMax"),
    ("outdirMin", "outdirMax"),
    ("cudaDeviceCountMin", "cudaDeviceCountMax"),
];

/// An amount of a resource: not negative.
fn amount_literal(data: &Data) -> Result<f64, String> {
    let amount = match data {
        #[expect(clippy::cast_precision_loss, reason = "amounts beyond 2^53 exist nowhere")]
        Data::Number(Number::Int(number)) => Some(*number as f64),
        Data::Number(Number::Float(number)) => Some(*number),
        _ => None,
    };
    amount.filter(|amount| *amount >= 0.0).ok_or_else(|| "a number of 0 or more".to_owned())
}

/// A number of devices.
fn count_literal(data: &Data) -> Result<f64, String> {
    let count = amount_literal(data).ok().filter(|count| count.fract() == 0.0);
    count.ok_or_else(|| "an integer of 0 or more".to_owned())
}

/// The version differences that are filled in where a process states nothing (CWL v1.1, "Changelog": network access and
/// listings were unrestricted in v1.0).
pub(super) fn fill_v1_0(requirements: &Requirements, hints: &mut Requirements) {
    if requirements.network_access.is_none() && hints.network_access.is_none() {
        hints.network_access = Some(Computed::Literal(true));
    }
    if requirements.load_listing.is_none() && hints.load_listing.is_none() {
        hints.load_listing = Some(LoadListing::Deep);
    }
}

/// Reads a list of requirements outside of a document, such as `cwl:requirements` of an input object. No prefixes are
/// declared there: cwltool's is known by its usual name.
pub(crate) fn standalone(
    node: &Node,
    version: CwlVersion,
    diagnostics: &mut crate::diagnostic::Diagnostics,
) -> Requirements {
    let mut loader = Loader::new(&super::NoFetch);
    let namespaces = std::rc::Rc::new([("cwltool".to_owned(), CWLTOOL.to_owned())].into());
    let scope = Scope { version, types: std::collections::HashMap::new(), namespaces };
    let read = loader.requirements(Some(node), &scope, Strictness::Requirements);
    loader.diagnostics.0.into_iter().for_each(|diagnostic| diagnostics.push(diagnostic));
    read
}

/// Whether a requirement's literal is set to a value; for tests of the upgrade rules.
#[cfg(test)]
pub(super) fn is_literal<T: PartialEq>(computed: Option<&Computed<T>>, value: &T) -> bool {
    matches!(computed, Some(Computed::Literal(literal)) if literal == value)
}
