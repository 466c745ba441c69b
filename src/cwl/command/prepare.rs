//! The input object as a process sees it: sizes, secondary files, contents, listings, formats (CWL v1.2, "File",
//! "secondaryFiles", "loadContents", "loadListing", "format").

use weir_api::limits::{DOCUMENT_DEPTH_MAX, LOAD_CONTENTS_BYTES_MAX};

use super::probe::{Kind, Probe};
use crate::conform::conform;
use crate::document::{CwlVersion, Header};
use crate::expression::{Context, Evaluate, EvaluationError, Template};
use crate::requirement::Effective;
use crate::schema::{FileTreatment, LoadListing, SecondaryFile, Type};
use crate::uri;
use crate::value::{Directory, Entry, File, Record, Value, object::split_name};

/// An input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The value is of another type.
    #[error("input `{input}`: {mismatch}")]
    Type {
        /// The input.
        input: String,
        /// What is wrong.
        mismatch: crate::conform::Mismatch,
    },
    /// Nothing is there.
    #[error("input `{input}`: there is no {class} at {location}")]
    NotFound {
        /// The input.
        input: String,
        /// What was expected.
        class: &'static str,
        /// Where.
        location: String,
    },
    /// A File or Directory object that says neither where nor what it is.
    #[error("input `{input}`: a {class} needs {needs}")]
    Incomplete {
        /// The input.
        input: String,
        /// `File` or `Directory`.
        class: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// The world could not be looked at.
    #[error("input `{input}`: {message}")]
    Probe {
        /// The input.
        input: String,
        /// What the probe says.
        message: String,
    },
    /// An expression of the parameter failed.
    #[error("input `{input}`, {what}: {source}")]
    Expression {
        /// The input.
        input: String,
        /// Which expression.
        what: &'static str,
        /// Why.
        source: Box<EvaluationError>,
    },
    /// A required secondary file.
    #[error("input `{input}`: `{primary}` needs its secondary file `{missing}`, which is not beside it")]
    MissingSecondaryFile {
        /// The input.
        input: String,
        /// Name of the primary.
        primary: String,
        /// Name of the missing one.
        missing: String,
    },
    /// Too large for `loadContents`.
    #[error(
        "input `{input}`: loadContents reads at most {LOAD_CONTENTS_BYTES_MAX} bytes (64 KiB), `{file}` has {size}"
    )]
    TooLarge {
        /// The input.
        input: String,
        /// Name of the file.
        file: String,
        /// Bytes.
        size: u64,
    },
    /// Not text.
    #[error("input `{input}`: `{file}` is not UTF-8 text, so its contents cannot be loaded")]
    NotText {
        /// The input.
        input: String,
        /// Name of the file.
        file: String,
    },
    /// Another format than the parameter takes.
    #[error("input `{input}`: `{file}` has format {found}; expected {}", expected.join(" or "))]
    Format {
        /// The input.
        input: String,
        /// Name of the file.
        file: String,
        /// Its format, or `none`.
        found: String,
        /// What the parameter takes.
        expected: Vec<String>,
    },
}

/// Checks every input against its type and completes its Files and Directories. Inputs that the process does not declare
/// are left out. Values of `default` must already be filled in.
pub fn prepare(
    header: &Header,
    effective: &Effective,
    inputs: &Record,
    probe: &mut dyn Probe,
    scripts: &mut dyn Evaluate,
) -> Result<Record, InputError> {
    let mut prepared = Record::new();
    for parameter in &header.inputs {
        let value = inputs.get(&parameter.id).cloned().unwrap_or_default();
        let value = conform(&parameter.type_, value)
            .map_err(|mismatch| InputError::Type { input: parameter.id.clone(), mismatch })?;
        prepared.insert(parameter.id.clone(), value);
    }
    // `inputs` in secondaryFiles and format expressions: the input object before this step.
    let seen = Value::Record(prepared.clone());
    let runtime = Value::Record(Record::new());
    for parameter in &header.inputs {
        let value = prepared.get_mut(&parameter.id).map(std::mem::take).unwrap_or_default();
        let mut treatment = parameter.file.clone();
        treatment.load_contents |= parameter.input_binding.as_ref().is_some_and(|binding| binding.load_contents);
        let mut preparation = Preparation {
            input: &parameter.id,
            version: header.version,
            load_listing: effective.load_listing(header.version),
            inputs: &seen,
            runtime: &runtime,
            library: effective.javascript_library(),
            probe: &mut *probe,
            scripts: &mut *scripts,
        };
        let value = preparation.value(&parameter.type_, &treatment, value)?;
        prepared.insert(parameter.id.clone(), value);
    }
    Ok(prepared)
}

