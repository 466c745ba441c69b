//! `InitialWorkDirRequirement`: what stands in the output directory before the tool starts (CWL v1.2 Command Line Tool
//! Description, "`InitialWorkDirRequirement`" and "Dirent").

use std::collections::BTreeMap;

use super::staging::{Content, Placement, place, set_paths};
use crate::expression::{Context, Evaluate, EvaluationError, Template};
use crate::json;
use crate::requirement::{InitialWorkDir, WorkDirEntry};
use crate::value::{Entry, Value};

/// A listing that cannot be put into the working directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkDirError {
    /// An expression failed.
    #[error("InitialWorkDirRequirement, {what}: {source}")]
    Expression {
        /// Which expression.
        what: &'static str,
        /// Why.
        source: Box<EvaluationError>,
    },
    /// A value that is no member of a listing.
    #[error("InitialWorkDirRequirement: a listing holds File, Directory and Dirent objects, not {found}")]
    NotAnEntry {
        /// What it is.
        found: String,
    },
    /// No name.
    #[error("InitialWorkDirRequirement: `entryname` is required where `entry` is {what}")]
    NoName {
        /// What the entry is.
        what: &'static str,
    },
    /// A name for several entries.
    #[error(
        "InitialWorkDirRequirement: `entryname: {name}` cannot name an array of Files and Directories; use `basename`"
    )]
    NameOfArray {
        /// The name.
        name: String,
    },
    /// A name that leads out of the directory.
    #[error("InitialWorkDirRequirement: `{name}` leads out of the output directory")]
    Escapes {
        /// The name.
        name: String,
    },
    /// An absolute name without a container.
    #[error(
        "InitialWorkDirRequirement: the absolute `entryname: {name}` needs a DockerRequirement under `requirements` and a container to run in; use a relative name"
    )]
    Absolute {
        /// The name.
        name: String,
    },
    /// Two entries with one name.
    #[error("InitialWorkDirRequirement: two entries are to be placed at `{path}`")]
    Collision {
        /// Where.
        path: String,
    },
}

/// What an evaluated listing asks for.
#[derive(Debug, Default)]
pub(super) struct WorkDir {
    /// What to put into place, in order.
    pub placements: Vec<Placement>,
    /// Where each location now stands.
    pub places: BTreeMap<String, String>,
}

/// Evaluates a listing. `outdir` is absolute; `may_be_absolute` says that absolute names are allowed,
/// `changes_originals` that writable entries are not copied.
pub(super) fn evaluate(
    listing: &InitialWorkDir,
    context: &Context<'_>,
    scripts: &mut dyn Evaluate,
    outdir: &str,
    may_be_absolute: bool,
    changes_originals: bool,
) -> Result<WorkDir, WorkDirError> {
    let mut builder = Builder { outdir, may_be_absolute, changes_originals, workdir: WorkDir::default() };
    let expression = |what| move |source: EvaluationError| WorkDirError::Expression { what, source: source.into() };
    match listing {
        InitialWorkDir::Expression(template) => {
            let value = template.evaluate(context, scripts).map_err(expression("listing"))?;
            builder.listed(value)?;
        }
        InitialWorkDir::Listing(entries) => {
            for entry in entries {
                match entry {
                    WorkDirEntry::Entry(entry) => builder.add(None, entry.clone(), false)?,
                    WorkDirEntry::Expression(template) => {
                        let value = template.evaluate(context, scripts).map_err(expression("listing"))?;
                        builder.listed(value)?;
                    }
                    WorkDirEntry::Dirent { entryname, entry, writable } => {
                        let name = |template: &Template| template.evaluate_text(context, &mut *scripts);
                        let name = entryname.as_ref().map(name).transpose().map_err(expression("entryname"))?;
                        let value = entry.evaluate_verbatim(context, scripts).map_err(expression("entry"))?;
                        builder.dirent(name.flatten(), value, *writable)?;
                    }
                }
            }
        }
    }
    Ok(builder.workdir)
}

struct Builder<'a> {
    outdir: &'a str,
    may_be_absolute: bool,
    /// Writable entries are links, too (`InplaceUpdateRequirement`).
    changes_originals: bool,
    workdir: WorkDir,
}

