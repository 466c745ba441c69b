//! Files and Directories as plain objects with `class`: how documents, expressions and JSON spell them.

use super::{Directory, Entry, File, Record, Value};

/// A File or Directory object that contradicts the specification (CWL v1.2, "File" and "Directory").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A member has another type than CWL gives it.
    #[error("`{member}` of a {class} must be {expected}, not {found}")]
    Member {
        /// `File` or `Directory`.
        class: &'static str,
        /// The member.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}

impl Value {
    /// Turns every object whose `class` is `File` or `Directory`, at any depth, into the typed value.
    pub fn recognise(self) -> Result<Self, ObjectError> {
        Ok(match self {
            Self::Record(record) => match record.get("class").and_then(Value::as_str) {
                Some("File") => File::from_object(record)?.into(),
                Some("Directory") => Directory::from_object(record)?.into(),
                _ => Self::Record(
                    record
                        .into_iter()
                        .map(|(name, member)| Ok((name, member.recognise()?)))
                        .collect::<Result<_, _>>()?,
                ),
            },
            Self::Array(items) => Self::Array(items.into_iter().map(Value::recognise).collect::<Result<_, _>>()?),
            other => other,
        })
    }

    /// The value with every File and Directory as a plain object, as it stands in JSON.
    #[must_use]
    pub fn to_plain(&self) -> Self {
        self.plain(false)
    }

    /// The value as expressions see it: Files and Directories are plain objects that also hold the derived members
    /// `nameroot`, `nameext` and `dirname` (CWL v1.2, "File").
    #[must_use]
    pub fn for_expressions(&self) -> Self {
        self.plain(true)
    }

    fn plain(&self, derived: bool) -> Self {
        match self {
            Self::Array(items) => Self::Array(items.iter().map(|item| item.plain(derived)).collect()),
            Self::Record(record) => {
                Self::Record(record.iter().map(|(name, member)| (name.clone(), member.plain(derived))).collect())
            }
            Self::File(file) => Self::Record(file.object(derived)),
            Self::Directory(directory) => Self::Record(directory.object(derived)),
            other => other.clone(),
        }
    }
}

/// Splits a file's name at its last dot, which is no leading one: `a.tar.gz` is `a.tar` and `.gz`, `.profile` has no
/// extension (CWL v1.2, "nameroot").
pub fn split_name(name: &str) -> (&str, &str) {
    let start = name.len() - name.trim_start_matches('.').len();
    match name[start..].rfind('.') {
        Some(dot) => name.split_at(start + dot),
        None => (name, ""),
    }
}

/// The directory part of a path; `.` where there is none.
pub fn parent_path(path: &str) -> &str {
    match path.trim_end_matches('/').rfind('/') {
        Some(0) => "/",
        Some(slash) => &path[..slash],
        None => ".",
    }
}

impl File {
    fn object(&self, derived: bool) -> Record {
        let mut object = Record::new();
        object.insert("class".to_owned(), "File".into());
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        let text = |field: &Option<String>| field.clone().map(Value::String);
        put("location", text(&self.location));
        put("path", text(&self.path));
        if derived {
            let name = self.name();
            put("basename", name.clone().map(Value::String));
            if let Some(name) = &name {
                let (root, extension) = split_name(name);
                put("nameroot", Some(root.into()));
                put("nameext", Some(extension.into()));
            }
            put("dirname", self.path.as_deref().map(|path| parent_path(path).into()));
        } else {
            put("basename", text(&self.basename));
        }
        put("size", self.size.map(Value::from));
        put("checksum", text(&self.checksum));
        put("format", text(&self.format));
        put("contents", text(&self.contents));
        if !self.secondary_files.is_empty() {
            put("secondaryFiles", Some(entries(&self.secondary_files, derived)));
        }
        for (name, value) in &self.extra {
            put(name, Some(value.plain(derived)));
        }
        object
    }

    fn from_object(object: Record) -> Result<Self, ObjectError> {
        let mut file = Self::default();
        for (name, value) in object {
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                // Derived members are computed; what a job file says of them may be stale.
                "class" | "nameroot" | "nameext" | "dirname" => {}
                "location" => file.location = Some(text("File", "location", value)?),
                "path" => file.path = Some(text("File", "path", value)?),
                "basename" => file.basename = Some(text("File", "basename", value)?),
                "contents" => file.contents = Some(text("File", "contents", value)?),
                "checksum" => file.checksum = Some(text("File", "checksum", value)?),
                "format" => file.format = Some(text("File", "format", value)?),
                "size" => file.size = Some(size(&value)?),
                "secondaryFiles" => file.secondary_files = entries_of("File", "secondaryFiles", value)?,
                _ => {
                    file.extra.insert(name, value.recognise()?);
                }
            }
        }
        Ok(file)
    }
}

impl Directory {
    fn object(&self, derived: bool) -> Record {
        let mut object = Record::new();
        object.insert("class".to_owned(), "Directory".into());
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("location", self.location.clone().map(Value::String));
        put("path", self.path.clone().map(Value::String));
        put("basename", if derived { self.name() } else { self.basename.clone() }.map(Value::String));
        put("listing", self.listing.as_deref().map(|listing| entries(listing, derived)));
        for (name, value) in &self.extra {
            put(name, Some(value.plain(derived)));
        }
        object
    }

    fn from_object(object: Record) -> Result<Self, ObjectError> {
        let mut directory = Self::default();
        for (name, value) in object {
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                "class" => {}
                "location" => directory.location = Some(text("Directory", "location", value)?),
                "path" => directory.path = Some(text("Directory", "path", value)?),
                "basename" => directory.basename = Some(text("Directory", "basename", value)?),
                "listing" => directory.listing = Some(entries_of("Directory", "listing", value)?),
                _ => {
                    directory.extra.insert(name, value.recognise()?);
                }
            }
        }
        Ok(directory)
    }
}

fn entries(list: &[Entry], derived: bool) -> Value {
    let object = |entry: &Entry| match entry {
        Entry::File(file) => file.object(derived).into(),
        Entry::Directory(directory) => directory.object(derived).into(),
    };
    Value::Array(list.iter().map(object).collect())
}

fn text(class: &'static str, member: &'static str, value: Value) -> Result<String, ObjectError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(ObjectError::Member { class, member, expected: "a string", found: other.type_name() }),
    }
}

fn size(value: &Value) -> Result<u64, ObjectError> {
    value.as_i64().and_then(|size| u64::try_from(size).ok()).ok_or(ObjectError::Member {
        class: "File",
        member: "size",
        expected: "a number of bytes",
        found: value.type_name(),
    })
}

fn entries_of(class: &'static str, member: &'static str, value: Value) -> Result<Vec<Entry>, ObjectError> {
    let wrong =
        |found| ObjectError::Member { class, member, expected: "an array of File and Directory objects", found };
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| item.recognise()?.into_entry().map_err(|other| wrong(other.type_name())))
            .collect(),
        other => Err(wrong(other.type_name())),
    }
}
