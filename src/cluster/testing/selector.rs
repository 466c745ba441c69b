//! Label and field selectors.

use serde_json::Value;

/// Both selectors of a request; empty ones select everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Selectors {
    labels: Vec<(String, Wanted)>,
    fields: Vec<(String, Wanted)>,
}

#[derive(Debug, Clone)]
enum Wanted {
    Present,
    Absent,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
}

impl Wanted {
    fn fits(&self, value: Option<&str>) -> bool {
        let among = |values: &[String]| value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
        match self {
            Self::Present => value.is_some(),
            Self::Absent => value.is_none(),
            Self::OneOf(values) => among(values),
            Self::NoneOf(values) => !among(values),
        }
    }
}

impl Selectors {
    /// `None` if one cannot be read.
    pub fn parse(labels: Option<&str>, fields: Option<&str>) -> Option<Self> {
        Some(Self {
            labels: requirements(labels.unwrap_or_default())?,
            fields: requirements(fields.unwrap_or_default())?,
        })
    }

    /// Whether an object is selected.
    pub fn select(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        let field = |path: &str| path.split('.').fold(object, |value, name| &value[name]).as_str().unwrap_or_default();
        self.labels.iter().all(|(key, wanted)| wanted.fits(label(key)))
            && self.fields.iter().all(|(path, wanted)| wanted.fits(Some(field(path))))
    }
}

fn requirements(text: &str) -> Option<Vec<(String, Wanted)>> {
    split(text).into_iter().map(|requirement| parse(requirement.trim())).collect()
}

/// At commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

fn parse(requirement: &str) -> Option<(String, Wanted)> {
    let one = |value: &str| vec![value.trim().to_owned()];
    let set = |values: &str| {
        let inner = values.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>())
    };
    let (key, wanted) = if let Some((key, values)) = requirement.split_once(" notin ") {
        (key, Wanted::NoneOf(set(values)?))
    } else if let Some((key, values)) = requirement.split_once(" in ") {
        (key, Wanted::OneOf(set(values)?))
    } else if let Some((key, value)) = requirement.split_once("!=") {
        (key, Wanted::NoneOf(one(value)))
    } else if let Some((key, value)) = requirement.split_once('=') {
        (key, Wanted::OneOf(one(value.trim_start_matches('='))))
    } else if let Some(key) = requirement.strip_prefix('!') {
        (key, Wanted::Absent)
    } else {
        (requirement, Wanted::Present)
    };
    Some((key.trim().to_owned(), wanted))
}
