//! Where a tool sees its input files (CWL v1.2, "File": files may be staged anywhere, but under their `basename`, with
//! their secondary files beside them).

use std::collections::BTreeMap;

use crate::value::{Entry, Record, Value, file_path, object::parent_path};

/// Places of an executor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// Absolute path of the directory under which inputs are placed, without a slash at its end.
    pub inputs: String,
    /// Whether a tool may read a local file where it lies: a `file:` location whose name is the wanted one and whose
    /// secondary files lie beside it is then not placed at all.
    pub in_place: bool,
    /// Whether the tool has a file system of its own, so that an absolute `entryname` harms nobody.
    pub in_container: bool,
    /// What to run instead of `baseCommand`: an image that is mapped to a local program.
    pub base_command: Option<Vec<String>>,
}

/// Something to put into place before the tool starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Absolute path, in the tool's eyes. Its parent directories are to be made.
    pub path: String,
    /// What.
    pub content: Content,
    /// Whether the tool may change it: it then gets its own copy (or the original, under `InplaceUpdateRequirement`).
    pub writable: bool,
}

/// What a [`Placement`] is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The file or directory at this URI: linked, or copied if writable.
    Link(String),
    /// A text file.
    Literal(String),
    /// An empty directory; its members are placements of their own and follow it.
    Directory,
}

/// Gives every File and Directory of the input object a `path`, and says what must be placed for that.
pub(super) fn stage(inputs: Record, layout: &Layout) -> (Record, Vec<Placement>) {
    let mut placements = Vec::new();
    let mut directories = 0_usize;
    let mut seen = BTreeMap::new();
    let mut map = |mut entry: Entry| -> Result<Entry, std::convert::Infallible> {
        let name = entry.name().unwrap_or_default();
        if let Some(path) = in_place(&entry).filter(|_| layout.in_place) {
            set_paths(&mut entry, path);
            return Ok(entry);
        }
        // The same file as another input is placed once, unless something travels with it.
        let key = entry.location().map(|location| (location.to_owned(), name.clone()));
        let is_alone = matches!(&entry, Entry::File(file) if file.secondary_files.is_empty());
        if let Some(path) = key.as_ref().and_then(|key| seen.get(key)).filter(|_| is_alone) {
            entry.set_path(String::clone(path));
            return Ok(entry);
        }
        directories += 1;
        let path = format!("{}/{directories}/{name}", layout.inputs);
        set_paths(&mut entry, path.clone());
        place(&entry, false, &mut placements);
        seen.extend(key.map(|key| (key, path)));
        Ok(entry)
    };
    let staged = inputs
        .into_iter()
        .map(|(name, value)| match value.map_entries(&mut map) {
            Ok(value) => (name, value),
        })
        .collect();
    (staged, placements)
}

/// The local path at which the entry can be used as it is.
fn in_place(entry: &Entry) -> Option<String> {
    let path = file_path(entry.location()?)?;
    let name = entry.name()?;
    if !path.ends_with(&format!("/{name}")) {
        return None;
    }
    let directory = parent_path(&path);
    if let Entry::File(file) = entry {
        for secondary in &file.secondary_files {
            let beside = in_place(secondary)?;
            if parent_path(&beside) != directory {
                return None;
            }
        }
    }
    Some(path)
}

/// Sets the path of the entry, of its secondary files beside it, and of its members below it.
pub(super) fn set_paths(entry: &mut Entry, path: String) {
    match entry {
        Entry::File(file) => {
            let directory = parent_path(&path).trim_end_matches('/').to_owned();
            for secondary in &mut file.secondary_files {
                let name = secondary.name().unwrap_or_default();
                set_paths(secondary, format!("{directory}/{name}"));
            }
        }
        Entry::Directory(content) => {
            for member in content.listing.iter_mut().flatten() {
                let name = member.name().unwrap_or_default();
                set_paths(member, format!("{path}/{name}"));
            }
        }
    }
    entry.set_path(path);
}

/// The placements that put an entry, whose paths are set, into place.
pub(super) fn place(entry: &Entry, writable: bool, placements: &mut Vec<Placement>) {
    let path = entry.path().unwrap_or_default().to_owned();
    match entry {
        Entry::File(file) => {
            let content = match &file.location {
                Some(location) => Content::Link(location.clone()),
                None => Content::Literal(file.contents.clone().unwrap_or_default()),
            };
            placements.push(Placement { path, content, writable });
            for secondary in &file.secondary_files {
                place(secondary, writable, placements);
            }
        }
        Entry::Directory(directory) => {
            if let Some(location) = &directory.location {
                placements.push(Placement { path, content: Content::Link(location.clone()), writable });
            } else {
                placements.push(Placement { path, content: Content::Directory, writable });
                for member in directory.listing.iter().flatten() {
                    place(member, writable, placements);
                }
            }
        }
    }
}

/// Points every File and Directory of the input object that also stands in the working directory at its place there.
pub(super) fn repoint(inputs: &mut Record, places: &BTreeMap<String, String>) {
    fn in_value(value: &mut Value, places: &BTreeMap<String, String>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| in_value(item, places)),
            Value::Record(record) => record.values_mut().for_each(|member| in_value(member, places)),
            Value::File(_) | Value::Directory(_) => {
                if let Ok(mut moved) = std::mem::take(value).into_entry() {
                    in_entry(&mut moved, places);
                    *value = moved.into();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    fn in_entry(moved: &mut Entry, places: &BTreeMap<String, String>) {
        if let Some(path) = moved.location().and_then(|location| places.get(location)) {
            set_paths(moved, path.clone());
        }
        match moved {
            Entry::File(file) => file.secondary_files.iter_mut().for_each(|child| in_entry(child, places)),
            Entry::Directory(directory) => {
                directory.listing.iter_mut().flatten().for_each(|child| in_entry(child, places));
            }
        }
    }
    inputs.values_mut().for_each(|member| in_value(member, places));
}
