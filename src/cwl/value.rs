//! CWL values: the input and output objects of processes (CWL v1.2 Command Line Tool Description, §5.1.1 and "File").

use std::fmt;

use indexmap::IndexMap;

mod location;
pub mod object;
mod serialize;

pub use location::file_path;

/// An object with named members in their written order.
pub type Record = IndexMap<String, Value>;

/// Any CWL value. Files and Directories are recognised once, when a value enters weir, and are typed from then on.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An int, long, float or double.
    Number(Number),
    /// Text.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// A record, or an object of which nothing more is known.
    Record(Record),
    /// An object with `class: File`.
    File(Box<File>),
    /// An object with `class: Directory`.
    Directory(Box<Directory>),
}

/// A number that keeps what was written: integers beyond 64 bits stay exact.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// An integer of 64 bits.
    Int(i64),
    /// An integer beyond 64 bits, as its decimal digits with an optional leading `-`.
    Big(String),
    /// A float or double; always finite.
    Float(f64),
}

/// A CWL `File`. Derived fields (`nameroot`, `nameext`, `dirname`) are computed when an expression asks for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct File {
    /// URI of the content (`file:`, `http(s):`, `s3:`); absent for a literal.
    pub location: Option<String>,
    /// Where a tool sees it; set only inside a work order or a tool's own output.
    pub path: Option<String>,
    /// The file's name, without slashes.
    pub basename: Option<String>,
    /// Literal content, or what `loadContents` read.
    pub contents: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// `sha1$<hex>`, as CWL spells it.
    pub checksum: Option<String>,
    /// IRI of the format.
    pub format: Option<String>,
    /// Files and directories that travel with it.
    pub secondary_files: Vec<Entry>,
    /// Members that CWL does not define, kept as they came.
    pub extra: Record,
}

/// A CWL `Directory`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Directory {
    /// URI of the directory; absent for a literal.
    pub location: Option<String>,
    /// Where a tool sees it.
    pub path: Option<String>,
    /// The directory's name, without slashes.
    pub basename: Option<String>,
    /// Its content, if loaded or literal.
    pub listing: Option<Vec<Entry>>,
    /// Members that CWL does not define, kept as they came.
    pub extra: Record,
}

/// A File or a Directory: a member of a listing or of `secondaryFiles`.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// `class: File`
    File(File),
    /// `class: Directory`
    Directory(Directory),
}

impl Number {
    /// The integer written in `digits` (an optional `-` and decimal digits): 64 bits where it fits, exact beyond.
    pub fn integer(digits: &str) -> Self {
        match digits.parse() {
            Ok(value) => Self::Int(value),
            Err(_) => Self::Big(digits.to_owned()),
        }
    }

    /// A finite float; `None` for an infinity or not-a-number, which JSON and CWL cannot express.
    pub fn float(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Float(value))
    }

    /// The nearest float.
    #[expect(clippy::cast_precision_loss, reason = "a float is what the caller asks for")]
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::Int(value) => *value as f64,
            Self::Big(digits) => digits.parse().unwrap_or(f64::MAX),
            Self::Float(value) => *value,
        }
    }

    /// The integer, if it is one that fits 64 bits. Floats are none, not even `1.0`.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Big(_) | Self::Float(_) => None,
        }
    }

    /// As it stands on a command line: decimal notation, never an exponent, and no fraction for a whole
    /// number: `0.00001`, `123000`.
    pub fn to_decimal(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Big(digits) => digits.clone(),
            // Display of f64 knows no exponent and prints a whole number without a fraction.
            Self::Float(value) => format!("{value}"),
        }
    }
}

/// As in JSON, in the form that Python's `json` and `repr` write: `1.0`, `1e-05`, `1e+16`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Big(digits) => f.write_str(digits),
            Self::Float(value) => {
                let scientific = format!("{value:e}");
                let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
                match exponent.parse::<i32>().unwrap_or(0) {
                    -4..=15 => {
                        if value.fract() == 0.0 {
                            write!(f, "{value:.1}")
                        } else {
                            write!(f, "{value}")
                        }
                    }
                    large => {
                        let sign = if large < 0 { '-' } else { '+' };
                        write!(f, "{mantissa}e{sign}{:02}", large.unsigned_abs())
                    }
                }
            }
        }
    }
}

