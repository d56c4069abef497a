//! Condition expressions.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::number;
use crate::domain::precondition::{Precondition, Versions};
use crate::domain::record::Version;
use crate::domain::time::Timestamp;

/// The condition that the item is not an expired record: it is a record that has not expired, or does not exist. An expiry
/// that is not a number, which no version of this service has written, counts as not reached, so the record can be replaced
/// and deleted.
const NOT_EXPIRED: &str =
    "(attribute_not_exists(#expiresAt) OR #expiresAt > :nowSecs OR NOT attribute_type(#expiresAt, :isNumber))";
/// The condition that the item exists. With [`NOT_EXPIRED`], it is a record.
pub(super) const EXISTS: &str = "attribute_exists(#pk)";
/// The condition that the item does not exist.
pub(super) const ABSENT: &str = "attribute_not_exists(#pk)";
/// The condition that the item does not exist, or is an expired record.
pub(super) const VACANT: &str = "(attribute_not_exists(#pk) OR #expiresAt <= :nowSecs)";

/// A condition: terms that all have to hold, and the values in them.
///
/// A name in a term is `#` and the attribute's name. DynamoDB rejects names and values that no expression mentions. So
/// the names are collected from the final text, and each value is added with the term that mentions it.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    terms: Vec<String>,
    values: HashMap<String, AttributeValue>,
    /// Whether the condition holds in at most one version of the item.
    pins_version: bool,
}

impl Condition {
    /// Adds a term.
    pub(super) fn and(mut self, term: &str) -> Self {
        self.terms.push(term.to_owned());
        self
    }

    /// Sets the value of a placeholder, whose name begins with `:`.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Adds [`NOT_EXPIRED`].
    pub(super) fn not_expired(self, now: Timestamp) -> Self {
        let is_number = AttributeValue::S("N".to_owned());
        self.and(NOT_EXPIRED).value(":nowSecs", secs(now)).value(":isNumber", is_number)
    }

    /// Adds [`VACANT`].
    pub(super) fn vacant(self, now: Timestamp) -> Self {
        self.and(VACANT).value(":nowSecs", secs(now))
    }

    /// Requires that the item is in this version.
    pub(super) fn in_version(mut self, version: Version) -> Self {
        self.pins_version = true;
        self.and("#version = :current").value(":current", number(version))
    }

    /// Returns whether the condition holds in at most one version of the item. Then a write under it takes effect at most
    /// once, however often it is sent, because it moves the item on from that version, and no version comes back.
    pub(super) fn pins_version(&self) -> bool {
        self.pins_version
    }

    /// Adds a request's precondition. The item is assumed to be [`NOT_EXPIRED`].
    pub(super) fn precondition(mut self, precondition: &Precondition) -> Self {
        if let Some(versions) = &precondition.if_match {
            self.pins_version |= matches!(versions, Versions::OneOf(versions) if versions.len() <= 1);
            self = self.and(EXISTS);
            if let Some(one_of) = self.one_of(versions, "match") {
                self = self.and(&one_of);
            }
        }
        match &precondition.if_none_match {
            None => self,
            Some(versions) => match self.one_of(versions, "none") {
                None => self.and(ABSENT),
                Some(one_of) => self.and(&format!("({ABSENT} OR NOT {one_of})")),
            },
        }
    }

    /// Returns the term for a list of versions, or `None` for any version.
    fn one_of(&mut self, versions: &Versions, prefix: &str) -> Option<String> {
        let Versions::OneOf(versions) = versions else { return None };
        let mut names = Vec::with_capacity(versions.len() + 1);
        // An empty list matches nothing, but `IN ()` is not valid. No version is 0, so 0 stands for the empty list.
        let numbers = versions.iter().map(number).chain(versions.is_empty().then(|| number(0)));
        for (index, value) in numbers.enumerate() {
            let name = format!(":{prefix}{index}");
            self.values.insert(name.clone(), value);
            names.push(name);
        }
        Some(format!("#version IN ({})", names.join(", ")))
    }

    pub(super) fn text(&self) -> String {
        self.terms.join(" AND ")
    }

    pub(super) fn into_values(self) -> HashMap<String, AttributeValue> {
        self.values
    }
}

fn secs(now: Timestamp) -> AttributeValue {
    number(now.as_millis().div_euclid(1000))
}

/// Returns the names that expressions mention: `#name` stands for `name`.
pub(super) fn names(expressions: &[&str]) -> HashMap<String, String> {
    expressions
        .iter()
        .flat_map(|text| text.split('#').skip(1))
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_as_an_expression() {
        let condition = Condition::default().precondition(&Precondition {
            if_match: Some(Versions::Any),
            if_none_match: Some(Versions::OneOf(vec![Version::from_number(7), Version::from_number(8)])),
        });
        assert_eq!(
            condition.text(),
            "attribute_exists(#pk) AND (attribute_not_exists(#pk) OR NOT #version IN (:none0, :none1))"
        );
        assert_eq!(condition.values[":none1"], number(8));
        assert_eq!(
            names(&[&condition.text()]),
            HashMap::from([("#pk".into(), "pk".into()), ("#version".into(), "version".into())])
        );
    }

    #[test]
    fn an_empty_list_of_versions_matches_nothing() {
        let condition = Condition::default()
            .precondition(&Precondition { if_match: Some(Versions::OneOf(vec![])), if_none_match: None });
        assert_eq!(condition.text(), "attribute_exists(#pk) AND #version IN (:match0)");
        assert_eq!(condition.values[":match0"], number(0));
    }

    #[test]
    fn a_condition_pins_a_single_version_only() {
        let pinned = |if_match: Option<Versions>| {
            Condition::default().precondition(&Precondition { if_match, if_none_match: None }).pins_version()
        };
        let versions = |numbers: &[u64]| {
            Some(Versions::OneOf(numbers.iter().map(|number| Version::from_number(*number)).collect()))
        };
        assert!(pinned(versions(&[7])) && pinned(versions(&[])));
        // With two versions, a write can take effect in the first, be overwritten, and take effect again in the second.
        assert!(!pinned(versions(&[7, 8])) && !pinned(Some(Versions::Any)) && !pinned(None));
        assert!(Condition::default().in_version(Version::from_number(7)).pins_version());
    }
}
