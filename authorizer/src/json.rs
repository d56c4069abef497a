//! A parser of JSON that rejects duplicate members of an object, at any depth.
//!
//! Parsers differ in which of two duplicate members they use, so a token with both could mean one thing here and
//! another to its issuer (RFC 7515, section 4, and RFC 7519, section 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The reason why a text is not such an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectError {
    NotJson,
    Duplicate,
}

/// Parses an object.
pub(crate) fn object(text: &[u8]) -> Result<Map<String, Value>, ObjectError> {
    // `Unique` accepts any other JSON, so a data error is a duplicate member.
    let unique = serde_json::from_slice::<Unique>(text);
    let unique = unique.map_err(|error| if error.is_data() { ObjectError::Duplicate } else { ObjectError::NotJson })?;
    match unique.0 {
        Value::Object(members) => Ok(members),
        _ => Err(ObjectError::NotJson),
    }
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, _>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_the_members_that_serde_json_finds() {
        let text = r#"{"a":[1,-2,0.5,18446744073709551615,true,null,"\u0041"],"b":{"a":{}}}"#;
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), serde_json::from_str::<Value>(text).unwrap());
        for text in ["", "{", "[]", "7", "null", r#"{"a":1}x"#, r#"{"a":"\ud800"}"#] {
            assert_eq!(object(text.as_bytes()), Err(ObjectError::NotJson), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(ObjectError::NotJson));
    }

    #[test]
    fn a_duplicate_member_is_found_at_any_depth() {
        for text in [
            r#"{"a":1,"b":2,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":{"a":1,"a":null}}"#,
            r#"{"b":[[{"a":1,"a":1}]]}"#,
            r#"{"":1,"":1}"#,
        ] {
            assert_eq!(object(text.as_bytes()), Err(ObjectError::Duplicate), "{text}");
        }
    }
}
