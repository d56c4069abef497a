//! A second implementation, for a part of the language: slow, recursive, and without any code of the first one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Context, Decision};

#[derive(Debug, Clone)]
pub(super) struct NaivePolicy(Vec<NaiveStatement>);

#[derive(Debug, Clone)]
struct NaiveStatement {
    deny: bool,
    not_action: bool,
    actions: Vec<String>,
    not_resource: bool,
    resources: Vec<String>,
    /// Operator, key, values.
    conditions: Vec<(String, &'static str, Vec<String>)>,
}

#[derive(Debug, Clone)]
pub(super) struct NaiveRequest {
    pub(super) action: String,
    pub(super) resource: String,
    keys: Vec<String>,
    tag: Option<String>,
}

pub(super) fn any_policy() -> impl Strategy<Value = NaivePolicy> {
    prop::collection::vec(any_statement(), 0..4).prop_map(NaivePolicy)
}

fn any_statement() -> impl Strategy<Value = NaiveStatement> {
    let action = prop::collection::vec("[abAB*?]{1,3}", 1..3);
    let resource = prop::collection::vec("[abA*?]{1,4}", 1..3);
    let condition = prop_oneof![
        3 => (any_operator(true), Just("dynamodb:LeadingKeys")),
        3 => (any_operator(false), Just("aws:RequestTag/t")),
    ];
    let condition = (
        condition,
        prop::collection::vec(prop_oneof![4 => "[abA*?]{1,3}", 1 => Just("${aws:RequestTag/t}".to_owned())], 1..3),
    )
        .prop_map(|((operator, key), mut values)| {
            if operator == "Null" {
                values = vec![(values[0].len() % 2 == 0).to_string()];
            } else if operator.contains("Not") {
                for value in &mut values {
                    *value = value.replace("${aws:RequestTag/t}", "ab");
                }
            }
            (operator, key, values)
        });
    let conditions = prop::collection::vec(condition, 0..3);
    (any::<(bool, bool, bool)>(), action, resource, conditions).prop_map(
        |((deny, not_action, not_resource), actions, resources, conditions)| {
            // An element must not have a member twice.
            let mut unique: Vec<(String, &'static str, Vec<String>)> = Vec::new();
            for condition in conditions {
                if unique.iter().all(|known| known.0 != condition.0) {
                    unique.push(condition);
                }
            }
            NaiveStatement { deny, not_action, actions, not_resource, resources, conditions: unique }
        },
    )
}

fn any_operator(multivalued: bool) -> impl Strategy<Value = String> {
    let set = if multivalued { vec!["ForAllValues:", "ForAnyValue:"] } else { vec![""] };
    let base = vec!["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"];
    let text = (prop::sample::select(set), prop::sample::select(base), prop::sample::select(vec!["", "IfExists"]));
    prop_oneof![
        5 => text.prop_map(|(set, base, exists)| format!("{set}{base}{exists}")),
        1 => Just("Null".to_owned()),
    ]
}

pub(super) fn any_request() -> impl Strategy<Value = NaiveRequest> {
    let keys = prop::collection::vec("[abA]{1,3}", 0..3);
    ("[abAB]{1,3}", "[abA]{1,4}", keys, prop::option::of("[abA*]{1,2}"))
        .prop_map(|(action, resource, keys, tag)| NaiveRequest { action, resource, keys, tag })
}

impl NaivePolicy {
    pub(super) fn document(&self) -> Value {
        let statement = |one: &NaiveStatement| {
            let mut conditions = json!({});
            for (operator, key, values) in &one.conditions {
                conditions[operator] = json!({ *key: values });
            }
            json!({
                "Effect": if one.deny { "Deny" } else { "Allow" },
                if one.not_action { "NotAction" } else { "Action" }: one.actions,
                if one.not_resource { "NotResource" } else { "Resource" }: one.resources,
                "Condition": conditions,
            })
        };
        json!({ "Version": "2012-10-17", "Statement": self.0.iter().map(statement).collect::<Vec<_>>() })
    }
}

impl NaiveRequest {
    pub(super) fn context(&self) -> Context {
        Context::default().with("dynamodb:LeadingKeys", self.keys.clone()).with("aws:RequestTag/t", self.tag.clone())
    }
}

pub(super) fn decide(policies: &[NaivePolicy], request: &NaiveRequest) -> Decision {
    let effects: Vec<bool> = policies
        .iter()
        .flat_map(|policy| &policy.0)
        .filter(|statement| applies(statement, request))
        .map(|statement| statement.deny)
        .collect();
    match (effects.contains(&true), effects.contains(&false)) {
        (true, _) => Decision::ExplicitDeny,
        (false, true) => Decision::Allow,
        (false, false) => Decision::ImplicitDeny,
    }
}

fn applies(statement: &NaiveStatement, request: &NaiveRequest) -> bool {
    let lower = |text: &String| text.to_lowercase();
    let action = statement.actions.iter().any(|pattern| glob(&lower(pattern), &lower(&request.action)));
    let resource = statement.resources.iter().any(|pattern| glob(pattern, &request.resource));
    action != statement.not_action
        && resource != statement.not_resource
        && statement.conditions.iter().all(|(operator, key, values)| holds(operator, key, values, request))
}

fn holds(operator: &str, key: &str, values: &[String], request: &NaiveRequest) -> bool {
    let present: Vec<String> =
        if key == "dynamodb:LeadingKeys" { request.keys.clone() } else { request.tag.iter().cloned().collect() };
    if operator == "Null" {
        return values[0] == present.is_empty().to_string();
    }
    let negated = operator.contains("Not");
    if present.is_empty() {
        return match (operator.ends_with("IfExists"), operator.split_once(':')) {
            (true, _) | (false, Some(("ForAllValues", _))) => true,
            (false, Some(_)) => false,
            (false, None) => negated,
        };
    }
    let one = |value: &String| {
        let equal = values.iter().any(|wanted| {
            if wanted == "${aws:RequestTag/t}" {
                let Some(tag) = &request.tag else { return false };
                return tag == value || (operator.contains("IgnoreCase") && tag.to_lowercase() == value.to_lowercase());
            }
            if operator.contains("Like") {
                glob(wanted, value)
            } else if operator.contains("IgnoreCase") {
                wanted.to_lowercase() == value.to_lowercase()
            } else {
                wanted == value
            }
        });
        equal != negated
    };
    if operator.starts_with("ForAllValues") { present.iter().all(one) } else { present.iter().any(one) }
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).any(|at| glob(&pattern[1..], &text[at..])),
        Some('?') => !text.is_empty() && glob(&pattern[1..], &text[1..]),
        Some(_) => text.starts_with(&pattern[..1]) && glob(&pattern[1..], &text[1..]),
    }
}
