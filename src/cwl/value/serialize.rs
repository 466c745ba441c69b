//! Values in serde's data model: JSON, with File and Directory objects recognised when read. An integer beyond 64 bits is
//! `{"$big": "<digits>"}`, because few formats carry it otherwise.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Directory, Entry, File, Number, Record, Value};

const BIG: &str = "$big";

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Big(digits) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BIG, digits)?;
                map.end()
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Record(record) => serializer.collect_map(record),
            Self::File(_) | Self::Directory(_) => self.to_plain().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)?.recognise().map_err(D::Error::custom)
    }
}

macro_rules! through_value {
    ($type:ident, $expected:literal, $pattern:pat => $result:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Value::from(self.clone()).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match Value::deserialize(deserializer)? {
                    $pattern => $result,
                    other => Err(D::Error::custom(format!("expected {}, found {}", $expected, other.type_name()))),
                }
            }
        }
    };
}

through_value!(File, "a File object", Value::File(file) => Ok(*file));
through_value!(Directory, "a Directory object", Value::Directory(directory) => Ok(*directory));

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer)?.into_entry().map_err(|other| {
            D::Error::custom(format!("expected a File or Directory object, found {}", other.type_name()))
        })
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(number),
            other => Err(D::Error::custom(format!("expected a number, found {}", other.type_name()))),
        }
    }
}

/// Reads any value; members of objects are [`Raw`], so that a tree is searched for File objects once, at its top.
struct AnyValue;

/// A value whose File and Directory objects are still plain.
struct Raw(Value);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CWL value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::float(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Raw(item)) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut record = Record::new();
        while let Some((name, Raw(member))) = map.next_entry::<String, Raw>()? {
            record.insert(name, member);
        }
        match record.get(BIG) {
            Some(Value::String(digits)) if record.len() == 1 && is_integer(digits) => {
                Ok(Number::integer(digits).into())
            }
            _ => Ok(Value::Record(record)),
        }
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_journal() {
        let text = r#"{"f":{"class":"File","location":"file:///a","basename":"a","size":3,"secondaryFiles":[{"class":"Directory","location":"file:///b","listing":[]}],"my:own":{"class":"File","contents":""}},"n":[1,1.0,null,{"$big":"-100000000000000000000"}]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(matches!(value.as_record().unwrap()["f"], Value::File(_)));
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }

    #[test]
    fn stale_derived_members_are_dropped_and_wrong_ones_refused() {
        let file: File = serde_json::from_str(r#"{"class":"File","path":"/a/b.c","nameroot":"zzz"}"#).unwrap();
        assert_eq!(file.extra.len(), 0);
        let error = serde_json::from_str::<Value>(r#"[{"class":"File","location":1}]"#).unwrap_err();
        insta::assert_snapshot!(error, @"`location` of a File must be a string, not integer");
    }
}
