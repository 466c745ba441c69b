//! The output directory as the agent reported it: a listing, and the contents that were asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use weir_api::agent::{Contents, EntryKind, Exited, LinkTarget, ReadRequest};
use weir_api::limits::LISTING_ENTRIES_MAX;
use weir_cwl::Value;
use weir_cwl::command::Kind;
use weir_cwl::expression::{Context, Evaluate, Script};
use weir_cwl::output::{Found, OutputDirectory};

use super::files::{Source, StoreFiles};
use super::location::Location;
use super::order::Order;

/// Names that may be listed in all: links to directories may be followed over and over, and each way counts.
const NAMES_MAX: usize = 10 * LISTING_ENTRIES_MAX;

/// Contents that the report lacks. While there are any, what is collected is not the outcome: it only finds out what else
/// is needed.
#[derive(Debug, Default)]
pub struct Lacking(RefCell<BTreeMap<String, u64>>);

impl Lacking {
    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    fn add(&self, path: &str, bytes_max: u64) {
        let mut lacking = self.0.borrow_mut();
        let asked = lacking.entry(path.to_owned()).or_default();
        *asked = (*asked).max(bytes_max);
    }

    /// What to ask the agent for, by path.
    pub fn into_requests(self) -> Vec<ReadRequest> {
        self.0.into_inner().into_iter().map(|(path, bytes_max)| ReadRequest { path, bytes_max }).collect()
    }
}

/// Evaluates scripts as long as nothing is lacking: they must not see what was not read.
#[derive(Debug)]
pub struct Informed<'a, S> {
    /// Evaluates.
    pub scripts: S,
    /// What is lacking so far.
    pub lacking: &'a Lacking,
}

impl<S: Evaluate> Evaluate for Informed<'_, S> {
    fn evaluate(&mut self, script: &Script, context: &Context<'_>) -> Result<Value, String> {
        if self.lacking.is_empty() {
            self.scripts.evaluate(script, context)
        } else {
            Err("the contents that it needs are not read yet".to_owned())
        }
    }
}

/// Where a path of the output directory leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To a file or directory of the output directory; empty for the directory itself.
    Inside(String),
    /// Out of it: an absolute path in the tool's eyes. What was placed there is known, all else is not.
    Elsewhere(String),
}

/// The output directory of one incarnation.
#[derive(Debug)]
pub struct Reported<'a> {
    incarnation: u64,
    entries: HashMap<&'a str, &'a EntryKind>,
    members: HashMap<&'a str, Vec<&'a str>>,
    contents: &'a BTreeMap<String, Contents>,
    placed: HashMap<&'a str, &'a Source>,
    files: StoreFiles<'a>,
    lacking: &'a Lacking,
    names_left: usize,
}

impl<'a> Reported<'a> {
    /// The directory that a report describes.
    pub fn new(exited: &'a Exited, order: &'a Order, files: StoreFiles<'a>, lacking: &'a Lacking) -> Self {
        let entries: HashMap<_, _> =
            exited.listing.entries.iter().map(|entry| (entry.path.as_str(), &entry.kind)).collect();
        let mut members: HashMap<_, Vec<_>> = HashMap::new();
        for path in exited.listing.entries.iter().map(|entry| entry.path.as_str()) {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            members.entry(directory).or_default().push(name);
        }
        let placed = order.placements.iter().map(|placed| (placed.path.as_str(), &placed.source)).collect();
        Self {
            incarnation: exited.claimant.incarnation,
            entries,
            members,
            contents: &exited.contents,
            placed,
            files,
            lacking,
            names_left: NAMES_MAX,
        }
    }

    /// What kept a staged input from being read and may be over by now.
    pub fn trouble(&self) -> Option<&str> {
        self.files.trouble()
    }