impl Builder<'_> {
    /// A value in a listing: null, an entry, a Dirent, or an array of them.
    fn listed(&mut self, value: Value) -> Result<(), WorkDirError> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) => items.into_iter().try_for_each(|item| self.listed(item)),
            Value::Record(mut dirent) if dirent.contains_key("entry") => {
                let name = match dirent.get("entryname") {
                    Some(Value::String(name)) => Some(name.clone()),
                    _ => None,
                };
                let writable = dirent.get("writable").and_then(Value::as_bool).unwrap_or(false);
                let entry = dirent.shift_remove("entry").unwrap_or_default();
                self.dirent(name, entry, writable)
            }
            value => match value.into_entry() {
                Ok(entry) => self.add(None, entry, false),
                Err(other) => Err(WorkDirError::NotAnEntry { found: other.type_name().to_owned() }),
            },
        }
    }

    fn dirent(&mut self, name: Option<String>, entry: Value, writable: bool) -> Result<(), WorkDirError> {
        let is_entry = |value: &Value| matches!(value, Value::File(_) | Value::Directory(_));
        match entry {
            Value::Null => Ok(()),
            Value::String(text) => self.text(name, text, writable, "text"),
            Value::Array(items) if !items.is_empty() && items.iter().all(is_entry) => {
                if let Some(name) = name {
                    return Err(WorkDirError::NameOfArray { name });
                }
                items
                    .into_iter()
                    .filter_map(|item| item.into_entry().ok())
                    .try_for_each(|e| self.add(None, e, writable))
            }
            value => match value.into_entry() {
                Ok(entry) => self.add(name, entry, writable),
                // Other values are written as JSON, like in string interpolation.
                Err(other) => self.text(name, json::python(&other.for_expressions()), writable, "a value"),
            },
        }
    }

    fn text(
        &mut self,
        name: Option<String>,
        text: String,
        writable: bool,
        what: &'static str,
    ) -> Result<(), WorkDirError> {
        let path = self.path(&name.filter(|name| !name.is_empty()).ok_or(WorkDirError::NoName { what })?)?;
        self.push([Placement { path, content: Content::Literal(text), writable }])
    }

    fn add(&mut self, name: Option<String>, mut entry: Entry, writable: bool) -> Result<(), WorkDirError> {
        let name = name.filter(|name| !name.is_empty()).or_else(|| entry.name());
        let path = self.path(&name.ok_or(WorkDirError::NoName { what: "a File or Directory without `basename`" })?)?;
        set_paths(&mut entry, path);
        Value::from(entry.clone()).for_each_entry(&mut |inner| {
            let (location, path) = match inner {
                crate::value::EntryRef::File(file) => (&file.location, &file.path),
                crate::value::EntryRef::Directory(directory) => (&directory.location, &directory.path),
            };
            if let (Some(location), Some(path)) = (location, path) {
                self.workdir.places.insert(location.clone(), path.clone());
            }
        });
        let mut placements = Vec::new();
        place(&entry, writable, &mut placements);
        self.push(placements)
    }

    fn push(&mut self, placements: impl IntoIterator<Item = Placement>) -> Result<(), WorkDirError> {
        for placement in placements {
            for existing in &mut self.workdir.placements {
                if is_inside(&placement.path, &existing.path) && matches!(existing.content, Content::Link(_)) {
                    // Through a link the new entry would land in the original.
                    if self.changes_originals {
                        return Err(WorkDirError::Collision { path: placement.path });
                    }
                    existing.writable = true;
                }
                if is_inside(&existing.path, &placement.path) && placement.content != Content::Directory {
                    return Err(WorkDirError::Collision { path: placement.path });
                }
            }
            match self.workdir.placements.iter_mut().find(|existing| existing.path == placement.path) {
                // The same thing twice is one thing; directories of the same name are merged.
                Some(existing) if existing.content == placement.content => existing.writable |= placement.writable,
                Some(_) => return Err(WorkDirError::Collision { path: placement.path }),
                None => self.workdir.placements.push(placement),
            }
        }
        Ok(())
    }

    /// The absolute path for an `entryname`.
    fn path(&self, name: &str) -> Result<String, WorkDirError> {
        if name.starts_with('/') {
            return match normalised(name) {
                Some(path) if self.may_be_absolute && !path.is_empty() => Ok(format!("/{path}")),
                _ => Err(WorkDirError::Absolute { name: name.to_owned() }),
            };
        }
        match normalised(name) {
            Some(path) if !path.is_empty() => Ok(format!("{}/{path}", self.outdir)),
            _ => Err(WorkDirError::Escapes { name: name.to_owned() }),
        }
    }
}

/// Whether a path is below a directory.
fn is_inside(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// A path without `.`, `..` and empty segments; `None` if it leads above its start or holds a NUL.
pub(crate) fn normalised(path: &str) -> Option<String> {
    if path.contains('\0') {
        return None;
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            segment => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}
