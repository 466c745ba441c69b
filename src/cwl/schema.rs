//! Types and the parameters that carry them (CWL v1.2, "CWLType", "InputArraySchema" and the like).

use std::fmt;

use crate::expression::{Computed, Template};
use crate::value::Value;

/// A CWL type, all references resolved: `SchemaDefRequirement` and the built-in eoap schemas are folded in at load.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `int`: 32 bits
    Int,
    /// `long`: 64 bits
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `string`
    String,
    /// `File`
    File,
    /// `Directory`
    Directory,
    /// `Any`: anything but null
    Any,
    /// `T[]`
    Array(Box<ArrayType>),
    /// `record`
    Record(Box<RecordType>),
    /// `enum`
    Enum(Box<EnumType>),
    /// One of several; `T?` is `null | T`.
    Union(Vec<Type>),
}

/// `{type: array, items: …}`
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayType {
    /// Type of the elements.
    pub items: Type,
    /// The schema's own `inputBinding`, applied to each element (nested array binding).
    pub input_binding: Option<CommandLineBinding>,
}

/// `{type: record, fields: …}`
#[derive(Debug, Clone, PartialEq)]
pub struct RecordType {
    /// The full IRI if it has a name.
    pub name: Option<String>,
    /// The fields in written order.
    pub fields: Vec<RecordField>,
    /// The schema's own `inputBinding`.
    pub input_binding: Option<CommandLineBinding>,
}

/// `{type: enum, symbols: …}`
#[derive(Debug, Clone, PartialEq)]
pub struct EnumType {
    /// The full IRI if it has a name.
    pub name: Option<String>,
    /// The symbols, without their IRI prefix.
    pub symbols: Vec<String>,
    /// The schema's own `inputBinding`.
    pub input_binding: Option<CommandLineBinding>,
}

/// A field of a record, as an input or as an output.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordField {
    /// Short name.
    pub name: String,
    /// Type.
    pub type_: Type,
    /// `label`
    pub label: Option<String>,
    /// `doc`, paragraphs joined by line ends.
    pub doc: Option<String>,
    /// How Files of the field are treated.
    pub file: FileTreatment,
    /// `inputBinding`
    pub input_binding: Option<CommandLineBinding>,
    /// `outputBinding`
    pub output_binding: Option<OutputBinding>,
}

/// What a parameter or record field says about its Files and Directories.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileTreatment {
    /// `secondaryFiles`
    pub secondary_files: Vec<SecondaryFile>,
    /// `streamable`
    pub streamable: bool,
    /// `format`: IRIs (inputs: any of them) or an expression.
    pub format: Vec<Template>,
    /// `loadContents`
    pub load_contents: bool,
    /// `loadListing`, if stated.
    pub load_listing: Option<LoadListing>,
}

/// `loadListing`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadListing {
    /// `no_listing`
    No,
    /// `shallow_listing`
    Shallow,
    /// `deep_listing`
    Deep,
}

/// One `secondaryFiles` pattern, its `?` resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondaryFile {
    /// A suffix with leading `^`, or an expression.
    pub pattern: Template,
    /// Whether its absence is an error; `None` takes the default (inputs true, outputs false).
    pub required: Option<Computed<bool>>,
}

/// An input of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct InputParameter {
    /// Short id.
    pub id: String,
    /// Type.
    pub type_: Type,
    /// The type as written in the document (`string[]`, `Directory?`), for process descriptions.
    pub type_source: String,
    /// `label`
    pub label: Option<String>,
    /// `doc`
    pub doc: Option<String>,
    /// `default`; `Some(Null)` is a stated null. Relative File locations are already resolved against the document.
    pub default: Option<Value>,
    /// How Files are treated.
    pub file: FileTreatment,
    /// `inputBinding`
    pub input_binding: Option<CommandLineBinding>,
}

/// An output of a CommandLineTool or ExpressionTool. Outputs of a Workflow are [`crate::document::WorkflowOutput`].
#[derive(Debug, Clone, PartialEq)]
pub struct OutputParameter {
    /// Short id.
    pub id: String,
    /// Type; the shortcuts `stdout` and `stderr` are already `File` with a binding.
    pub type_: Type,
    /// The type as written in the document.
    pub type_source: String,
    /// `label`
    pub label: Option<String>,
    /// `doc`
    pub doc: Option<String>,
    /// How Files are treated.
    pub file: FileTreatment,
    /// `outputBinding`
    pub output_binding: Option<OutputBinding>,
}

/// `inputBinding`, and the entries of `arguments`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommandLineBinding {
    /// `position`, default 0.
    pub position: Option<Computed<i64>>,
    /// `prefix`
    pub prefix: Option<String>,
    /// `separate`, default true.
    pub separate: Option<bool>,
    /// `itemSeparator`
    pub item_separator: Option<String>,
    /// `valueFrom`
    pub value_from: Option<Template>,
    /// `shellQuote`, default true.
    pub shell_quote: Option<bool>,
    /// `loadContents` (CWL v1.0 spelling; later versions have it on the parameter).
    pub load_contents: bool,
}

/// `outputBinding`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutputBinding {
    /// `glob`: one or more patterns or expressions.
    pub glob: Vec<Template>,
    /// `loadContents`
    pub load_contents: bool,
    /// `loadListing`, if stated.
    pub load_listing: Option<LoadListing>,
    /// `outputEval`
    pub output_eval: Option<Template>,
}

/// As the type DSL writes it, where it can: `string[]?`. Records and enums show their short names.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short =
            |name: &Option<String>| name.as_deref().and_then(|name| name.rsplit(['#', '/']).next()).map(str::to_owned);
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean => f.write_str("boolean"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::File => f.write_str("File"),
            Self::Directory => f.write_str("Directory"),
            Self::Any => f.write_str("Any"),
            Self::Array(array) => match &array.items {
                items @ Self::Union(_) => write!(f, "({items})[]"),
                items => write!(f, "{items}[]"),
            },
            Self::Record(record) => f.write_str(short(&record.name).as_deref().unwrap_or("record")),
            Self::Enum(symbols) => match short(&symbols.name) {
                Some(name) => f.write_str(&name),
                None => write!(f, "enum({})", symbols.symbols.join(", ")),
            },
            Self::Union(members) => match members.as_slice() {
                [Self::Null, other] | [other, Self::Null] => write!(f, "{other}?"),
                members => {
                    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
                    f.write_str(&members.join(" | "))
                }
            },
        }
    }
}
