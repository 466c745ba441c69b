//! From bindings to values: globs, contents, listings, evaluation, secondary files, and where each result really is.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::limits::{DOCUMENT_DEPTH_MAX, LOAD_CONTENTS_BYTES_MAX, OUTPUT_OBJECT_BYTES_MAX};

use super::directory::{Found, OutputDirectory};
use super::{OUTPUT_OBJECT, OutputError, glob};
use crate::command::Kind;
use crate::command::prepare::{secondary_name, text_of};
use crate::command::workdir::normalised;
use crate::document::CwlVersion;
use crate::expression::{Context, Evaluate, Template};
use crate::json;
use crate::schema::{FileTreatment, LoadListing, OutputBinding, Type};
use crate::value::object::parent_path;
use crate::value::{Directory, Entry, File, Record, Value, file_path};

/// Collects one output after the other.
pub(super) struct Collector<'a> {
    /// The output being collected, for messages.
    pub(super) output: &'a str,
    pub(super) version: CwlVersion,
    pub(super) load_listing: LoadListing,
    /// Absolute path of the output directory in the tool's eyes.
    pub(super) root: &'a str,
    /// Absolute paths of inputs, and their locations.
    pub(super) staged: BTreeMap<String, String>,
    /// The locations of inputs.
    pub(super) locations: BTreeSet<String>,
    /// Absolute paths of what the tool was given to change.
    pub(super) writable: Vec<&'a str>,
    pub(super) inputs: &'a Value,
    pub(super) runtime: &'a Value,
    pub(super) library: Option<&'a [String]>,
    pub(super) outdir: &'a mut dyn OutputDirectory,
    pub(super) scripts: &'a mut dyn Evaluate,
}

