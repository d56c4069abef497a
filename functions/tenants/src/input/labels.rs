//! A tenant's labels: names and values that the operator chooses.

use std::collections::BTreeMap;

use service::http::{Body, Problem};

use super::text;

/// The maximum number of labels of a tenant.
const MAX_LABELS: usize = 50;

/// The labels by their names.
type Labels = BTreeMap<String, String>;

/// What a merge patch (RFC 7396) does to a tenant's labels.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LabelsPatch {
    /// It does not mention the labels.
    Keep,
    /// It removes all labels.
    Clear,
    /// It sets the labels that have a value here, and removes those without one.
    Merge(BTreeMap<String, Option<String>>),
}

/// The labels of a new tenant.
pub(super) fn all(body: &Body<'_>) -> Result<Labels, Problem> {
    let labels: Labels = body.optional("labels", "an object of strings")?.unwrap_or_default();
    for (name, value) in &labels {
        text("labels", name.clone())?;
        text("labels", value.clone())?;
    }
    check_count(&labels)?;
    Ok(labels)
}

impl LabelsPatch {
    /// Reads the patch of a tenant.
    pub(super) fn of(body: &Body<'_>) -> Result<Self, Problem> {
        if super::is_null(body, "labels") {
            return Ok(Self::Clear);
        }
        let form = "an object whose values are strings, or null to remove a label";
        let Some(changes) = body.optional::<BTreeMap<String, Option<String>>>("labels", form)? else {
            return Ok(Self::Keep);
        };
        for (name, value) in &changes {
            text("labels", name.clone())?;
            if let Some(value) = value {
                text("labels", value.clone())?;
            }
        }
        Ok(Self::Merge(changes))
    }

    /// Applies the patch, unless the tenant would have too many labels afterwards.
    pub(crate) fn apply(self, labels: &mut Labels) -> Result<(), Problem> {
        match self {
            Self::Keep => return Ok(()),
            Self::Clear => labels.clear(),
            Self::Merge(changes) => {
                for (name, value) in changes {
                    match value {
                        Some(value) => labels.insert(name, value),
                        None => labels.remove(&name),
                    };
                }
            }
        }
        check_count(labels)
    }
}

fn check_count(labels: &Labels) -> Result<(), Problem> {
    if labels.len() > MAX_LABELS {
        return Err(Problem::invalid_body(format!("A tenant can have at most {MAX_LABELS} labels.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use service::http::Code;

    use super::*;

    /// RFC 7396, section 2, for members that are strings or null.
    fn merged(mut target: Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                target.insert(name.clone(), value.clone());
            }
        }
        target
    }

    fn any_labels() -> impl Strategy<Value = Labels> {
        proptest::collection::btree_map("[a-d]", "[x-z]", 0..4)
    }

    proptest! {
        #[test]
        fn labels_are_merged_as_rfc_7396_says(
            before in any_labels(),
            changes in proptest::collection::btree_map("[a-d]", proptest::option::of("[x-z]"), 0..4),
        ) {
            let object = |value: Value| value.as_object().cloned().unwrap();
            let expected = merged(object(json!(before)), &object(json!(changes)));
            let mut after = before;
            LabelsPatch::Merge(changes).apply(&mut after).unwrap();
            prop_assert_eq!(json!(after), Value::Object(expected));
        }
    }

    #[test]
    fn labels_are_cleared_or_unchanged() {
        let before = Labels::from([("a".to_owned(), "x".to_owned())]);
        let mut labels = before.clone();
        LabelsPatch::Keep.apply(&mut labels).unwrap();
        assert_eq!(labels, before);
        LabelsPatch::Clear.apply(&mut labels).unwrap();
        assert!(labels.is_empty());
    }

    #[test]
    fn there_are_not_too_many_labels_after_a_merge() {
        let mut labels: Labels = (0..MAX_LABELS).map(|n| (n.to_string(), "x".to_owned())).collect();
        let patch = |name: &str, value: Option<&str>| (name.to_owned(), value.map(ToOwned::to_owned));
        let swap = LabelsPatch::Merge([patch("0", None), patch("new", Some("x"))].into());
        swap.apply(&mut labels).unwrap();
        let more = LabelsPatch::Merge([patch("more", Some("x"))].into()).apply(&mut labels);
        assert_eq!(more.unwrap_err().code(), Code::INVALID_BODY);
    }
}
