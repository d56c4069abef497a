//! Tests of canonical text and of merge patches, by the RFC's table and by properties.

use std::time::{Duration, Instant};

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
fn canonical_text_stays_as_it_is() {
    for text in [
        r"{}",
        r#"{"n":[0,-0,1.0,1.10,1E400,123456789012345678901234567890,0.1e-7]}"#,
        r#"{"s":"é😀/ \" \\ \b\f\n\r\t\u0000\u001f\ufffd","":"","null":null,"t":true}"#,
        r#"{"b":1,"a":{"$serde_json::private::RawValue":"1"},"$serde_json::private::Number":"1"}"#,
    ] {
        let data = data(text).unwrap();
        assert_eq!(data.as_str(), text);
        assert_eq!(serde_json::to_string(&data).unwrap(), text);
    }
}

#[test]
fn white_space_is_removed() {
    assert_eq!(data(" {\n \"a b\" : [ 1 ,\t2 ] }\r\n").unwrap().as_str(), r#"{"a b":[1,2]}"#);
}

#[test]
fn each_text_has_one_spelling() {
    for (text, canonical) in [
        (r#"{"a":"\u00e9\u00E9\ud83d\ude00\uD83D\uDE00\/\u0041"}"#, r#"{"a":"éé😀😀/A"}"#),
        (r#"{"a":"\u0022\u005c\u002f\u0008\u000C\u000a\u000d\u0009"}"#, r#"{"a":"\"\\/\b\f\n\r\t"}"#),
        (r#"{"a":"\u001F\u007f\u0080\u2028\uFFFE"}"#, "{\"a\":\"\\u001f\u{7f}\u{80}\u{2028}\u{fffe}\"}"),
        ("{\"a\":\"x\u{fffd}\\uFFFDy\u{fffd}\",\"\u{fffd}\":1}", r#"{"a":"x\ufffd\ufffdy\ufffd","\ufffd":1}"#),
        (r#"{"\u0061":{"\ud83d\ude00":[]}}"#, r#"{"a":{"😀":[]}}"#),
    ] {
        assert_eq!(data(text).unwrap().as_str(), canonical, "{text}");
    }
}

#[test]
fn the_size_does_not_depend_on_the_spelling() {
    let text = "漢".repeat((MAX_BYTES - 8) / 3);
    let escaped = text.replace('漢', "\\u6f22");
    assert!(escaped.len() > MAX_BYTES);
    assert_eq!(data(&format!(r#"{{"a":"{escaped}"}}"#)), data(&format!(r#"{{"a":"{text}"}}"#)));
    assert!(data(&format!(r#"{{"a":"{escaped}"}}"#)).is_ok());
    let more = format!(r#"{{"a":"{escaped}\u6f22"}}"#);
    assert!(matches!(data(&more), Err(DataError::TooLarge(bytes)) if bytes < MAX_BYTES + 4));
}

#[test]
fn stored_text_of_an_earlier_version_is_read() {
    let stored = r#"{"a":"\u00e9\/","\u0062":{"c":1.0}}"#;
    let read = Data::from_stored(stored.to_owned()).unwrap();
    assert_eq!(read.as_str(), stored);
    let patch: Box<RawValue> = serde_json::from_str(r#"{"b":{"c":null,"d":2}}"#).unwrap();
    assert_eq!(read.merge(&patch).unwrap().as_str(), r#"{"a":"é/","b":{"d":2}}"#);
    let replaced = Data::from_stored("{\"a\":\"\u{fffd}\"}".to_owned()).unwrap();
    assert_eq!(replaced.as_str(), r#"{"a":"\ufffd"}"#);
}

#[test]
fn stored_text_that_is_not_an_object_is_corrupt() {
    for text in
        ["", "{", "{}}", "[]", "null", "\"{}\"", r#"{"a":1,}"#, r#"{"a":01}"#, r#"{"a":"\x"}"#, "{\"a\":\"\n\"}"]
    {
        assert_eq!(Data::from_stored(text.to_owned()), None, "{text}");
    }
}

/// Returns the shortest of several runs, which other work on the computer disturbs least.
fn duration(work: impl Fn()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..5).map(time).min().unwrap_or_default()
}

#[test]
fn a_text_is_read_once_however_deep_it_is() {
    let text = |levels: usize| {
        let value = format!(r#""{}""#, "x".repeat(MAX_BYTES - 300));
        let text = format!(r"{}{value}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        serde_json::from_str::<Box<RawValue>>(&text).unwrap()
    };
    let (flat, deep) = (text(1), text(MAX_DEPTH));
    let read = |raw: &RawValue| Data::new(raw).unwrap();
    let merged = |raw: &RawValue| read(raw).merge(raw).unwrap();
    for (flat, deep) in [
        (duration(|| drop(read(&flat))), duration(|| drop(read(&deep)))),
        (duration(|| drop(merged(&flat))), duration(|| drop(merged(&deep)))),
    ] {
        // If the text were read once for each level, the ratio would be 30.
        assert!(deep < 6 * flat, "{deep:?} is much longer than {flat:?}");
    }
}

#[test]
fn a_value_that_is_not_an_object_is_rejected() {
    for text in ["[]", "1", "\"\"", "null", "true"] {
        assert_eq!(data(text), Err(DataError::NotAnObject), "{text}");
    }
}

#[test]
fn the_depth_is_limited() {
    let nested = |levels: usize| format!("{}0{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(data(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(data(&nested(MAX_DEPTH + 1)), Err(DataError::TooDeep("/a".repeat(MAX_DEPTH))));
    assert!(matches!(data(&nested(100_000)), Err(DataError::TooDeep(_))));
    let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(data(&arrays), Err(DataError::TooDeep(_))));
}

#[test]
fn the_size_is_limited() {
    let sized = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    assert!(data(&sized(MAX_BYTES)).is_ok());
    assert_eq!(data(&sized(MAX_BYTES + 1)), Err(DataError::TooLarge(MAX_BYTES + 1)));
}

#[test]
fn ambiguous_text_is_rejected() {
    assert_eq!(data(r#"{"a":{"b/c":1,"b\/c":2}}"#), Err(DataError::DuplicateMember("/a/b~1c".into())));
    assert_eq!(data(r#"{"a":["\ud800"]}"#), Err(DataError::UnpairedSurrogate("/a/0".into())));
    assert_eq!(data(r#"{"a":{"\udc00":1}}"#), Err(DataError::UnpairedSurrogate("/a".into())));
}

/// The rows of RFC 7396, appendix A, whose target and patch are objects, as a record's data and its patch are.
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
fn a_merge_keeps_the_digits_of_numbers_that_it_does_not_change() {
    assert_eq!(
        merge(r#"{"a":1.10,"b":{"c":1E400,"d":0}}"#, r#"{"b":{"d":-0}}"#),
        r#"{"a":1.10,"b":{"c":1E400,"d":-0}}"#
    );
}

#[test]
fn the_limits_apply_to_a_merge() {
    let full = data(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES - 8))).unwrap();
    let more: Box<RawValue> = serde_json::from_str(r#"{"b":1}"#).unwrap();
    assert_eq!(full.merge(&more), Err(DataError::TooLarge(MAX_BYTES + 6)));
    let deep = format!("{}0{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let deep: Box<RawValue> = serde_json::from_str(&deep).unwrap();
    assert!(matches!(data("{}").unwrap().merge(&deep), Err(DataError::TooDeep(_))));
}

/// The algorithm of RFC 7396, section 2, on parsed values.
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

/// Returns a character in any of its spellings in JSON.
fn any_spelling() -> impl Strategy<Value = String> {
    let character =
        prop_oneof![any::<char>(), prop::sample::select("\"\\/\n\u{0}\u{7f}a\u{fffd}😀".chars().collect::<Vec<_>>())];
    (character, 0..4_u8).prop_map(|(character, spelling)| {
        let units = |upper| -> String {
            let escape = |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            character.encode_utf16(&mut [0; 2]).iter().map(escape).collect()
        };
        match (spelling, character) {
            (0, '"' | '\\' | '/') => format!("\\{character}"),
            (0, '\n') => "\\n".to_owned(),
            (0 | 1, '\0'..' ' | '"' | '\\') | (2, _) => units(false),
            (3, _) => units(true),
            _ => character.to_string(),
        }
    })
}

fn any_string() -> impl Strategy<Value = String> {
    prop::collection::vec(any_spelling(), 0..6).prop_map(|characters| format!("\"{}\"", characters.concat()))
}

/// Returns the JSON text of an object in any spelling, with white space.
fn any_text() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?";
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number, any_string()];
    let space = || "[ \t\r\n]{0,2}";
    let object = move |value: BoxedStrategy<String>| {
        let member = (any_string(), space(), space(), value).prop_map(|(name, before, after, value)| {
            (serde_json::from_str::<String>(&name).unwrap(), format!("{name}{before}:{after}{value}"))
        });
        let members = prop::collection::vec(member, 0..4).prop_map(|members| {
            let members: std::collections::BTreeMap<_, _> = members.into_iter().collect();
            members.into_values().collect::<Vec<_>>().join(" , ")
        });
        (space(), members, space()).prop_map(|(before, members, after)| format!("{{{before}{members}{after}}}"))
    };
    let value = leaf.prop_recursive(3, 24, 4, move |inner| {
        let array =
            prop::collection::vec(inner.clone(), 0..3).prop_map(|elements| format!("[ {}]", elements.join(",\n")));
        prop_oneof![object(inner.boxed()), array]
    });
    object(value.boxed())
}

/// Returns the numbers in a text, in their order, digit by digit.
fn numbers(text: &str) -> Vec<String> {
    let mut strings = false;
    let mut rest = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '"' => strings = !strings,
            _ if strings => {}
            '-' | '+' | '.' | 'e' | 'E' | '0'..='9' => rest.push(character),
            _ => rest.push(' '),
        }
    }
    // A lone `e` is the last letter of `true`.
    rest.split_whitespace().filter(|number| *number != "e").map(ToOwned::to_owned).collect()
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
    /// Accepted text can be read from the table and written into a response with the same value, number by number.
    #[test]
    fn accepted_text_can_be_stored_and_written(text in any_text()) {
        let accepted = data(&text).unwrap();
        let read = Data::from_stored(accepted.as_str().to_owned()).unwrap();
        let written = serde_json::to_string(&read).unwrap();
        prop_assert_eq!(&written, accepted.as_str());
        prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        prop_assert_eq!(numbers(&written), numbers(&text));
        // The text is canonical, and a request may contain it unchanged.
        let again = data(&written).unwrap();
        prop_assert_eq!(again.as_str(), &written);
        prop_assert!(!written.contains(char::REPLACEMENT_CHARACTER));
    }

    #[test]
    fn a_merge_of_any_texts_can_be_written(target in any_text(), patch in any_text()) {
        let merged = merge(&target, &patch);
        let again = data(&merged).unwrap();
        prop_assert_eq!(again.as_str(), &merged);
        let expected = merge_by_the_rfc(serde_json::from_str(&target).unwrap(), &serde_json::from_str(&patch).unwrap());
        prop_assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), expected);
    }

    #[test]
    fn any_object_keeps_its_value(value in any_object()) {
        let data = data(&value.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(data.as_str()).unwrap(), value);
    }

    #[test]
    fn a_merge_is_the_merge_of_the_rfc(target in any_object(), patch in any_object()) {
        let merged = merge(&target.to_string(), &patch.to_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), merge_by_the_rfc(target, &patch));
    }

    #[test]
    fn an_empty_patch_changes_nothing(target in any_object()) {
        let target = target.to_string();
        let data = data(&target).unwrap();
        prop_assert_eq!(merge(&target, &json!({}).to_string()), data.as_str());
    }
}
