//! Policies, their statements, and the decision about a request.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::context::{Context, ContextKey};
use super::error::PolicyError;
use super::pattern::{Pattern, Syntax};

/// An identity policy, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// The decision of policies about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows the request, and none denies it.
    Allow,
    /// A statement denies the request, which overrides all others.
    ExplicitDeny,
    /// No statement applies to the request.
    ImplicitDeny,
}

#[derive(Debug, Clone)]
struct Statement {
    deny: bool,
    actions: Matcher,
    resources: Matcher,
    conditions: Vec<Condition>,
}

/// An element like `Action`, or its opposite like `NotAction`.
#[derive(Debug, Clone)]
struct Matcher {
    patterns: Vec<Pattern>,
    negated: bool,
}

/// Decides about a request by all policies of a principal.
#[must_use]
pub fn decide(policies: &[Policy], action: &str, resource: &str, context: &Context) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    let statements = policies.iter().flat_map(|policy| &policy.statements);
    for statement in statements.filter(|statement| statement.applies_to(action, resource, context)) {
        if statement.deny {
            return Decision::ExplicitDeny;
        }
        decision = Decision::Allow;
    }
    decision
}

impl Policy {
    /// Reads a policy document (`{"Version", "Statement"}`), for requests that have these context keys.
    pub fn parse(document: &Value, keys: &[ContextKey]) -> Result<Self, PolicyError> {
        let document = document.as_object().ok_or(PolicyError::Malformed("policyDocument"))?;
        for (element, value) in document {
            match element.as_str() {
                "Version" if matches!(value.as_str(), Some("2012-10-17" | "2008-10-17")) => {}
                "Version" => return Err(PolicyError::Malformed("Version")),
                "Id" | "Statement" => {}
                other => return Err(PolicyError::Unsupported(other.to_owned())),
            }
        }
        // In the older version, which is the default, `${...}` is text like any other.
        let is_new = document.get("Version").is_some_and(|version| version == "2012-10-17");
        let parse = |statement: &Value| Statement::parse(statement, keys, is_new.then_some(keys));
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().map(parse).collect::<Result<_, _>>()?,
            Some(statement @ Value::Object(_)) => vec![parse(statement)?],
            _ => return Err(PolicyError::Malformed("Statement")),
        };
        Ok(Self { statements })
    }

    /// Decides about `action` (`execute-api:Invoke`) on `resource` (an ARN).
    #[must_use]
    pub fn evaluate(&self, action: &str, resource: &str, context: &Context) -> Decision {
        decide(std::slice::from_ref(self), action, resource, context)
    }
}

impl Statement {
    fn parse(statement: &Value, keys: &[ContextKey], variables: Option<&[ContextKey]>) -> Result<Self, PolicyError> {
        const ELEMENTS: [&str; 7] = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
        let statement = statement.as_object().ok_or(PolicyError::Malformed("Statement"))?;
        if let Some(other) = statement.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
            return Err(PolicyError::Unsupported(other.clone()));
        }
        let deny = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => false,
            Some("Deny") => true,
            _ => return Err(PolicyError::Malformed("Effect")),
        };
        // The names of actions are not case-sensitive and have no variables. ARNs are, and may have some.
        let actions = Syntax { wildcards: true, ignore_case: true, variables: None };
        let resources = Syntax { wildcards: true, ignore_case: false, variables };
        Ok(Self {
            deny,
            actions: Matcher::parse(statement, ["Action", "NotAction"], actions)?,
            resources: Matcher::parse(statement, ["Resource", "NotResource"], resources)?,
            conditions: match statement.get("Condition") {
                Some(element) => Condition::parse_all(element, keys, variables)?,
                None => Vec::new(),
            },
        })
    }

    fn applies_to(&self, action: &str, resource: &str, context: &Context) -> bool {
        self.actions.matches(action, context)
            && self.resources.matches(resource, context)
            && self.conditions.iter().all(|condition| condition.holds(context))
    }
}

impl Matcher {
    /// Reads one of two elements that exclude each other. Each is a string or a list of strings.
    fn parse(
        statement: &Map<String, Value>,
        [plain, opposite]: [&'static str; 2],
        syntax: Syntax<'_>,
    ) -> Result<Self, PolicyError> {
        let (element, value, negated) = match (statement.get(plain), statement.get(opposite)) {
            (Some(value), None) => (plain, value, false),
            (None, Some(value)) => (opposite, value, true),
            _ => return Err(PolicyError::Malformed(plain)),
        };
        let texts = match value {
            Value::Array(texts) if !texts.is_empty() => texts.as_slice(),
            text @ Value::String(_) => std::slice::from_ref(text),
            _ => return Err(PolicyError::Malformed(element)),
        };
        let parse = |text: &Value| Pattern::parse(text.as_str().ok_or(PolicyError::Malformed(element))?, syntax);
        let patterns: Vec<_> = texts.iter().map(parse).collect::<Result<_, _>>()?;
        // A variable without a value matches nothing, so that its opposite would match everything.
        if negated && patterns.iter().any(Pattern::has_variables) {
            return Err(PolicyError::Unsupported(format!("{element} with a policy variable")));
        }
        Ok(Self { patterns, negated })
    }

    fn matches(&self, value: &str, context: &Context) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(value, context)) != self.negated
    }
}