impl Collector<'_> {
    fn name(&self) -> String {
        self.output.to_owned()
    }

    fn directory_error(&self, message: String) -> OutputError {
        OutputError::Directory { output: self.name(), message }
    }

    fn evaluate(&mut self, what: &'static str, template: &Template, self_: &Value) -> Result<Value, OutputError> {
        let context = Context { inputs: self.inputs, self_, runtime: self.runtime, library: self.library };
        template.evaluate(&context, self.scripts).map_err(|source| OutputError::Expression {
            output: self.output.to_owned(),
            what,
            source: source.into(),
        })
    }

    /// The tool's own output object, which replaces all bindings.
    pub(super) fn output_object(&mut self) -> Result<Option<Record>, OutputError> {
        let wrong = |message: String| OutputError::OutputObject { message };
        let Some(Found { kind: Kind::File(size), .. }) = self.outdir.look(OUTPUT_OBJECT).map_err(wrong)? else {
            return Ok(None);
        };
        if size > OUTPUT_OBJECT_BYTES_MAX {
            return Err(wrong(format!("it has {size} bytes; the limit is {OUTPUT_OBJECT_BYTES_MAX}")));
        }
        let bytes = self.outdir.read(OUTPUT_OBJECT, size).map_err(wrong)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        let limit = usize::try_from(OUTPUT_OBJECT_BYTES_MAX).unwrap_or(usize::MAX);
        let value = json::parse_within(&text, limit).map_err(|error| wrong(error.to_string()))?;
        match value.recognise().map_err(|error| wrong(error.to_string()))? {
            Value::Record(outputs) => Ok(Some(outputs)),
            other => Err(wrong(format!("it must hold an object, not {}", other.type_name()))),
        }
    }

    pub(super) fn parameter(
        &mut self,
        type_: &Type,
        treatment: &FileTreatment,
        binding: Option<&OutputBinding>,
    ) -> Result<Value, OutputError> {
        let value = match binding {
            Some(binding) => self.bound(type_, treatment, binding)?,
            None => match record_of(type_) {
                Some(record) => {
                    let mut members = Record::new();
                    for field in &record.fields {
                        let member = self.parameter(&field.type_, &field.file, field.output_binding.as_ref())?;
                        members.insert(field.name.clone(), member);
                    }
                    Value::Record(members)
                }
                None => Value::Null,
            },
        };
        if treatment.secondary_files.is_empty() && treatment.format.is_empty() {
            return Ok(value);
        }
        value.map_entries(&mut |entry| match entry {
            Entry::File(file) => self.treated(file, treatment).map(Entry::File),
            directory @ Entry::Directory(_) => Ok(directory),
        })
    }

    fn bound(
        &mut self,
        type_: &Type,
        treatment: &FileTreatment,
        binding: &OutputBinding,
    ) -> Result<Value, OutputError> {
        let mut patterns = Vec::new();
        for template in &binding.glob {
            match self.evaluate("glob", template, &Value::Null)? {
                Value::Null => {}
                Value::String(pattern) => patterns.push(pattern),
                Value::Array(items) if items.iter().all(|item| item.as_str().is_some()) => {
                    patterns.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                other => {
                    let source = template.wrong_type("a string or an array of strings", &other);
                    return Err(OutputError::Expression { output: self.name(), what: "glob", source: source.into() });
                }
            }
        }
        let load_contents = binding.load_contents || treatment.load_contents;
        let listing = binding.load_listing.or(treatment.load_listing).unwrap_or(self.load_listing);
        let mut found = Vec::new();
        for pattern in &patterns {
            let paths = glob::glob(pattern, self.root, self.outdir).map_err(|error| match error {
                glob::GlobError::Outside => {
                    OutputError::GlobOutside { output: self.output.to_owned(), pattern: pattern.clone() }
                }
                glob::GlobError::Directory(message) => self.directory_error(message),
            })?;
            for path in paths {
                let mut entry = self.entry_at(&path)?;
                match &mut entry {
                    Entry::File(file) if load_contents => self.load_contents(file, &path)?,
                    Entry::Directory(directory) => self.load_listing(directory, &path, depth_of(listing))?,
                    Entry::File(_) => {}
                }
                found.push(entry);
            }
        }
        let names: Vec<_> = found.iter().filter_map(Entry::name).collect();
        let mut value = Value::Array(found.into_iter().map(Value::from).collect());
        if let Some(template) = &binding.output_eval {
            value = self.evaluate("outputEval", template, &value)?;
        }
        // A single File or Directory takes the only match.
        let Some(expected) = single(type_) else { return Ok(value) };
        match value {
            Value::Array(mut items) => match items.len() {
                1 => Ok(items.swap_remove(0)),
                0 if accepts_null(type_) => Ok(Value::Null),
                0 => {
                    let mut names = self.outdir.list("").map_err(|message| self.directory_error(message))?;
                    names.sort_unstable();
                    Err(OutputError::NothingMatches { output: self.name(), patterns, names })
                }
                _ => Err(OutputError::SeveralMatch { output: self.name(), expected, patterns, matches: names }),
            },
            other => Ok(other),
        }
    }

    /// The relative path, if the absolute one is in the output directory.
    fn relative(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(self.root)?;
        if rest.is_empty() || rest.starts_with('/') { normalised(rest) } else { None }
    }

    fn absolute(&self, relative: &str) -> String {
        if relative.is_empty() { self.root.to_owned() } else { format!("{}/{relative}", self.root) }
    }

    /// The location of an input, or of something below an input directory, by its path.
    fn input_location(&self, path: &str) -> Option<String> {
        if let Some(location) = self.staged.get(path) {
            return Some(location.clone());
        }
        let mut parent = path;
        while let Some(slash) = parent.rfind('/').filter(|slash| *slash > 0) {
            parent = &parent[..slash];
            if let Some(location) = self.staged.get(parent) {
                let below = crate::uri::encode_path(&path[slash..]);
                return Some(format!("{}{below}", location.trim_end_matches('/')));
            }
        }
        None
    }

    /// The File or Directory at a relative path.
    fn entry_at(&mut self, path: &str) -> Result<Entry, OutputError> {
        let found = self.outdir.look(path).map_err(|message| self.directory_error(message))?;
        let found = found.ok_or_else(|| OutputError::Missing { output: self.name(), path: path.to_owned() })?;
        let location = match found.elsewhere {
            None => found.location,
            Some(target) => self.input_location(&target).ok_or_else(|| OutputError::LinkOutside {
                output: self.name(),
                path: path.to_owned(),
                target,
            })?,
        };
        let absolute = self.absolute(path);
        let name = absolute.rsplit('/').next().unwrap_or_default().to_owned();
        let (path, location, basename) = (Some(absolute), Some(location), Some(name));
        Ok(match found.kind {
            Kind::File(size) => Entry::File(File { path, location, basename, size: Some(size), ..File::default() }),
            Kind::Directory => Entry::Directory(Directory { location, path, basename, ..Directory::default() }),
        })
    }

    fn load_contents(&mut self, file: &mut File, path: &str) -> Result<(), OutputError> {
        let size = file.size.unwrap_or(0);
        if self.version >= CwlVersion::V1_2 && size > LOAD_CONTENTS_BYTES_MAX {
            return Err(OutputError::TooLarge { output: self.name(), path: path.to_owned(), size });
        }
        let bytes = self.outdir.read(path, LOAD_CONTENTS_BYTES_MAX).map_err(|m| self.directory_error(m))?;
        let text = text_of(bytes, size > LOAD_CONTENTS_BYTES_MAX);
        file.contents = Some(text.ok_or_else(|| OutputError::NotText { output: self.name(), path: path.to_owned() })?);
        Ok(())
    }

    fn load_listing(&mut self, directory: &mut Directory, path: &str, depth: usize) -> Result<(), OutputError> {
        if depth == 0 {
            return Ok(());
        }
        let mut names = self.outdir.list(path).map_err(|message| self.directory_error(message))?;
        names.sort_unstable();
        let mut listing = Vec::with_capacity(names.len());
        for name in names {
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            let mut entry = self.entry_at(&path)?;
            if let Entry::Directory(inner) = &mut entry {
                self.load_listing(inner, &path, depth - 1)?;
            }
            listing.push(entry);
        }
        directory.listing = Some(listing);
        Ok(())
    }

    /// Adds secondary files and the format to a primary file.
    fn treated(&mut self, mut file: File, treatment: &FileTreatment) -> Result<File, OutputError> {
        for secondary in &treatment.secondary_files {
            let primary: Value = file.clone().into();
            let wanted = match secondary.pattern.as_literal() {
                Some(pattern) => Value::String(secondary_name(&file.name().unwrap_or_default(), pattern)),
                None => self.evaluate("secondaryFiles", &secondary.pattern, &primary)?,
            };
            let required = match &secondary.required {
                None => false,
                Some(required) => {
                    let context =
                        Context { inputs: self.inputs, self_: &primary, runtime: self.runtime, library: self.library };
                    let required = required.evaluate(&context, self.scripts);
                    required
                        .map_err(|source| OutputError::Expression {
                            output: self.output.to_owned(),
                            what: "secondaryFiles `required`",
                            source: source.into(),
                        })?
                        .unwrap_or(false)
                }
            };
            self.add_secondary(&mut file, wanted, required)?;
        }
        for template in &treatment.format {
            if let Value::String(format) = self.evaluate("format", template, &file.clone().into())? {
                file.format = Some(format);
            }
        }
        Ok(file)
    }

    fn add_secondary(&mut self, file: &mut File, wanted: Value, required: bool) -> Result<(), OutputError> {
        match wanted {
            Value::Array(items) => {
                for item in items {
                    self.add_secondary(file, item, required)?;
                }
            }
            Value::String(name) => {
                let has = |entry: &Entry| entry.name().is_some_and(|existing| existing == name);
                if file.secondary_files.iter().any(has) {
                    return Ok(());
                }
                let beside = file.path.as_deref().map(|path| format!("{}/{name}", parent_path(path)));
                let path = beside.and_then(|path| self.relative(&path));
                let found = match &path {
                    Some(path) => self.outdir.look(path).map_err(|message| self.directory_error(message))?,
                    None => None,
                };
                match path.filter(|_| found.is_some()) {
                    Some(path) => {
                        let entry = self.entry_at(&path)?;
                        file.secondary_files.push(entry);
                    }
                    None if required => {
                        return Err(OutputError::MissingSecondaryFile {
                            output: self.name(),
                            primary: file.name().unwrap_or_default(),
                            missing: name,
                        });
                    }
                    None => {}
                }
            }
            value => {
                if let Ok(entry) = value.into_entry() {
                    file.secondary_files.retain(|existing| existing.name() != entry.name());
                    file.secondary_files.push(entry);
                }
            }
        }
        Ok(())
    }

    /// A File or Directory as it leaves the tool: it has a location that lasts, a name, its size and checksum, no path.
    pub(super) fn settled(&mut self, mut entry: Entry, depth: usize) -> Result<Entry, OutputError> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err(self.directory_error(format!("nested deeper than {DOCUMENT_DEPTH_MAX} levels")));
        }
        // A tool's own object and outputEval may name files by path, or by a relative or `file:` location.
        let named = match (entry.path(), entry.location()) {
            (Some(path), _) => Some(path.to_owned()),
            (None, Some(location)) => {
                // `a:b.txt` is a name; only `file:` does without the slashes.
                if location.starts_with("file:") || location.contains("://") {
                    file_path(location)
                } else {
                    Some(crate::uri::decode(location))
                }
            }
            (None, None) => None,
        };
        if let Some(named) = named {
            let absolute = if named.starts_with('/') { named } else { self.absolute(&named) };
            // What the tool could change is its own by now, wherever it came from.
            let is_changeable = self.writable.iter().any(|path| is_below(&absolute, path));
            let is_input = entry.location().is_some_and(|location| self.locations.contains(location));
            let is_known = is_input && !is_changeable;
            if let Some(path) = self.relative(&absolute).filter(|_| !is_known) {
                let found = self.entry_at(&path)?;
                let found_location = found.location().map(str::to_owned);
                match (&mut entry, found) {
                    (Entry::File(file), Entry::File(found)) => {
                        file.size = found.size;
                        file.basename = file.basename.take().or(found.basename);
                        if file.checksum.is_none() {
                            file.checksum = self.outdir.checksum(&path).map_err(|m| self.directory_error(m))?;
                        }
                    }
                    (Entry::Directory(directory), Entry::Directory(found)) => {
                        directory.basename = directory.basename.take().or(found.basename);
                    }
                    _ => return Err(OutputError::Missing { output: self.name(), path }),
                }
                entry.set_location(found_location);
            } else if !is_known {
                match self.input_location(&absolute) {
                    Some(location) => entry.set_location(Some(location)),
                    None => return Err(OutputError::Outside { output: self.name(), path: absolute }),
                }
            }
        }
        if let Some(name) = entry.name() {
            entry.set_basename(name);
        }
        match &mut entry {
            Entry::File(file) => file.path = None,
            Entry::Directory(directory) => directory.path = None,
        }
        entry.map_children(&mut |child| self.settled(child, depth + 1))
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn depth_of(listing: LoadListing) -> usize {
    match listing {
        LoadListing::No => 0,
        LoadListing::Shallow => 1,
        LoadListing::Deep => DOCUMENT_DEPTH_MAX,
    }
}

/// `File` or `Directory` if the type takes one such and no array.
fn single(type_: &Type) -> Option<String> {
    match type_ {
        Type::File => Some("File".to_owned()),
        Type::Directory => Some("Directory".to_owned()),
        Type::Union(alternatives) => {
            if alternatives.iter().any(|alternative| matches!(alternative, Type::Array(_) | Type::Any)) {
                return None;
            }
            alternatives.iter().find_map(single)
        }
        _ => None,
    }
}

fn accepts_null(type_: &Type) -> bool {
    match type_ {
        Type::Null => true,
        Type::Union(alternatives) => alternatives.iter().any(accepts_null),
        _ => false,
    }
}

/// The record type that a parameter without a binding is built by.
fn record_of(type_: &Type) -> Option<&crate::schema::RecordType> {
    match type_ {
        Type::Record(record) => Some(record),
        Type::Union(alternatives) => alternatives.iter().find_map(record_of),
        _ => None,
    }
}