impl Value {
    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What it is, in CWL's words, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(Number::Int(_) | Number::Big(_)) => "integer",
            Self::Number(Number::Float(_)) => "float",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Record(_) => "record",
            Self::File(_) => "File",
            Self::Directory(_) => "Directory",
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The truth value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// A 64-bit integer.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.to_i64() } else { None }
    }

    /// Any number, as a float.
    pub fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(number.to_f64()) } else { None }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The members of a record.
    pub fn as_record(&self) -> Option<&Record> {
        if let Self::Record(record) = self { Some(record) } else { None }
    }

    /// The File or Directory that this value is.
    pub fn into_entry(self) -> Result<Entry, Self> {
        match self {
            Self::File(file) => Ok(Entry::File(*file)),
            Self::Directory(directory) => Ok(Entry::Directory(*directory)),
            other => Err(other),
        }
    }

    /// Calls `visit` for every File and Directory in the value, at any depth: also for secondary files and the members
    /// of listings, each after the entry that holds it.
    pub fn for_each_entry<'a>(&'a self, visit: &mut impl FnMut(EntryRef<'a>)) {
        match self {
            Self::Array(items) => items.iter().for_each(|item| item.for_each_entry(visit)),
            Self::Record(record) => record.values().for_each(|member| member.for_each_entry(visit)),
            Self::File(file) => EntryRef::File(file).walk(visit),
            Self::Directory(directory) => EntryRef::Directory(directory).walk(visit),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }

    /// Replaces the outermost Files and Directories of the value. Their secondary files and listings are the callback's:
    /// [`Entry::map_children`] goes on into them.
    pub fn map_entries<E>(self, map: &mut impl FnMut(Entry) -> Result<Entry, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Array(items) => {
                Self::Array(items.into_iter().map(|item| item.map_entries(map)).collect::<Result<_, _>>()?)
            }
            Self::Record(record) => Self::Record(
                record
                    .into_iter()
                    .map(|(name, member)| Ok((name, member.map_entries(map)?)))
                    .collect::<Result<_, E>>()?,
            ),
            Self::File(file) => map(Entry::File(*file))?.into(),
            Self::Directory(directory) => map(Entry::Directory(*directory))?.into(),
            other @ (Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_)) => other,
        })
    }
}

/// A borrowed [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EntryRef<'a> {
    /// `class: File`
    File(&'a File),
    /// `class: Directory`
    Directory(&'a Directory),
}

impl<'a> EntryRef<'a> {
    /// Its `location`.
    pub fn location(self) -> Option<&'a str> {
        match self {
            Self::File(file) => file.location.as_deref(),
            Self::Directory(directory) => directory.location.as_deref(),
        }
    }

    fn walk(self, visit: &mut impl FnMut(EntryRef<'a>)) {
        visit(self);
        let children = match self {
            Self::File(file) => file.secondary_files.as_slice(),
            Self::Directory(directory) => directory.listing.as_deref().unwrap_or_default(),
        };
        for child in children {
            child.as_ref().walk(visit);
        }
    }
}

impl Entry {
    /// Borrowed.
    pub fn as_ref(&self) -> EntryRef<'_> {
        match self {
            Self::File(file) => EntryRef::File(file),
            Self::Directory(directory) => EntryRef::Directory(directory),
        }
    }

    /// Its `location`.
    pub fn location(&self) -> Option<&str> {
        self.as_ref().location()
    }

    /// Where a tool sees it.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File(file) => file.path.as_deref(),
            Self::Directory(directory) => directory.path.as_deref(),
        }
    }

    /// Its name: `basename`, or else the last segment of the path or of the decoded location.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::File(file) => file.name(),
            Self::Directory(directory) => directory.name(),
        }
    }

    /// Sets where a tool sees it.
    pub fn set_path(&mut self, path: String) {
        match self {
            Self::File(file) => file.path = Some(path),
            Self::Directory(directory) => directory.path = Some(path),
        }
    }

    /// Sets its name.
    pub fn set_basename(&mut self, name: String) {
        match self {
            Self::File(file) => file.basename = Some(name),
            Self::Directory(directory) => directory.basename = Some(name),
        }
    }

    /// Sets where its content is.
    pub fn set_location(&mut self, location: Option<String>) {
        match self {
            Self::File(file) => file.location = location,
            Self::Directory(directory) => directory.location = location,
        }
    }

    /// Replaces its secondary files, or the members of its listing.
    pub fn map_children<E>(self, map: &mut impl FnMut(Entry) -> Result<Entry, E>) -> Result<Self, E> {
        let mut all = |children: Vec<Entry>| children.into_iter().map(&mut *map).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::File(mut file) => {
                file.secondary_files = all(file.secondary_files)?;
                Self::File(file)
            }
            Self::Directory(mut directory) => {
                directory.listing = directory.listing.map(&mut all).transpose()?;
                Self::Directory(directory)
            }
        })
    }
}

