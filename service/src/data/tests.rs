//! Exactness and merge patch, by the RFC's table and by properties.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn data(text: &str) -> Result<Data, DataError> {
    Data::new(serde_json::from_str(text).unwrap())
}

fn merge(target: &str, patch: &str) -> String {
    data(target).unwrap().merge(serde_json::from_str(patch).unwrap()).unwrap().as_str().to_owned()
}

#[test]
fn what_was_written_is_what_is_read() {
    for text in [
        r"{}",
        r#"{"n":[0,-0,1.0,1.10,1E400,123456789012345678901234567890,0.1e-7]}"#,
        r#"{"s":"\u00e9é\ud83d\ude00😀\/\u0000","":"","null":null,"t":true}"#,
        r#"{"b":1,"a":{"$serde_json::private::RawValue":"1"},"$serde_json::private::Number":"1"}"#,
    ] {
        let kept = data(text).unwrap();
        assert_eq!(kept.as_str(), text);
        assert_eq!(serde_json::to_string(&kept).unwrap(), text);
    }
}

#[test]
fn white_space_is_not_kept() {
    assert_eq!(data(" {\n \"a b\" : [ 1 ,\t2 ] }\r\n").unwrap().as_str(), r#"{"a b":[1,2]}"#);
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["[]", "1", "\"\"", "null", "true"] {
        assert_eq!(data(text), Err(DataError::NotAnObject), "{text}");
    }
}

#[test]
fn depth_ends_at_the_limit() {
    let nested = |levels: usize| format!("{}0{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(data(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(data(&nested(MAX_DEPTH + 1)), Err(DataError::TooDeep("/a".repeat(MAX_DEPTH))));
    assert!(matches!(data(&nested(100_000)), Err(DataError::TooDeep(_))));
    let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(data(&arrays), Err(DataError::TooDeep(_))));
}

#[test]
fn size_ends_at_the_limit() {
    let sized = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    assert!(data(&sized(MAX_BYTES)).is_ok());
    assert_eq!(data(&sized(MAX_BYTES + 1)), Err(DataError::TooLarge(MAX_BYTES + 1)));
}

#[test]
fn ambiguous_text_is_refused() {
    assert_eq!(data(r#"{"a":{"b/c":1,"b\/c":2}}"#), Err(DataError::DuplicateMember("/a/b~1c".into())));
    assert_eq!(data(r#"{"a":["\ud800"]}"#), Err(DataError::UnpairedSurrogate("/a/0".into())));
    assert_eq!(data(r#"{"a":{"\udc00":1}}"#), Err(DataError::UnpairedSurrogate("/a".into())));
}

/// RFC 7396, appendix A: the rows whose target and patch are objects, as a record's data and its patch are.
#[test]
fn the_table_of_rfc_7396() {
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        (r#"{"a":"foo"}"#, r#"{"a":{"b":{"c":null}}}"#, r#"{"a":{"b":{}}}"#),
        (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(merge(target, patch), result, "{target} + {patch}");
    }
}

#[test]
fn a_merge_keeps_the_digits_of_what_it_does_not_touch() {
    assert_eq!(
        merge(r#"{"a":1.10,"b":{"c":1E400,"d":0}}"#, r#"{"b":{"d":-0}}"#),
        r#"{"a":1.10,"b":{"c":1E400,"d":-0}}"#
    );
}

#[test]
fn a_merge_is_held_to_the_limits() {
    let full = data(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES - 8))).unwrap();
    let more: Box<RawValue> = serde_json::from_str(r#"{"b":1}"#).unwrap();
    assert_eq!(full.merge(&more), Err(DataError::TooLarge(MAX_BYTES + 6)));
    let deep = format!("{}0{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let deep: Box<RawValue> = serde_json::from_str(&deep).unwrap();
    assert!(matches!(data("{}").unwrap().merge(&deep), Err(DataError::TooDeep(_))));
}

/// RFC 7396, section 2, word for word, on parsed values.
fn merge_by_the_rfc(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = if let Value::Object(members) = target { members } else { serde_json::Map::new() };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let merged = merge_by_the_rfc(target.remove(name).unwrap_or(Value::Null), value);
            target.insert(name.clone(), merged);
        }
    }
    Value::Object(target)
}

fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    let object = |value: BoxedStrategy<Value>| {
        prop::collection::btree_map(prop_oneof!["[a-c]", ".{0,3}"], value, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    };
    let value = leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![object(inner.clone().boxed()), prop::collection::vec(inner, 0..3).prop_map(Value::from)]
    });
    object(value.boxed())
}

proptest! {
    #[test]
    fn any_object_comes_back(value in any_object()) {
        let kept = data(&value.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(kept.as_str()).unwrap(), value);
    }

    #[test]
    fn a_merge_is_the_merge_of_the_rfc(target in any_object(), patch in any_object()) {
        let merged = merge(&target.to_string(), &patch.to_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), merge_by_the_rfc(target, &patch));
    }

    #[test]
    fn an_empty_patch_changes_nothing(target in any_object()) {
        prop_assert_eq!(merge(&target.to_string(), &json!({}).to_string()), target.to_string());
    }
}