/// Gives every File and Directory its location, name and size as far as they can be told, and never fails: what is wrong
/// with an input is said when it is used. Expressions that run before a tool is prepared (`ResourceRequirement`) then see
/// the sizes.
#[must_use]
pub fn measured(inputs: Record, probe: &mut dyn Probe) -> Record {
    fn measure(mut entry: Entry, probe: &mut dyn Probe) -> Entry {
        if let (None, Some(path)) = (entry.location(), entry.path()) {
            entry.set_location(Some(uri::from_path(path)));
        }
        if let Some(name) = entry.name() {
            entry.set_basename(name);
        }
        if let Entry::File(file) = &mut entry {
            match (&file.location, &file.contents) {
                (Some(location), _) => {
                    if let Ok(Some(Kind::File(size))) = probe.look(location) {
                        file.size = Some(size);
                    }
                }
                (None, Some(contents)) => file.size = Some(contents.len() as u64),
                (None, None) => {}
            }
        }
        unfailing(entry.map_children(&mut |child| Ok(measure(child, probe))))
    }
    inputs
        .into_iter()
        .map(|(name, value)| (name, unfailing(value.map_entries(&mut |entry| Ok(measure(entry, probe))))))
        .collect()
}

fn unfailing<T>(result: Result<T, std::convert::Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}

struct Preparation<'a> {
    input: &'a str,
    version: CwlVersion,
    load_listing: LoadListing,
    inputs: &'a Value,
    runtime: &'a Value,
    library: Option<&'a [String]>,
    probe: &'a mut dyn Probe,
    scripts: &'a mut dyn Evaluate,
}