impl File {
    /// Its name: `basename`, or else the last segment of the path or of the decoded location.
    pub fn name(&self) -> Option<String> {
        name_of(self.basename.as_deref(), self.path.as_deref(), self.location.as_deref())
    }

    /// Whether it is made of `contents` alone.
    pub fn is_literal(&self) -> bool {
        self.location.is_none() && self.path.is_none() && self.contents.is_some()
    }
}

impl Directory {
    /// Its name: `basename`, or else the last segment of the path or of the decoded location.
    pub fn name(&self) -> Option<String> {
        name_of(self.basename.as_deref(), self.path.as_deref(), self.location.as_deref())
    }

    /// Whether it is made of `listing` alone.
    pub fn is_literal(&self) -> bool {
        self.location.is_none() && self.path.is_none()
    }
}

fn name_of(basename: Option<&str>, path: Option<&str>, location: Option<&str>) -> Option<String> {
    if let Some(name) = basename.filter(|name| !name.is_empty()) {
        return Some(name.to_owned());
    }
    let last = |text: &str| text.trim_end_matches('/').rsplit('/').next().filter(|n| !n.is_empty()).map(str::to_owned);
    match (path, location) {
        (Some(path), _) => last(path),
        (None, Some(location)) => {
            // A query or fragment is no part of the name; in a `file:` URI both would be percent-encoded.
            let bare = location.split(['?', '#']).next().unwrap_or(location);
            last(bare).map(|name| crate::uri::decode(&name))
        }
        (None, None) => None,
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::Int(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(i64::try_from(value).map_or_else(|_| Number::Big(value.to_string()), Number::Int))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        Self::Record(record)
    }
}

impl From<File> for Value {
    fn from(file: File) -> Self {
        Self::File(Box::new(file))
    }
}

impl From<Directory> for Value {
    fn from(directory: Directory) -> Self {
        Self::Directory(Box::new(directory))
    }
}

impl From<Entry> for Value {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::File(file) => file.into(),
            Entry::Directory(directory) => directory.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_from_the_decoded_location() {
        let named = |location: &str| File { location: Some(location.to_owned()), ..File::default() }.name();
        assert_eq!(named("file:///a/item%20%231.txt").as_deref(), Some("item #1.txt"));
        assert_eq!(named("https://h/x/B04.tif?sig=a/b").as_deref(), Some("B04.tif"));
        assert_eq!(named("s3://bucket/dir/").as_deref(), Some("dir"));
    }

    #[test]
    fn file_locations_of_every_spelling_are_paths() {
        for spelling in ["/a b", "file:///a%20b", "file:/a%20b", "file://localhost/a%20b"] {
            assert_eq!(file_path(spelling).as_deref(), Some("/a b"), "{spelling}");
        }
        assert_eq!(file_path("s3://a/b"), None);
        assert_eq!(file_path("file://host/b"), None);
    }

    #[test]
    fn every_entry_is_visited_and_the_outermost_are_mapped() {
        let text = r#"[{"class":"File","location":"a","secondaryFiles":[{"class":"Directory","location":"b","listing":
            [{"class":"File","location":"c"}]}]},{"k":{"class":"File","location":"d"}}]"#;
        let value = crate::json::parse(text).unwrap().recognise().unwrap();
        let mut seen = String::new();
        value.for_each_entry(&mut |entry| seen.push_str(entry.location().unwrap()));
        assert_eq!(seen, "abcd");
        let mut mapped = String::new();
        let same = value.clone().map_entries(&mut |entry| -> Result<Entry, ()> {
            mapped.push_str(entry.location().unwrap());
            Ok(entry)
        });
        assert_eq!((same, mapped.as_str()), (Ok(value), "ad"));
    }

    proptest! {
        #[test]
        fn any_path_survives_its_location(path in "/\\PC{0,30}") {
            prop_assert_eq!(file_path(&crate::uri::from_path(&path)), Some(path));
        }
    }
}
