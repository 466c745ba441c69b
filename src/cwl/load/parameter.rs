//! Parameters of processes, what they say about Files, and bindings (CWL v1.2 Command Line Tool Description, §5.1).

use super::fields::{Fields, Item, boolean_literal, integer_literal};
use super::schema::{ParameterType, WrittenType};
use super::{Loader, Scope, expand_prefix, short_id};
use crate::diagnostic::Diagnostic;
use crate::document::CwlVersion;
use crate::expression::{Computed, Template};
use crate::schema::{
    CommandLineBinding, FileTreatment, InputParameter, LoadListing, OutputBinding, OutputParameter, SecondaryFile, Type,
};
use crate::uri;
use crate::yaml::Node;

impl Loader<'_> {
    /// Inputs of a process, and the stream that is connected to one of type `stdin`.
    pub(super) fn inputs(&mut self, node: &Node, scope: &Scope) -> Option<(Vec<InputParameter>, Option<String>)> {
        let items = self.items(node, "inputs", "id")?;
        self.unique(&items, "inputs");
        let mut stdin = None;
        let mut inputs = Vec::with_capacity(items.len());
        let mut complete = true;
        for item in &items {
            match self.input(item, scope) {
                Some((input, is_stdin)) => {
                    if is_stdin {
                        stdin = Some(input.id.clone());
                    }
                    inputs.push(input);
                }
                None => complete = false,
            }
        }
        complete.then_some((inputs, stdin))
    }

    fn input(&mut self, item: &Item<'_>, scope: &Scope) -> Option<(InputParameter, bool)> {
        let id = short_id(&item.id).to_owned();
        let (mut label, mut doc, mut default, mut input_binding) = (None, None, None, None);
        let mut file = FileTreatment::default();
        let type_node = if item.node.as_map().is_some() {
            let mut fields = self.fields(item.node, "an input")?;
            fields.allow(&["id", "name"]);
            file = self.file_treatment(&mut fields, scope);
            label = self.label(fields.get("label"));
            doc = self.doc(fields.get("doc"));
            default = fields.get_or_null("default").and_then(|node| self.object(node, &scope.namespaces));
            if let Some(binding) = fields.get("inputBinding") {
                input_binding = self.input_binding(binding, scope);
            }
            let type_ = fields.get("type");
            self.finish(fields);
            type_
        } else {
            Some(item.node)
        };
        let Some(type_node) = type_node else {
            self.error(item.span, format!("the input '{id}' needs a type"));
            return None;
        };
        let WrittenType { type_, source: type_source } = self.parameter_type(type_node, scope)?;
        // v1.0 has it on the binding, and later versions still read it there.
        file.load_contents |= input_binding.as_ref().is_some_and(|binding| binding.load_contents);
        let (type_, is_stdin) = match type_ {
            ParameterType::Plain(type_) => (type_, false),
            ParameterType::Stdin => {
                self.since(type_node, "the type 'stdin'", CwlVersion::V1_1, scope);
                file.streamable = true;
                (Type::File, true)
            }
            ParameterType::Stdout | ParameterType::Stderr => {
                self.error(&type_node.span, format!("an input cannot be of type '{type_source}'"));
                return None;
            }
        };
        Some((InputParameter { id, type_, type_source, label, doc, default, file, input_binding }, is_stdin))
    }

    /// An output of a tool, and the stream that it stands for, if it does.
    pub(super) fn output(&mut self, item: &Item<'_>, scope: &Scope) -> Option<(OutputParameter, ParameterType)> {
        let id = short_id(&item.id).to_owned();
        let (mut label, mut doc, mut output_binding) = (None, None, None);
        let mut file = FileTreatment::default();
        let type_node = if item.node.as_map().is_some() {
            let mut fields = self.fields(item.node, "an output")?;
            fields.allow(&["id", "name"]);
            file = self.file_treatment(&mut fields, scope);
            label = self.label(fields.get("label"));
            doc = self.doc(fields.get("doc"));
            output_binding = fields.get("outputBinding").and_then(|node| self.output_binding(node, scope));
            let type_ = fields.get("type");
            self.finish(fields);
            type_
        } else {
            Some(item.node)
        };
        let Some(type_node) = type_node else {
            self.error(item.span, format!("the output '{id}' needs a type"));
            return None;
        };
        let WrittenType { type_: written, source: type_source } = self.parameter_type(type_node, scope)?;
        let type_ = match &written {
            ParameterType::Plain(type_) => type_.clone(),
            ParameterType::Stdout | ParameterType::Stderr => Type::File,
            ParameterType::Stdin => {
                self.error(&type_node.span, "an output cannot be of type 'stdin'");
                return None;
            }
        };
        Some((OutputParameter { id, type_, type_source, label, doc, file, output_binding }, written))
    }

    /// What inputs, outputs and record fields say about Files.
    pub(super) fn file_treatment(&mut self, fields: &mut Fields<'_>, scope: &Scope) -> FileTreatment {
        let secondary_files = match fields.get("secondaryFiles") {
            Some(node) => self.secondary_files(node, scope),
            None => Vec::new(),
        };
        let format = match fields.get("format") {
            Some(node) => self.formats(node, scope),
            None => Vec::new(),
        };
        let load_contents = fields.get("loadContents");
        if let Some(node) = load_contents {
            self.since(node, "loadContents on a parameter", CwlVersion::V1_1, scope);
        }
        FileTreatment {
            secondary_files,
            streamable: self.boolean(fields.get("streamable"), "streamable").unwrap_or(false),
            format,
            load_contents: self.boolean(load_contents, "loadContents").unwrap_or(false),
            load_listing: fields.get("loadListing").and_then(|node| self.load_listing(node)),
        }
    }

    fn formats(&mut self, node: &Node, scope: &Scope) -> Vec<Template> {
        let texts = self.strings(node, "format").unwrap_or_default();
        let expand = |text: &str, node: &Node| {
            if text.contains("$(") || text.contains("${") {
                return text.to_owned();
            }
            let expanded = expand_prefix(text, &scope.namespaces);
            // An IRI may have a scheme that no path has (`urn:…`): only what has no colon at all is relative.
            if expanded.contains(':') { expanded } else { uri::join(&node.span.source.url, &expanded) }
        };
        texts.iter().filter_map(|(text, node)| self.template(node, &expand(text, node), scope)).collect()
    }

    /// The secondaryFiles DSL: a pattern, an expression, a mapping, or a list of them.
    fn secondary_files(&mut self, node: &Node, scope: &Scope) -> Vec<SecondaryFile> {
        let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
        nodes.iter().filter_map(|node| self.secondary_file(node, scope)).collect()
    }

    fn secondary_file(&mut self, node: &Node, scope: &Scope) -> Option<SecondaryFile> {
        if let Some(text) = node.as_text() {
            let (pattern, required) = match text.strip_suffix('?') {
                Some(pattern) => (pattern, Some(Computed::Literal(false))),
                None => (text, None),
            };
            return Some(SecondaryFile { pattern: self.template(node, pattern, scope)?, required });
        }
        let mut fields = self.fields(node, "an entry of secondaryFiles")?;
        self.since(node, "a mapping in secondaryFiles", CwlVersion::V1_1, scope);
        let pattern = fields.get("pattern");
        let required = self.computed(fields.get("required"), "required", scope, boolean_literal);
        self.finish(fields);
        let Some(pattern) = pattern else {
            self.error(&node.span, "an entry of secondaryFiles needs the field 'pattern'");
            return None;
        };
        let text = self.string(pattern, "pattern")?;
        let (text, required) = match (text.strip_suffix('?'), required) {
            (Some(short), None) => (short, Some(Computed::Literal(false))),
            (_, required) => (text.as_str(), required),
        };
        Some(SecondaryFile { pattern: self.template(pattern, text, scope)?, required })
    }

    pub(super) fn load_listing(&mut self, node: &Node) -> Option<LoadListing> {
        match self.string(node, "loadListing")?.as_str() {
            "no_listing" => Some(LoadListing::No),
            "shallow_listing" => Some(LoadListing::Shallow),
            "deep_listing" => Some(LoadListing::Deep),
            other => {
                let diagnostic = Diagnostic::error(&node.span, format!("unknown loadListing '{other}'"));
                self.report(diagnostic.help("write no_listing, shallow_listing or deep_listing"));
                None
            }
        }
    }

    /// `inputBinding`, and a mapping in `arguments`.
    pub(super) fn input_binding(&mut self, node: &Node, scope: &Scope) -> Option<CommandLineBinding> {
        let mut fields = self.fields(node, "a command line binding")?;
        let position = fields.get("position");
        if let Some(node) = position.filter(|node| node.as_text().is_some()) {
            self.since(node, "a position that is an expression", CwlVersion::V1_1, scope);
        }
        let mut text = |loader: &mut Self, key| fields.get(key).and_then(|node| loader.string(node, key));
        let prefix = text(self, "prefix");
        let item_separator = text(self, "itemSeparator");
        let binding = CommandLineBinding {
            position: self.computed(position, "position", scope, integer_literal),
            prefix,
            separate: self.boolean(fields.get("separate"), "separate"),
            item_separator,
            value_from: self.text_template(fields.get("valueFrom"), "valueFrom", scope),
            shell_quote: self.boolean(fields.get("shellQuote"), "shellQuote"),
            load_contents: self.boolean(fields.get("loadContents"), "loadContents").unwrap_or(false),
        };
        self.finish(fields);
        Some(binding)
    }

    pub(super) fn output_binding(&mut self, node: &Node, scope: &Scope) -> Option<OutputBinding> {
        let mut fields = self.fields(node, "an output binding")?;
        let globs = fields.get("glob").and_then(|node| self.strings(node, "glob")).unwrap_or_default();
        let binding = OutputBinding {
            glob: globs.iter().filter_map(|(text, node)| self.template(node, text, scope)).collect(),
            load_contents: self.boolean(fields.get("loadContents"), "loadContents").unwrap_or(false),
            load_listing: fields.get("loadListing").and_then(|node| self.load_listing(node)),
            output_eval: self.text_template(fields.get("outputEval"), "outputEval", scope),
        };
        self.finish(fields);
        Some(binding)
    }
}
