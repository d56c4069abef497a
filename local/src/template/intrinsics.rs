//! CloudFormation's intrinsic functions, conditions and rules, as far as they can be resolved on this machine.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::parameters::{self, ParameterError, text};
use super::{ACCOUNT, API_ID, REGION, TemplateError};

/// The value of `AWS::StackName`.
pub(crate) const STACK: &str = "local";

/// The maximum depth of conditions that refer to conditions, which detects a cycle. CloudFormation rejects a cycle, too.
const CONDITION_DEPTH: u8 = 32;

/// The reason why a value of the template cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum IntrinsicError {
    /// A reference does not name a parameter or a resource.
    #[error("`{0}` is neither a parameter nor a resource")]
    UnknownReference(String),
    /// A condition does not exist.
    #[error("there is no condition `{0}`")]
    UnknownCondition(String),
    /// Conditions refer to each other in a cycle.
    #[error("condition `{0}` refers to itself")]
    CircularCondition(String),
    /// The arguments have the wrong form.
    #[error("`{0}` has invalid arguments")]
    Arguments(String),
    /// The function or attribute is not supported.
    #[error("`{0}` is not supported by local")]
    Unsupported(String),
}

/// The resolver of the values of a template.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    parameters: BTreeMap<&'a str, String>,
    conditions: &'a Map<String, Value>,
    resources: &'a Map<String, Value>,
}

static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

#[expect(clippy::expect_used, reason = "the pattern is a constant, and a test compiles it")]
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{([^}]*)\}").expect("a valid pattern"));

impl<'a> Resolver<'a> {
    /// Prepares to resolve the values of `document`, with `overrides` instead of the defaults of its parameters, and checks
    /// its rules.
    pub(super) fn new(document: &'a Value, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let section = |name: &str| document[name].as_object().unwrap_or(&NONE);
        let parameters = parameters::values(section("Parameters"), overrides)?;
        let resolver = Self { parameters, conditions: section("Conditions"), resources: section("Resources") };
        for (name, rule) in section("Rules") {
            let holds = resolver.rule(rule);
            holds.map_err(|source| TemplateError::Intrinsic { resource: name.clone(), source })??;
        }
        Ok(resolver)
    }

    /// Checks the parameters against a rule.
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html>
    fn rule(&self, rule: &Value) -> Result<Result<(), ParameterError>, IntrinsicError> {
        if rule.get("RuleCondition").map(|condition| self.test(condition, 0)).transpose()? == Some(false) {
            return Ok(Ok(()));
        }
        for assertion in rule["Assertions"].as_array().into_iter().flatten() {
            if !self.test(&assertion["Assert"], 0)? {
                let description = assertion["AssertDescription"].as_str().unwrap_or("a rule of the template fails");
                return Ok(Err(ParameterError::Rule(description.to_owned())));
            }
        }
        Ok(Ok(()))
    }