    /// Where a path leads, link by link; `None` if nothing is there.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut at = String::new();
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            let next = join(&at, part);
            match self.entries.get(next.as_str())? {
                EntryKind::File { .. } => return parts.next().is_none().then_some(Place::Inside(next)),
                EntryKind::Directory {} => at = next,
                // Followed to its end by the agent, so this is no link itself.
                EntryKind::Link(LinkTarget::Inside(target)) => at.clone_from(target),
                EntryKind::Link(LinkTarget::Staged(target) | LinkTarget::Outside(target)) => {
                    let rest = parts.fold(target.clone(), |path, part| format!("{path}/{part}"));
                    return Some(Place::Elsewhere(rest));
                }
            }
            if matches!(self.entries.get(at.as_str()), Some(EntryKind::File { .. })) {
                return parts.next().is_none().then_some(Place::Inside(at));
            }
        }
        let exists = at.is_empty() || matches!(self.entries.get(at.as_str()), Some(EntryKind::Directory {}));
        exists.then_some(Place::Inside(at))
    }

    /// What was placed at an absolute path.
    pub fn placed(&self, path: &str) -> Option<&'a Source> {
        self.placed.get(path).copied().or_else(|| {
            // Only the members of a placed directory are mentioned.
            let prefix = format!("{path}/");
            self.placed.keys().any(|placed| placed.starts_with(&prefix)).then_some(&Source::Folder)
        })
    }

    /// What was placed below an absolute path: relative paths.
    pub fn placed_below(&self, path: &str) -> Vec<(&'a str, &'a Source)> {
        let below = |placed: &&'a str| placed.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
        self.placed.iter().filter_map(|(placed, source)| Some((below(placed)?, *source))).collect()
    }

    fn kind(&self, inside: &str) -> Kind {
        match self.entries.get(inside) {
            Some(EntryKind::File { size }) => Kind::File(*size),
            _ => Kind::Directory,
        }
    }
}

/// A path below a directory.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

impl OutputDirectory for Reported<'_> {
    fn list(&mut self, directory: &str) -> Result<Vec<String>, String> {
        let inside = match self.place(directory) {
            Some(Place::Inside(inside)) => inside,
            Some(Place::Elsewhere(path)) => {
                let names: HashSet<_> = self
                    .placed_below(&path)
                    .into_iter()
                    .map(|(below, _)| below.split('/').next().unwrap_or_default().to_owned())
                    .collect();
                return Ok(names.into_iter().collect());
            }
            None => return Err(format!("there is no directory `{directory}`")),
        };
        // A link to one of the directories on the way to it has no end.
        let mut on_the_way = HashSet::from([String::new(), inside.clone()]);
        for (at, _) in directory.match_indices('/') {
            if let Some(Place::Inside(place)) = self.place(&directory[..at]) {
                on_the_way.insert(place);
            }
        }
        let leads_back = |path: &str| match self.entries.get(path) {
            Some(EntryKind::Link(LinkTarget::Inside(target))) => on_the_way.contains(target),
            _ => false,
        };
        let names: Vec<String> = self
            .members
            .get(inside.as_str())
            .into_iter()
            .flatten()
            .filter(|name| {
                let path = join(&inside, name);
                !leads_back(&path) && self.place(&path).is_some()
            })
            .map(|name| (*name).to_owned())
            .collect();
        self.names_left = self.names_left.checked_sub(names.len()).ok_or_else(|| {
            format!("its links lead to more than {NAMES_MAX} files; let directories not link to each other")
        })?;
        Ok(names)
    }

    fn look(&mut self, path: &str) -> Result<Option<Found>, String> {
        Ok(match self.place(path) {
            None => None,
            Some(Place::Inside(inside)) => {
                let location = Location { incarnation: self.incarnation, path: inside.clone() };
                Some(Found { kind: self.kind(&inside), location: location.to_string(), elsewhere: None })
            }
            Some(Place::Elsewhere(path)) => match self.placed(&path) {
                Some(source) => Some(Found { kind: source.kind(), location: path.clone(), elsewhere: Some(path) }),
                // Something of the tool's own image, if anything: it is refused by whoever wants it.
                None => Some(Found { kind: Kind::File(0), location: path.clone(), elsewhere: Some(path) }),
            },
        })
    }

    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let inside = match self.place(path) {
            Some(Place::Inside(inside)) => inside,
            Some(Place::Elsewhere(target)) => {
                let source = self.placed(&target).ok_or_else(|| format!("`{path}` leads out to `{target}`"))?;
                return self.files.read_source(source, limit);
            }
            None => return Err(format!("there is no file `{path}`")),
        };
        let Kind::File(size) = self.kind(&inside) else { return Err(format!("`{path}` is a directory")) };
        if limit.min(size) == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = match self.contents.get(&inside) {
            // What is collected from here on is thrown away; it goes on to find out what else is lacking.
            None => {
                self.lacking.add(&inside, limit);
                Vec::new()
            }
            // Asked for once and never again, whatever there was to read.
            Some(Contents::Text(text)) => text.clone().into_bytes(),
            Some(Contents::Hex(digits)) => hex::decode(digits).map_err(|error| format!("`{path}`: {error}"))?,
            Some(Contents::Unreadable(why)) => return Err(why.clone()),
        };
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(bytes)
    }
}
