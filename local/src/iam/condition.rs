//! The conditions of statements.
//!
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>

use serde_json::Value;

use super::context::{Context, ContextKey};
use super::error::PolicyError;
use super::pattern::{Pattern, Syntax};

/// One operator with one key: all values of a `Condition` element's member.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    operator: Operator,
    set: Option<Set>,
    if_exists: bool,
    /// In lower case.
    key: String,
    values: Vec<Pattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// The request's value matches one of the condition's values.
    Matches,
    /// The request's value matches none of them.
    Differs,
    /// The request does not have the key, if this is `true`, or has it.
    IsAbsent(bool),
}

/// The quantifier over the values of a key that may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    All,
    Any,
}

impl Condition {
    /// Reads the `Condition` element of a statement, whose keys have to be among `keys`.
    pub(super) fn parse_all(
        element: &Value,
        keys: &[ContextKey],
        variables: Option<&[ContextKey]>,
    ) -> Result<Vec<Self>, PolicyError> {
        let mut conditions = Vec::new();
        for (operator, members) in element.as_object().ok_or(PolicyError::Malformed("Condition"))? {
            for (key, values) in members.as_object().ok_or(PolicyError::Malformed("Condition"))? {
                conditions.push(Self::parse(operator, key, values, keys, variables)?);
            }
        }
        Ok(conditions)
    }

    fn parse(
        name: &str,
        key: &str,
        values: &Value,
        keys: &[ContextKey],
        variables: Option<&[ContextKey]>,
    ) -> Result<Self, PolicyError> {
        let unsupported = |what: String| PolicyError::Unsupported(format!("Condition: {what}"));
        let (set, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Set::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::Any), rest),
            Some(_) => return Err(unsupported(name.to_owned())),
            None => (None, name),
        };
        let (base, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |base| (base, true));
        let (negated, wildcards, ignore_case) = match base {
            "StringEquals" => (false, false, false),
            "StringNotEquals" => (true, false, false),
            // The values of `Bool` are `true` and `false`, in any case.
            "StringEqualsIgnoreCase" | "Bool" => (false, false, true),
            "StringNotEqualsIgnoreCase" => (true, false, true),
            "StringLike" => (false, true, false),
            "StringNotLike" => (true, true, false),
            "Null" if !if_exists && set.is_none() => (false, false, true),
            _ => return Err(unsupported(name.to_owned())),
        };
        let known = ContextKey::find(keys, &key.to_lowercase()).ok_or_else(|| unsupported(key.to_owned()))?;
        if known.is_multivalued && set.is_none() && base != "Null" {
            return Err(unsupported(format!("{name} of {key}, which needs ForAllValues or ForAnyValue")));
        }
        let texts = texts(values)?;
        let operator = match (base, texts.as_slice()) {
            ("Null", [wanted]) => match wanted.to_lowercase().as_str() {
                "true" => Operator::IsAbsent(true),
                "false" => Operator::IsAbsent(false),
                _ => return Err(PolicyError::Malformed("Condition")),
            },
            ("Null", _) => return Err(unsupported("Null with several values".to_owned())),
            _ if negated => Operator::Differs,
            _ => Operator::Matches,
        };
        let syntax = Syntax { wildcards, ignore_case, variables };
        let values: Vec<_> = texts.iter().map(|text| Pattern::parse(text, syntax)).collect::<Result<_, _>>()?;
        // A variable without a value matches nothing, which would make such a condition true.
        if operator == Operator::Differs && values.iter().any(Pattern::has_variables) {
            return Err(unsupported(format!("{name} with a policy variable")));
        }
        Ok(Self { operator, set, if_exists, key: key.to_lowercase(), values })
    }

    /// Returns whether it holds for a request.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let all = context.values(&self.key);
        let mut present = all.iter().filter(|value| !value.is_empty());
        let fits = |value: &String| {
            let is_match = self.values.iter().any(|pattern| pattern.matches(value, context));
            is_match != (self.operator == Operator::Differs)
        };
        if let Operator::IsAbsent(wanted) = self.operator {
            return present.next().is_none() == wanted;
        }
        match self.set {
            _ if all.is_empty() && self.if_exists => true,
            // An empty value counts as none here, and for `Null`.
            Some(Set::All) => present.all(fits),
            Some(Set::Any) => present.any(fits),
            None => all.first().map_or(self.operator == Operator::Differs, fits),
        }
    }
}

/// Returns a value, or a list of them, as texts.
fn texts(values: &Value) -> Result<Vec<String>, PolicyError> {
    let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(PolicyError::Malformed("Condition")),
    };
    match values {
        [] => Err(PolicyError::Malformed("Condition")),
        values => values.iter().map(text).collect(),
    }
}
