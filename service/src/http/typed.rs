//! Typed bodies: JSON as a value of a type that a function declares.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use super::Problem;

/// Reads a body as a value of a type.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let text = error.into_inner().to_string();
        // The position counts from the start of the text that the gateway passed on, which says less than the pointer.
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        let problem = Problem::invalid_body(format!("The body is invalid at `{pointer}`: {reason}."));
        problem.with_member("errors", json!([{ "pointer": pointer, "detail": reason }]))
    })
}

/// Returns a path as a JSON Pointer in a URI fragment (RFC 6901, section 6), as the example of RFC 9457 has it.
fn pointer(path: &Path) -> String {
    let token = |segment: &Segment| match segment {
        Segment::Seq { index } => index.to_string(),
        // No name of a member that a type knows needs percent-encoding.
        Segment::Map { key } | Segment::Enum { variant: key } => key.replace('~', "~0").replace('/', "~1"),
        Segment::Unknown => "?".to_owned(),
    };
    path.iter().fold("#".to_owned(), |pointer, segment| pointer + "/" + &token(segment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{List, Text, Whole};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors of its fields matter")]
    struct Draft {
        customer: Text<1, 5>,
        lines: List<Line, 1, 2>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors of its fields matter")]
    struct Line {
        quantity: Whole<1, 10>,
    }

    #[test]
    fn an_error_names_its_place() {
        for (body, pointer, reason) in [
            (r#"{"customer":"","lines":[{"quantity":1}]}"#, "#/customer", "expected 1 to 5 characters"),
            (r#"{"customer":"sixsix","lines":[{"quantity":1}]}"#, "#/customer", "expected 1 to 5 characters"),
            (
                r#"{"customer":7,"lines":[{"quantity":1}]}"#,
                "#/customer",
                "invalid type: integer `7`, expected a string",
            ),
            (r#"{"customer":"a","lines":[]}"#, "#/lines", "expected 1 to 2 elements"),
            (
                r#"{"customer":"a","lines":[{"quantity":1},{"quantity":11}]}"#,
                "#/lines/1/quantity",
                "expected a whole number from 1 to 10",
            ),
            (r#"{"customer":"a","lines":[{}]}"#, "#/lines/0", "missing field `quantity`"),
            (r#"{"customer":"a","x/y":1}"#, "#/x~1y", "unknown field `x/y`, expected `customer` or `lines`"),
        ] {
            let raw: &RawValue = serde_json::from_str(body).unwrap();
            let problem = parse::<Draft>(raw).unwrap_err();
            let document: serde_json::Value = serde_json::from_str(&problem.document("")).unwrap();
            assert_eq!(document["errors"], json!([{ "pointer": pointer, "detail": reason }]), "{body}");
            assert_eq!(document["detail"], format!("The body is invalid at `{pointer}`: {reason}."));
        }
    }
}
