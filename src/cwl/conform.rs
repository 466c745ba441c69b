//! Whether a value is of a type (CWL v1.2, "`CWLType`"; Avro's rules for unions and promotion).

use crate::schema::Type;
use crate::value::{Number, Record, Value};

/// A value that is not of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", if pointer.is_empty() { String::new() } else { format!("`{}`: ", pointer.trim_start_matches('.')) })]
pub struct Mismatch {
    /// Where in the value, as `.bands[2].name`; empty for the value itself.
    pub pointer: String,
    /// The type, as CWL writes it.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Checks a value against a type and returns it as the type has it: record fields that the type lacks are kept, missing
/// optional ones become null. Integers stand for floats as they are, so that they stay exact.
pub fn conform(type_: &Type, value: Value) -> Result<Value, Mismatch> {
    let fits = match (type_, &value) {
        (Type::Null, Value::Null)
        | (Type::Boolean, Value::Bool(_))
        | (Type::Float | Type::Double, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::File, Value::File(_))
        | (Type::Directory, Value::Directory(_))
        // What is in these is checked below.
        | (Type::Array(_), Value::Array(_))
        | (Type::Record(_), Value::Record(_))
        | (Type::Union(_), _) => true,
        (Type::Int, Value::Number(number)) => number.to_i64().is_some_and(|value| i32::try_from(value).is_ok()),
        // CWL's long is 64 bits; larger integers are let through exactly, as the reference implementation does.
        (Type::Long, Value::Number(number)) => matches!(number, Number::Int(_) | Number::Big(_)),
        (Type::Any, value) => !value.is_null(),
        (Type::Enum(symbols), Value::String(text)) => symbols.symbols.iter().any(|symbol| symbol == text),
        _ => false,
    };
    if !fits {
        return Err(mismatch(type_, &value));
    }
    match (type_, value) {
        (Type::Array(array), Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(at, item)| conform(&array.items, item).map_err(|inner| inner.below(&format!("[{at}]"))))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        (Type::Record(record), Value::Record(mut members)) => {
            let mut result = Record::with_capacity(members.len());
            for field in &record.fields {
                let member = members.shift_remove(&field.name).unwrap_or_default();
                let member = conform(&field.type_, member).map_err(|inner| inner.below(&format!(".{}", field.name)))?;
                result.insert(field.name.clone(), member);
            }
            result.extend(members);
            Ok(Value::Record(result))
        }
        (Type::Union(alternatives), value) => {
            let mut nearest = None;
            for alternative in alternatives {
                match conform(alternative, value.clone()) {
                    Ok(value) => return Ok(value),
                    // The alternative that fits outwardly says more about the mistake than the union as a whole.
                    Err(inner) if !inner.pointer.is_empty() => nearest = nearest.or(Some(inner)),
                    Err(_) => {}
                }
            }
            Err(nearest.unwrap_or_else(|| mismatch(type_, &value)))
        }
        (_, value) => Ok(value),
    }
}

fn mismatch(type_: &Type, value: &Value) -> Mismatch {
    let text = crate::json::compact(value);
    let found = match value {
        Value::Bool(_) | Value::Number(_) | Value::String(_) if text.chars().count() <= 60 => {
            format!("{} {text}", value.type_name())
        }
        other => other.type_name().to_owned(),
    };
    Mismatch { pointer: String::new(), expected: describe(type_), found }
}

impl Mismatch {
    fn below(mut self, segment: &str) -> Self {
        self.pointer.insert_str(0, segment);
        self
    }
}

/// A type as CWL's abbreviations write it: `File[]?`, `int | string`.
pub fn describe(type_: &Type) -> String {
    match type_ {
        Type::Null => "null".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Int => "int".to_owned(),
        Type::Long => "long".to_owned(),
        Type::Float => "float".to_owned(),
        Type::Double => "double".to_owned(),
        Type::String => "string".to_owned(),
        Type::File => "File".to_owned(),
        Type::Directory => "Directory".to_owned(),
        Type::Any => "Any (anything but null)".to_owned(),
        Type::Array(array) => match &array.items {
            items @ (Type::Union(_) | Type::Enum(_)) => format!("({})[]", describe(items)),
            items => format!("{}[]", describe(items)),
        },
        Type::Record(record) => {
            let fields: Vec<_> = record.fields.iter().map(|field| field.name.as_str()).collect();
            format!("a record with {}", fields.join(", "))
        }
        Type::Enum(symbols) => format!("one of {}", symbols.symbols.join(", ")),
        Type::Union(alternatives) => match alternatives.as_slice() {
            [Type::Null, other] | [other, Type::Null]
                if !matches!(other, Type::Union(_) | Type::Enum(_) | Type::Record(_)) =>
            {
                format!("{}?", describe(other))
            }
            all => all.iter().map(describe).collect::<Vec<_>>().join(" | "),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{array, field, optional, record_type, value};

    fn check(type_: &Type, json: &str) -> Result<String, String> {
        conform(type_, value(json)).map(|value| crate::json::compact(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn integers_serve_as_floats_but_not_the_other_way() {
        assert_eq!(check(&Type::Float, "3"), Ok("3".to_owned()));
        insta::assert_snapshot!(check(&Type::Int, "3.0").unwrap_err(), @"expected int, found float 3.0");
        insta::assert_snapshot!(check(&Type::Int, "3000000000").unwrap_err(), @"expected int, found integer 3000000000");
        assert!(check(&Type::Long, "3000000000").is_ok());
    }

    #[test]
    fn any_is_anything_but_null_and_the_string_null_is_a_string() {
        assert!(check(&Type::Any, "null").is_err());
        assert!(check(&Type::Any, "\"null\"").is_ok());
        assert!(check(&array(Type::Any), "[null]").is_err());
    }

    #[test]
    fn a_mismatch_says_where_it_is() {
        let band = record_type(vec![field("name", Type::String, None), field("index", optional(Type::Int), None)]);
        let bands = record_type(vec![field("bands", array(band), None)]);
        assert_eq!(
            check(&bands, r#"{"bands": [{"name": "a"}]}"#),
            Ok(r#"{"bands":[{"name":"a","index":null}]}"#.to_owned())
        );
        let wrong = r#"{"bands": [{"name": "a"}, {"name": 3}]}"#;
        insta::assert_snapshot!(check(&bands, wrong).unwrap_err(), @"`bands[1].name`: expected string, found integer 3");
        insta::assert_snapshot!(check(&optional(bands), wrong).unwrap_err(), @"`bands[1].name`: expected string, found integer 3");
    }

    #[test]
    fn unions_and_enums_are_described_in_full() {
        let symbols =
            crate::schema::EnumType { name: None, symbols: vec!["a".to_owned(), "b".to_owned()], input_binding: None };
        let type_ = Type::Union(vec![Type::Int, Type::Enum(Box::new(symbols))]);
        insta::assert_snapshot!(check(&type_, "\"c\"").unwrap_err(), @r#"expected int | one of a, b, found string "c""#);
        assert!(check(&type_, "\"b\"").is_ok());
    }
}
