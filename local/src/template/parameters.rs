//! The values of a template's parameters, validated against their declarations as CloudFormation does it.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html>

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

/// The reason why a template cannot be used with the given values of its parameters.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// A parameter has neither a default nor an override.
    #[error("the parameter `{0}` has no default; set it with --parameter-overrides {0}=...")]
    NoValue(String),
    /// An override names a parameter that the template does not have.
    #[error("there is no parameter `{name}`; the parameters are: {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names of all parameters.
        known: Vec<String>,
    },
    /// A value is not valid for its parameter.
    #[error("the parameter `{name}` cannot be `{value}`: {reason}")]
    Value {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
        /// The rule that the value violates.
        reason: String,
    },
    /// The values contradict each other, according to one of the template's rules.
    #[error("the parameters contradict each other: {0}")]
    Rule(String),
}

/// Returns the value of each declared parameter: its override, or its default.
pub(super) fn values<'a>(
    declared: &'a Map<String, Value>,
    overrides: &BTreeMap<String, String>,
) -> Result<BTreeMap<&'a str, String>, ParameterError> {
    if let Some(name) = overrides.keys().find(|name| !declared.contains_key(*name)) {
        return Err(ParameterError::Unknown { name: name.clone(), known: declared.keys().cloned().collect() });
    }
    let mut values = BTreeMap::new();
    for (name, declaration) in declared {
        let value = overrides.get(name).cloned().or_else(|| text(&declaration["Default"]));
        let value = value.ok_or_else(|| ParameterError::NoValue(name.clone()))?;
        if let Err(reason) = check(declaration, &value) {
            return Err(ParameterError::Value { name: name.clone(), value, reason });
        }
        values.insert(name.as_str(), value);
    }
    Ok(values)
}

/// Validates a value against its declaration.
fn check(declaration: &Value, value: &str) -> Result<(), String> {
    let kind = declaration["Type"].as_str().unwrap_or("String");
    let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
    let items: Vec<&str> = if is_list { value.split(',').map(str::trim).collect() } else { vec![value] };
    for item in items {
        if matches!(kind, "Number" | "List<Number>") {
            check_number(declaration, item)?;
        }
        check_text(declaration, item)?;
    }
    Ok(())
}

fn check_number(declaration: &Value, item: &str) -> Result<(), String> {
    let number = item.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or("it must be a number")?;
    let limit = |name: &str| text(&declaration[name]).and_then(|limit| Some((limit.parse::<f64>().ok()?, limit)));
    match (limit("MinValue"), limit("MaxValue")) {
        (Some((least, text)), _) if number < least => Err(format!("it must be at least {text}")),
        (_, Some((most, text))) if number > most => Err(format!("it must be at most {text}")),
        _ => Ok(()),
    }
}

fn check_text(declaration: &Value, item: &str) -> Result<(), String> {
    if let Some(allowed) = declaration["AllowedValues"].as_array() {
        let allowed: Vec<_> = allowed.iter().filter_map(text).collect();
        if !allowed.iter().any(|allowed| allowed == item) {
            return Err(format!("it must be one of {}", allowed.join(", ")));
        }
    }
    if let Some(pattern) = declaration["AllowedPattern"].as_str() {
        // CloudFormation compares the whole value.
        let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
        if !whole.is_match(item) {
            let described = declaration["ConstraintDescription"].as_str().map(str::to_owned);
            return Err(described.unwrap_or_else(|| format!("it must match {pattern}")));
        }
    }
    let limit = |name: &str| text(&declaration[name]).and_then(|limit| limit.parse::<usize>().ok());
    let length = item.chars().count();
    match (limit("MinLength"), limit("MaxLength")) {
        (Some(least), _) if length < least => Err(format!("it must have at least {least} characters")),
        (_, Some(most)) if length > most => Err(format!("it must have at most {most} characters")),
        _ => Ok(()),
    }
}

/// Returns a scalar as text, because that is how CloudFormation passes parameters and references on.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Template, yaml};
    use super::*;

    fn checked(declaration: &str, value: &str) -> Result<(), String> {
        check(&yaml::parse(declaration).unwrap(), value)
    }

    #[test]
    fn a_value_is_validated_against_its_declaration() {
        let cases = [
            ("{Type: Number, MinValue: 1, MaxValue: 5}", "1", Ok(())),
            ("{Type: Number, MinValue: 1, MaxValue: 5}", "5.0", Ok(())),
            ("{Type: Number, MinValue: 1}", "0", Err("it must be at least 1")),
            ("{Type: Number, MaxValue: 5}", "6", Err("it must be at most 5")),
            ("{Type: Number}", "many", Err("it must be a number")),
            ("{Type: Number}", "NaN", Err("it must be a number")),
            ("{Type: Number, AllowedValues: [1, 3]}", "3", Ok(())),
            ("{Type: Number, AllowedValues: [1, 3]}", "2", Err("it must be one of 1, 3")),
            ("{Type: String, AllowedValues: ['true', 'false']}", "true", Ok(())),
            ("{Type: String, AllowedValues: ['true', 'false']}", "yes", Err("it must be one of true, false")),
            ("{Type: String, AllowedPattern: '[a-z]+'}", "abc", Ok(())),
            ("{Type: String, AllowedPattern: '[a-z]+'}", "abc1", Err("it must match [a-z]+")),
            ("{Type: String, AllowedPattern: a, ConstraintDescription: only a}", "b", Err("only a")),
            ("{Type: String, MinLength: 2}", "é", Err("it must have at least 2 characters")),
            ("{Type: String, MaxLength: 2}", "éé", Ok(())),
            ("{Type: String, MaxLength: 2}", "abc", Err("it must have at most 2 characters")),
            ("{Type: CommaDelimitedList, AllowedValues: [a, b]}", "a, b", Ok(())),
            ("{Type: CommaDelimitedList, AllowedValues: [a, b]}", "a,c", Err("it must be one of a, b")),
            ("{Type: List<Number>}", "1,x", Err("it must be a number")),
        ];
        for (declaration, value, expected) in cases {
            assert_eq!(checked(declaration, value), expected.map_err(str::to_owned), "{declaration} {value}");
        }
    }

    fn rejection(name: &str, value: &str) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
        let overrides = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Template::read(path.as_ref(), &overrides).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_file_the_parameter_and_its_valid_values() {
        let error = rejection("UserPool", "perhaps");
        assert!(error.contains("template.yaml: "), "{error}");
        assert!(
            error.ends_with("the parameter `UserPool` cannot be `perhaps`: it must be one of true, false"),
            "{error}"
        );
        let error = rejection("FreeRate", "0");
        assert!(error.ends_with("the parameter `FreeRate` cannot be `0`: it must be at least 1"), "{error}");
        let error = rejection("CorsAllowedOrigin", "app.example");
        assert!(error.contains("the parameter `CorsAllowedOrigin` cannot be `app.example`: it must match "), "{error}");
        let error = rejection("freerate", "1");
        assert!(error.contains("there is no parameter `freerate`; the parameters are: "), "{error}");
        assert!(error.contains("FreeRate, "), "{error}");
    }

    #[test]
    fn the_rules_of_the_template_hold() {
        let error = rejection("DomainName", "api.example.com");
        assert!(
            error.ends_with("contradict each other: DomainName and CertificateArn have to be set together."),
            "{error}"
        );
    }
}
