//! CWL values: the input and output objects of processes (CWL v1.2 Command Line Tool Description, §5.1.1 and "File").

use indexmap::IndexMap;

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

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let _ = serializer;
        Err(serde::ser::Error::custom("not written yet"))
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _ = deserializer;
        Err(serde::de::Error::custom("not written yet"))
    }
}