    /// Resolves all intrinsic functions in `value`. Returns `None` for `AWS::NoValue`.
    pub(super) fn resolve(&self, value: &Value) -> Result<Option<Value>, IntrinsicError> {
        match value {
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.resolve(item).transpose());
                items.collect::<Result<_, _>>().map(Value::Array).map(Some)
            }
            Value::Object(members) => {
                if let Some((function, argument)) = intrinsic(members) {
                    return self.call(function, argument);
                }
                let mut resolved = Map::new();
                for (key, member) in members {
                    if let Some(member) = self.resolve(member)? {
                        resolved.insert(key.clone(), member);
                    }
                }
                Ok(Some(Value::Object(resolved)))
            }
            scalar => Ok(Some(scalar.clone())),
        }
    }

    /// Returns whether the named condition holds.
    pub(super) fn condition(&self, name: &str) -> Result<bool, IntrinsicError> {
        self.named(name, 0)
    }

    fn named(&self, name: &str, depth: u8) -> Result<bool, IntrinsicError> {
        if depth > CONDITION_DEPTH {
            return Err(IntrinsicError::CircularCondition(name.to_owned()));
        }
        let test = self.conditions.get(name).ok_or_else(|| IntrinsicError::UnknownCondition(name.to_owned()))?;
        self.test(test, depth + 1)
    }

    fn test(&self, test: &Value, depth: u8) -> Result<bool, IntrinsicError> {
        let unclear = || IntrinsicError::Arguments("Conditions".to_owned());
        let (function, argument) = test.as_object().and_then(single).ok_or_else(unclear)?;
        let malformed = || IntrinsicError::Arguments(function.to_owned());
        if function == "Condition" {
            return self.named(argument.as_str().ok_or_else(malformed)?, depth);
        }
        match (function, argument.as_array().map(Vec::as_slice)) {
            ("Fn::Equals", Some([left, right])) => Ok(self.text(left)? == self.text(right)?),
            ("Fn::Not", Some([inner])) => Ok(!self.test(inner, depth)?),
            ("Fn::And", Some(all)) => all.iter().try_fold(true, |holds, inner| Ok(holds && self.test(inner, depth)?)),
            ("Fn::Or", Some(any)) => any.iter().try_fold(false, |holds, inner| Ok(holds || self.test(inner, depth)?)),
            _ => Err(malformed()),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>, IntrinsicError> {
        let malformed = || IntrinsicError::Arguments(function.to_owned());
        let list = || argument.as_array().map(Vec::as_slice).ok_or_else(malformed);
        let resolved = match function {
            "Ref" => match argument.as_str().ok_or_else(malformed)? {
                "AWS::NoValue" => return Ok(None),
                name => self.reference(name)?,
            },
            "Fn::GetAtt" => match list()? {
                [resource, attribute] => {
                    self.attribute(resource.as_str().ok_or_else(malformed)?, attribute.as_str().ok_or_else(malformed)?)?
                }
                _ => return Err(malformed()),
            },
            "Fn::Sub" => match argument {
                Value::String(template) => self.substitute(template, &NONE)?,
                Value::Array(parts) => match parts.as_slice() {
                    [Value::String(template), Value::Object(values)] => self.substitute(template, values)?,
                    _ => return Err(malformed()),
                },
                _ => return Err(malformed()),
            },
            "Fn::If" => match list()? {
                [Value::String(condition), yes, no] => {
                    return self.resolve(if self.condition(condition)? { yes } else { no });
                }
                _ => return Err(malformed()),
            },
            "Fn::Join" => match list()? {
                [Value::String(separator), Value::Array(parts)] => {
                    parts.iter().map(|part| self.text(part)).collect::<Result<Vec<_>, _>>()?.join(separator)
                }
                _ => return Err(malformed()),
            },
            _ => return Err(IntrinsicError::Unsupported(function.to_owned())),
        };
        Ok(Some(Value::String(resolved)))
    }

    /// Resolves a value that has to be a scalar.
    fn text(&self, value: &Value) -> Result<String, IntrinsicError> {
        let resolved = self.resolve(value)?;
        resolved.as_ref().and_then(text).ok_or_else(|| IntrinsicError::Arguments(value.to_string()))
    }

    fn reference(&self, name: &str) -> Result<String, IntrinsicError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        if let Some(resource) = self.resources.get(name) {
            return Ok(match resource["Type"].as_str() {
                Some("AWS::Serverless::Api") => API_ID.to_owned(),
                Some("AWS::ApiGateway::UsagePlan") => plan_id(name),
                _ => name.to_owned(),
            });
        }
        if let Some(api) = name.strip_suffix(".Stage").and_then(|api| self.resources.get(api)) {
            // SAM creates a stage for an API. Its `Ref` is its name.
            return self.text(&api["Properties"]["StageName"]);
        }
        match name {
            "AWS::AccountId" => Ok(ACCOUNT.to_owned()),
            "AWS::Partition" => Ok("aws".to_owned()),
            "AWS::Region" => Ok(REGION.to_owned()),
            "AWS::StackName" => Ok(STACK.to_owned()),
            "AWS::URLSuffix" => Ok("amazonaws.com".to_owned()),
            _ => Err(IntrinsicError::UnknownReference(name.to_owned())),
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<String, IntrinsicError> {
        let declaration =
            self.resources.get(resource).ok_or_else(|| IntrinsicError::UnknownReference(resource.to_owned()))?;
        let kind = declaration["Type"].as_str().unwrap_or_default();
        let path = match (kind, attribute) {
            ("AWS::Cognito::UserPool", "ProviderURL") => {
                return Ok(format!("https://cognito-idp.{REGION}.amazonaws.com/{resource}"));
            }
            ("AWS::DynamoDB::Table", "Arn") => format!("dynamodb:{REGION}:{ACCOUNT}:table/{resource}"),
            ("AWS::DynamoDB::Table", "StreamArn") => {
                format!("dynamodb:{REGION}:{ACCOUNT}:table/{resource}/stream/{STACK}")
            }
            ("AWS::Serverless::Function", "Arn") => format!("lambda:{REGION}:{ACCOUNT}:function:{resource}"),
            ("AWS::Logs::LogGroup", "Arn") => format!("logs:{REGION}:{ACCOUNT}:log-group:{resource}:*"),
            ("AWS::IAM::Role", "Arn") => format!("iam::{ACCOUNT}:role/{resource}"),
            _ => return Err(IntrinsicError::Unsupported(format!("Fn::GetAtt {resource}.{attribute}"))),
        };
        Ok(format!("arn:aws:{path}"))
    }

    fn substitute(&self, template: &str, values: &Map<String, Value>) -> Result<String, IntrinsicError> {
        let mut result = String::new();
        let mut rest = 0;
        for capture in PLACEHOLDER.captures_iter(template) {
            let (whole, [name]) = capture.extract();
            let start = capture.get_match().start();
            result.push_str(&template[rest..start]);
            rest = start + whole.len();
            if let Some(literal) = name.strip_prefix('!') {
                result.extend(["${", literal, "}"]);
            } else if let Some(value) = values.get(name) {
                result.push_str(&self.text(value)?);
            } else if let Some((resource, attribute)) = name.split_once('.') {
                result.push_str(&self.attribute(resource, attribute)?);
            } else {
                result.push_str(&self.reference(name)?);
            }
        }
        result.push_str(&template[rest..]);
        Ok(result)
    }
}

/// Returns the id of a usage plan on this machine, which is its logical id in lower case, like the ids of AWS.
pub(super) fn plan_id(logical_id: &str) -> String {
    logical_id.to_lowercase()
}

/// Returns whether an object is a call of an intrinsic function.
pub(super) fn is_intrinsic(members: &Map<String, Value>) -> bool {
    intrinsic(members).is_some()
}

fn intrinsic(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    single(members).filter(|(name, _)| *name == "Ref" || name.starts_with("Fn::"))
}

fn single(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut members = members.iter();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Some((name.as_str(), value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::yaml;

    const TEMPLATE: &str = "
Parameters:
  Origin: { Type: String, Default: '' }
  Rate: { Type: Number, Default: 5 }
  Secret: { Type: String, Default: none }
Conditions:
  On: !Not [!Equals [!Ref Origin, '']]
  Fast: !And [!Condition On, !Equals [!Ref Rate, 7]]
  Either: !Or [!Condition On, !Equals [!Ref Rate, 5]]
  Circle: !Not [!Condition Circle]
Resources:
  Table: { Type: AWS::DynamoDB::Table }
  F: { Type: AWS::Serverless::Function }
  Api: { Type: AWS::Serverless::Api, Properties: { StageName: !Ref Secret } }
  FreePlan: { Type: AWS::ApiGateway::UsagePlan }
  Users: { Type: AWS::Cognito::UserPool }
";

    fn resolve(value: &str, overrides: &[(&str, &str)]) -> Result<Option<Value>, IntrinsicError> {
        let document = yaml::parse(TEMPLATE).unwrap();
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Resolver::new(&document, &overrides).unwrap().resolve(&yaml::parse(value).unwrap())
    }

    fn resolved(value: &str, overrides: &[(&str, &str)]) -> Value {
        resolve(value, overrides).unwrap().unwrap()
    }

    #[test]
    fn references_find_parameters_resources_and_pseudo_parameters() {
        assert_eq!(
            resolved("[!Ref Rate, !Ref Table, !Ref 'AWS::Partition', !GetAtt F.Arn]", &[]),
            json!(["5", "Table", "aws", format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:F")])
        );
        assert_eq!(resolved("!Ref Rate", &[("Rate", "9")]), json!("9"));
        assert_eq!(
            resolved("!GetAtt Users.ProviderURL", &[]),
            json!(format!("https://cognito-idp.{REGION}.amazonaws.com/Users"))
        );
    }

    #[test]
    fn references_to_an_api_its_stage_and_a_usage_plan_are_their_ids() {
        assert_eq!(resolved("[!Ref Api, !Ref Api.Stage, !Ref FreePlan]", &[]), json!([API_ID, "none", "freeplan"]));
    }

    #[test]
    fn no_value_removes_the_member_that_holds_it() {
        assert_eq!(resolved("{a: !Ref 'AWS::NoValue', b: 1}", &[]), json!({"b": 1}));
        assert_eq!(resolved("[!If [On, 1, !Ref 'AWS::NoValue'], 2]", &[]), json!([2]));
        assert!(resolve("!Ref 'AWS::NoValue'", &[]).unwrap().is_none());
    }

    #[test]
    fn conditions_decide() {
        let list = "[!If [On, yes, no], !If [Fast, yes, no], !If [Either, yes, no]]";
        assert_eq!(resolved(list, &[]), json!(["no", "no", "yes"]));
        assert_eq!(resolved(list, &[("Origin", "*"), ("Rate", "7")]), json!(["yes", "yes", "yes"]));
    }

    #[test]
    fn substitution_knows_references_attributes_own_values_and_literals() {
        assert_eq!(
            resolved("!Sub '${Rate}/${Table.Arn}/${!Rate}/$'", &[]),
            json!(format!("5/arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Table/${{Rate}}/$"))
        );
        assert_eq!(resolved("!Sub ['${a}-${Rate}', {a: !Ref Table}]", &[]), json!("Table-5"));
        assert_eq!(resolved("!Join [',', [a, !Ref Rate]]", &[]), json!("a,5"));
    }

    #[test]
    fn an_error_names_what_cannot_be_resolved() {
        let message = |value: &str| resolve(value, &[]).unwrap_err().to_string();
        assert_eq!(message("!Ref Nobody"), "`Nobody` is neither a parameter nor a resource");
        assert_eq!(message("!If [Never, 1, 2]"), "there is no condition `Never`");
        assert_eq!(message("!If [Circle, 1, 2]"), "condition `Circle` refers to itself");
        assert_eq!(message("!ImportValue x"), "`Fn::ImportValue` is not supported by local");
        assert_eq!(message("!Sub [1, 2]"), "`Fn::Sub` has invalid arguments");
    }
}
