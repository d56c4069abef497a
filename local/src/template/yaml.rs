//! The conversion of YAML with CloudFormation's short tags into JSON in the long form: `!Ref X` becomes `{"Ref": "X"}`.

use saphyr::{LoadableYamlNode, Scalar, ScanError, Tag, Yaml};
use serde_json::{Map, Value, json};

/// The reason why a text cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text is not valid YAML.
    #[error(transparent)]
    Syntax(#[from] ScanError),
    /// The text has no document, or several.
    #[error("the file must have exactly one document, but has {0}")]
    Documents(usize),
    /// A mapping key is not a plain scalar.
    #[error("a mapping key is not plain text")]
    Key,
    /// A value has no equivalent in JSON: an infinite number, or text that contradicts its own tag.
    #[error("a value cannot be parsed")]
    Value,
}

/// Reads one document.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    match Yaml::load_from_str(text)?.as_slice() {
        [document] => convert(document),
        documents => Err(YamlError::Documents(documents.len())),
    }
}

fn convert(node: &Yaml<'_>) -> Result<Value, YamlError> {
    match node {
        Yaml::Value(scalar) => convert_scalar(scalar),
        Yaml::Sequence(items) => items.iter().map(convert).collect::<Result<_, _>>().map(Value::Array),
        Yaml::Mapping(members) => members
            .iter()
            .map(|(key, value)| Ok((convert_key(key)?, convert(value)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        Yaml::Tagged(tag, inner) => Ok(long_form(tag, convert(inner)?)),
        // The loader parses scalars and resolves aliases, so these variants only occur after a failure.
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => Err(YamlError::Value),
    }
}

fn convert_scalar(scalar: &Scalar<'_>) -> Result<Value, YamlError> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => json!(value),
        Scalar::FloatingPoint(value) => {
            Value::Number(serde_json::Number::from_f64(value.into_inner()).ok_or(YamlError::Value)?)
        }
        Scalar::String(value) => Value::String(value.to_string()),
    })
}

fn convert_key(key: &Yaml<'_>) -> Result<String, YamlError> {
    match key {
        Yaml::Value(Scalar::String(key)) => Ok(key.to_string()),
        Yaml::Value(Scalar::Integer(key)) => Ok(key.to_string()),
        Yaml::Value(Scalar::Boolean(key)) => Ok(key.to_string()),
        _ => Err(YamlError::Key),
    }
}

fn long_form(tag: &Tag, value: Value) -> Value {
    let name = match tag.suffix.as_str() {
        name @ ("Ref" | "Condition") => name.to_owned(),
        name => format!("Fn::{name}"),
    };
    let value = match value {
        // `!GetAtt Table.Arn` is the only tag that splits its text.
        Value::String(text) if name == "Fn::GetAtt" => match text.split_once('.') {
            Some((resource, attribute)) => json!([resource, attribute]),
            None => Value::String(text),
        },
        value => value,
    };
    json!({ name: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_are_converted_into_their_long_form() {
        let value = parse(
            "a: !Ref Table\nb: !GetAtt Table.Arn\nc: !If [On, !Sub '${X}', !Ref 'AWS::NoValue']\nd: !Not [!Condition On]",
        );
        assert_eq!(
            value.unwrap(),
            json!({
                "a": {"Ref": "Table"},
                "b": {"Fn::GetAtt": ["Table", "Arn"]},
                "c": {"Fn::If": ["On", {"Fn::Sub": "${X}"}, {"Ref": "AWS::NoValue"}]},
                "d": {"Fn::Not": [{"Condition": "On"}]},
            })
        );
    }

    #[test]
    fn an_alias_repeats_the_value_of_its_anchor_with_its_tag() {
        let value = parse("a: &x !Ref Table\nb: *x\nc: &y {k: 1}\nd: *y").unwrap();
        assert_eq!(value["b"], json!({"Ref": "Table"}));
        assert_eq!(value["d"], json!({"k": 1}));
    }

    #[test]
    fn scalars_keep_their_types() {
        assert_eq!(
            parse("{a: 1, b: 1.5, c: true, d: '1', e: 2010-09-09, f: 3.0.1, g: ~}").unwrap(),
            json!({"a": 1, "b": 1.5, "c": true, "d": "1", "e": "2010-09-09", "f": "3.0.1", "g": null})
        );
    }

    #[test]
    fn an_error_names_the_line() {
        assert!(parse("a: [1,\nb: }").unwrap_err().to_string().contains("line 2"));
        assert!(matches!(parse(""), Err(YamlError::Documents(0))));
    }
}
