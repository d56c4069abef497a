//! The evaluation of an authorizer's IAM policy.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html>
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>
//!
//! A policy with an element that is not evaluated here (`Condition`, `NotAction`, policy variables, ...) is an error, because
//! to ignore the element would allow what AWS denies.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// An identity policy, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// The decision of a policy about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows the request, and none denies it.
    Allow,
    /// A statement denies the request, which overrides all others.
    ExplicitDeny,
    /// No statement applies to the request.
    ImplicitDeny,
}

/// The reason why a document is not a valid policy, or not one that can be evaluated here.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// An element is missing or has the wrong type.
    #[error("`{0}` is missing or malformed")]
    Malformed(&'static str),
    /// An element that is not evaluated here.
    #[error("`{0}` is not supported")]
    Unsupported(String),
    /// A pattern is too large.
    #[error("a pattern is not valid: {0}")]
    Pattern(#[from] regex::Error),
}

#[derive(Debug, Clone)]
struct Statement {
    deny: bool,
    actions: Vec<Regex>,
    resources: Vec<Regex>,
}

impl Policy {
    /// Reads a policy document (`{"Version", "Statement"}`).
    pub fn parse(document: &Value) -> Result<Self, PolicyError> {
        let document = document.as_object().ok_or(PolicyError::Malformed("policyDocument"))?;
        for (element, value) in document {
            match element.as_str() {
                "Version" if matches!(value.as_str(), Some("2012-10-17" | "2008-10-17")) => {}
                "Version" => return Err(PolicyError::Malformed("Version")),
                "Id" | "Statement" => {}
                other => return Err(PolicyError::Unsupported(other.to_owned())),
            }
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().map(Statement::parse).collect::<Result<_, _>>()?,
            Some(statement @ Value::Object(_)) => vec![Statement::parse(statement)?],
            _ => return Err(PolicyError::Malformed("Statement")),
        };
        Ok(Self { statements })
    }

    /// Decides on `action` (`execute-api:Invoke`) on `resource` (an ARN).
    #[must_use]
    pub fn evaluate(&self, action: &str, resource: &str) -> Decision {
        let mut decision = Decision::ImplicitDeny;
        for statement in self.statements.iter().filter(|statement| statement.applies_to(action, resource)) {
            if statement.deny {
                return Decision::ExplicitDeny;
            }
            decision = Decision::Allow;
        }
        decision
    }
}

impl Statement {
    fn parse(statement: &Value) -> Result<Self, PolicyError> {
        let statement = statement.as_object().ok_or(PolicyError::Malformed("Statement"))?;
        if let Some(other) =
            statement.keys().find(|key| !["Sid", "Effect", "Action", "Resource"].contains(&key.as_str()))
        {
            return Err(PolicyError::Unsupported(other.clone()));
        }
        let deny = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => false,
            Some("Deny") => true,
            _ => return Err(PolicyError::Malformed("Effect")),
        };
        Ok(Self { deny, actions: patterns(statement, "Action")?, resources: patterns(statement, "Resource")? })
    }

    fn applies_to(&self, action: &str, resource: &str) -> bool {
        self.actions.iter().any(|pattern| pattern.is_match(action))
            && self.resources.iter().any(|pattern| pattern.is_match(resource))
    }
}