impl Preparation<'_> {
    fn value(&mut self, type_: &Type, treatment: &FileTreatment, value: Value) -> Result<Value, InputError> {
        Ok(match (type_, value) {
            (Type::Union(alternatives), value) => {
                match alternatives.iter().find(|alternative| conform(alternative, value.clone()).is_ok()) {
                    Some(alternative) => self.value(alternative, treatment, value)?,
                    None => value,
                }
            }
            (Type::Record(record), Value::Record(mut members)) => {
                for field in &record.fields {
                    if let Some(member) = members.get_mut(&field.name) {
                        *member = self.value(&field.type_, &field.file, std::mem::take(member))?;
                    }
                }
                Value::Record(members)
            }
            (Type::Array(array), Value::Array(items)) => Value::Array(
                items.into_iter().map(|item| self.value(&array.items, treatment, item)).collect::<Result<_, _>>()?,
            ),
            (_, value) => value.map_entries(&mut |entry| self.entry(treatment, entry))?,
        })
    }

    fn entry(&mut self, treatment: &FileTreatment, entry: Entry) -> Result<Entry, InputError> {
        let mut entry = self.located(entry, 0)?;
        match &mut entry {
            Entry::File(file) => {
                self.check_format(treatment, file)?;
                self.secondary_files(&treatment.secondary_files, file)?;
                if treatment.load_contents {
                    self.load_contents(file)?;
                }
            }
            Entry::Directory(directory) => {
                let depth = match treatment.load_listing.unwrap_or(self.load_listing) {
                    LoadListing::No => 0,
                    LoadListing::Shallow => 1,
                    LoadListing::Deep => DOCUMENT_DEPTH_MAX,
                };
                self.load_listing(directory, depth)?;
            }
        }
        Ok(entry)
    }

    fn probe_error(&self, message: String) -> InputError {
        InputError::Probe { input: self.input.to_owned(), message }
    }

    /// Gives the entry and what travels with it a location and a name, and a File its size.
    fn located(&mut self, mut entry: Entry, depth: usize) -> Result<Entry, InputError> {
        if let (None, Some(path)) = (entry.location(), entry.path()) {
            entry.set_location(Some(uri::from_path(path)));
        }
        match &mut entry {
            Entry::File(file) => {
                file.path = None;
                file.basename = file.name();
                match (&file.location, &file.contents) {
                    (Some(location), _) => match self.probe.look(location).map_err(|m| self.probe_error(m))? {
                        Some(Kind::File(size)) => file.size = Some(size),
                        Some(Kind::Directory) | None => return Err(self.not_found("File", location)),
                    },
                    (None, Some(contents)) => {
                        file.size = Some(contents.len() as u64);
                        file.basename.get_or_insert_with(|| "literal".to_owned());
                    }
                    (None, None) => return Err(self.incomplete("File", "`location` or `contents`")),
                }
            }
            Entry::Directory(directory) => {
                directory.path = None;
                directory.basename = directory.name();
                match (&directory.location, &directory.listing) {
                    (Some(location), _) => match self.probe.look(location).map_err(|m| self.probe_error(m))? {
                        Some(Kind::Directory) => {}
                        Some(Kind::File(_)) | None => return Err(self.not_found("Directory", location)),
                    },
                    (None, Some(_)) => {
                        directory.basename.get_or_insert_with(|| "directory".to_owned());
                    }
                    (None, None) => return Err(self.incomplete("Directory", "`location` or `listing`")),
                }
            }
        }
        if depth >= DOCUMENT_DEPTH_MAX {
            return Err(self.incomplete("Directory", "a listing that is nested less deeply"));
        }
        entry.map_children(&mut |child| self.located(child, depth + 1))
    }

    fn not_found(&self, class: &'static str, location: &str) -> InputError {
        InputError::NotFound { input: self.input.to_owned(), class, location: location.to_owned() }
    }

    fn incomplete(&self, class: &'static str, needs: &'static str) -> InputError {
        InputError::Incomplete { input: self.input.to_owned(), class, needs }
    }

    fn evaluate(&mut self, what: &'static str, template: &Template, self_: &Value) -> Result<Value, InputError> {
        let context = Context { inputs: self.inputs, self_, runtime: self.runtime, library: self.library };
        template.evaluate(&context, self.scripts).map_err(|source| InputError::Expression {
            input: self.input.to_owned(),
            what,
            source: source.into(),
        })
    }

    fn check_format(&mut self, treatment: &FileTreatment, file: &File) -> Result<(), InputError> {
        let mut expected = Vec::new();
        for template in &treatment.format {
            match self.evaluate("format", template, &file.clone().into())? {
                Value::String(format) => expected.push(format),
                Value::Array(formats) => {
                    expected.extend(formats.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        if expected.is_empty() {
            return Ok(());
        }
        for wanted in &expected {
            let Some(found) = &file.format else { break };
            if found == wanted || self.probe.is_format(found, wanted).map_err(|message| self.probe_error(message))? {
                return Ok(());
            }
        }
        Err(InputError::Format {
            input: self.input.to_owned(),
            file: file.name().unwrap_or_default(),
            found: file.format.clone().unwrap_or_else(|| "none".to_owned()),
            expected,
        })
    }

    fn secondary_files(&mut self, patterns: &[SecondaryFile], file: &mut File) -> Result<(), InputError> {
        for secondary in patterns {
            let primary: Value = file.clone().into();
            let wanted = match secondary.pattern.as_literal() {
                Some(pattern) => {
                    let name = secondary_name(&file.name().unwrap_or_default(), pattern);
                    Value::String(name)
                }
                None => self.evaluate("secondaryFiles", &secondary.pattern, &primary)?,
            };
            let required = match &secondary.required {
                None => true,
                Some(required) => {
                    let context =
                        Context { inputs: self.inputs, self_: &primary, runtime: self.runtime, library: self.library };
                    required
                        .evaluate(&context, self.scripts)
                        .map_err(|source| InputError::Expression {
                            input: self.input.to_owned(),
                            what: "secondaryFiles `required`",
                            source: source.into(),
                        })?
                        .unwrap_or(false)
                }
            };
            self.add_secondary(file, wanted, required)?;
        }
        Ok(())
    }

    /// Adds what a pattern or expression asks for: a name beside the primary, a File, a Directory, or several of them.
    fn add_secondary(&mut self, file: &mut File, wanted: Value, required: bool) -> Result<(), InputError> {
        match wanted {
            Value::Array(items) => {
                for item in items {
                    self.add_secondary(file, item, required)?;
                }
                Ok(())
            }
            Value::String(name) => {
                let has = |entry: &Entry| entry.name().is_some_and(|existing| existing == name);
                if file.secondary_files.iter().any(has) {
                    return Ok(());
                }
                let beside = file.location.as_deref().and_then(|location| sibling(location, &name));
                let kind = match &beside {
                    Some(location) => self.probe.look(location).map_err(|m| self.probe_error(m))?,
                    None => None,
                };
                match kind {
                    Some(Kind::File(size)) => file.secondary_files.push(Entry::File(File {
                        location: beside,
                        basename: Some(name),
                        size: Some(size),
                        ..File::default()
                    })),
                    Some(Kind::Directory) => file.secondary_files.push(Entry::Directory(Directory {
                        location: beside,
                        basename: Some(name),
                        ..Directory::default()
                    })),
                    None if required => {
                        return Err(InputError::MissingSecondaryFile {
                            input: self.input.to_owned(),
                            primary: file.name().unwrap_or_default(),
                            missing: name,
                        });
                    }
                    None => {}
                }
                Ok(())
            }
            Value::File(_) | Value::Directory(_) => {
                if let Ok(entry) = wanted.into_entry() {
                    let entry = self.located(entry, 0)?;
                    file.secondary_files.retain(|existing| existing.name() != entry.name());
                    file.secondary_files.push(entry);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn load_contents(&mut self, file: &mut File) -> Result<(), InputError> {
        let Some(location) = &file.location else { return Ok(()) };
        let size = file.size.unwrap_or(0);
        let name = file.name().unwrap_or_default();
        // v1.0 and v1.1 read the first 64 KiB; v1.2 refuses larger files.
        if self.version >= CwlVersion::V1_2 && size > LOAD_CONTENTS_BYTES_MAX {
            return Err(InputError::TooLarge { input: self.input.to_owned(), file: name, size });
        }
        let bytes = self.probe.read(location, LOAD_CONTENTS_BYTES_MAX).map_err(|m| self.probe_error(m))?;
        file.contents = Some(
            text_of(bytes, size > LOAD_CONTENTS_BYTES_MAX)
                .ok_or_else(|| InputError::NotText { input: self.input.to_owned(), file: name })?,
        );
        Ok(())
    }

    fn load_listing(&mut self, directory: &mut Directory, depth: usize) -> Result<(), InputError> {
        let Some(location) = directory.location.clone().filter(|_| depth > 0) else { return Ok(()) };
        let mut members = self.probe.list(&location).map_err(|m| self.probe_error(m))?;
        members.sort();
        let mut listing = Vec::with_capacity(members.len());
        for (name, kind) in members {
            let location = Some(format!("{}/{}", location.trim_end_matches('/'), uri::encode_path(&name)));
            listing.push(match kind {
                Kind::File(size) => {
                    Entry::File(File { location, basename: Some(name), size: Some(size), ..File::default() })
                }
                Kind::Directory => {
                    let mut inner = Directory { location, basename: Some(name), ..Directory::default() };
                    self.load_listing(&mut inner, depth - 1)?;
                    Entry::Directory(inner)
                }
            });
        }
        directory.listing = Some(listing);
        Ok(())
    }
}

/// UTF-8 text; a character that a truncation cut in two is dropped.
pub fn text_of(bytes: Vec<u8>, truncated: bool) -> Option<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            (truncated && bytes.len() - valid < 4).then(|| {
                bytes.truncate(valid);
                String::from_utf8(bytes).unwrap_or_default()
            })
        }
    }
}

/// The name of a secondary file by a pattern: each leading `^` removes one extension, the rest is appended (CWL v1.2,
/// "`SecondaryFileSchema`").
pub(crate) fn secondary_name(primary: &str, pattern: &str) -> String {
    let suffix = pattern.trim_start_matches('^');
    let carets = pattern.len() - suffix.len();
    let root = (0..carets).fold(primary, |name, _| split_name(name).0);
    format!("{root}{suffix}")
}

/// The URI of `name` in the directory of `location`.
fn sibling(location: &str, name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with('/') || name.split('/').any(|segment| segment == "..") {
        return None;
    }
    let slash = location.rfind('/')?;
    Some(format!("{}/{}", &location[..slash], uri::encode_path(name)))
}