/// Reads an element that is a string or a list of strings, in which `*` stands for any text and `?` for one character.
fn patterns(statement: &Map<String, Value>, element: &'static str) -> Result<Vec<Regex>, PolicyError> {
    let texts = match statement.get(element) {
        Some(Value::Array(texts)) if !texts.is_empty() => texts.as_slice(),
        Some(text @ Value::String(_)) => std::slice::from_ref(text),
        _ => return Err(PolicyError::Malformed(element)),
    };
    texts
        .iter()
        .map(|text| {
            let text = text.as_str().ok_or(PolicyError::Malformed(element))?;
            if text.contains("${") {
                return Err(PolicyError::Unsupported("${...}".to_owned()));
            }
            let pattern = regex::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
            // The names of actions are not case-sensitive, ARNs are.
            let anchored = format!("^(?:{pattern})$");
            Ok(RegexBuilder::new(&anchored).case_insensitive(element == "Action").dot_matches_new_line(true).build()?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ACTION: &str = "execute-api:Invoke";

    fn arn(rest: &str) -> String {
        format!("arn:aws:execute-api:us-east-1:000000000000:local/v1/{rest}")
    }

    fn evaluate(statements: &Value, resource: &str) -> Decision {
        let policy = Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap();
        policy.evaluate(ACTION, &arn(resource))
    }

    fn statement(effect: &str, resource: &str) -> Value {
        json!({ "Effect": effect, "Action": ACTION, "Resource": arn(resource) })
    }

    #[test]
    fn nothing_is_allowed_that_no_statement_allows() {
        assert_eq!(evaluate(&json!([]), "GET/a"), Decision::ImplicitDeny);
        assert_eq!(evaluate(&json!([statement("Allow", "GET/a")]), "GET/b"), Decision::ImplicitDeny);
        assert_eq!(evaluate(&json!([statement("Allow", "GET/a")]), "POST/a"), Decision::ImplicitDeny);
    }

    #[test]
    fn a_deny_wins_wherever_it_stands() {
        let (allow, deny) = (statement("Allow", "*"), statement("Deny", "DELETE/*"));
        for statements in [json!([allow, deny]), json!([deny, allow])] {
            assert_eq!(evaluate(&statements, "DELETE/a"), Decision::ExplicitDeny);
            assert_eq!(evaluate(&statements, "GET/a"), Decision::Allow);
        }
    }

    #[test]
    fn a_star_matches_slashes_and_a_question_mark_one_character() {
        assert_eq!(evaluate(&json!([statement("Allow", "GET/a/*/c")]), "GET/a/b/b/c"), Decision::Allow);
        assert_eq!(evaluate(&json!([statement("Allow", "GET/a/*/c")]), "GET/a/b/d"), Decision::ImplicitDeny);
        assert_eq!(evaluate(&json!([statement("Allow", "GET/?")]), "GET/a"), Decision::Allow);
        assert_eq!(evaluate(&json!([statement("Allow", "GET/?")]), "GET/aa"), Decision::ImplicitDeny);
        assert_eq!(evaluate(&json!([statement("Allow", "GET/a.c")]), "GET/abc"), Decision::ImplicitDeny);
    }

    #[test]
    fn a_single_statement_and_lists_are_accepted() {
        let policy = json!({ "Statement":
            { "Sid": "S", "Effect": "Allow", "Action": ["a:B", "EXECUTE-API:*"], "Resource": [arn("x"), arn("y")] } });
        let policy = Policy::parse(&policy).unwrap();
        assert_eq!(policy.evaluate(ACTION, &arn("y")), Decision::Allow);
        assert_eq!(policy.evaluate("other:Invoke", &arn("y")), Decision::ImplicitDeny);
        assert_eq!(policy.evaluate(ACTION, &arn("Y")), Decision::ImplicitDeny);
    }

    #[test]
    fn a_policy_with_an_element_that_is_not_evaluated_is_rejected() {
        let statement = |extra: &str, value: Value| {
            let mut statement = statement("Allow", "*");
            statement[extra] = value;
            json!({ "Version": "2012-10-17", "Statement": [statement] })
        };
        for document in [
            statement("Condition", json!({})),
            statement("NotAction", json!("a:b")),
            statement("Principal", json!("*")),
            statement("Effect", json!("allow")),
            statement("Action", json!([])),
            statement("Action", json!(1)),
            statement("Resource", json!(null)),
            statement("Resource", json!("arn:${aws:username}")),
            json!({ "Version": "2020-01-01", "Statement": [] }),
            json!({ "Version": "2012-10-17" }),
            json!({ "Version": "2012-10-17", "Statement": "Allow" }),
            json!({ "Version": "2012-10-17", "Statement": [], "Extra": 1 }),
            json!([]),
            json!(null),
        ] {
            assert!(Policy::parse(&document).is_err(), "{document}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_wildcards_matches_itself_only(a in "[a-z/.+(){}\\[\\]^$|\\\\-]{0,12}", b in "[a-z/.+-]{0,12}") {
            prop_assume!(!a.contains("${"));
            let statements = json!([statement("Allow", &a)]);
            prop_assert_eq!(evaluate(&statements, &a), Decision::Allow);
            prop_assert_eq!(evaluate(&statements, &b) == Decision::Allow, a == b);
        }

        #[test]
        fn a_star_stands_for_any_text(a in "[a-z/]{0,6}", b in "[a-zA-Z0-9/%._~-]{0,9}", c in "[a-z/]{0,6}") {
            let statements = json!([statement("Allow", &format!("{a}*{c}"))]);
            prop_assert_eq!(evaluate(&statements, &format!("{a}{b}{c}")), Decision::Allow);
        }
    }
}
