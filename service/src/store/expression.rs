//! Condition expressions.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::number;
use crate::precondition::{Precondition, Versions};
use crate::time::Timestamp;

/// There is a record, or there is nothing: the item is not one past its expiry. An expiry that is not a number, which no
/// version of this service has written, has not come: the record can be replaced and deleted.
const NOT_EXPIRED: &str =
    "(attribute_not_exists(#expiresAt) OR #expiresAt > :nowSecs OR NOT attribute_type(#expiresAt, :isNumber))";
/// There is an item; with [`NOT_EXPIRED`], a record.
pub(super) const EXISTS: &str = "attribute_exists(#pk)";
/// There is no item.
pub(super) const ABSENT: &str = "attribute_not_exists(#pk)";
/// There is nothing, or only what is left of a record past its expiry.
pub(super) const VACANT: &str = "(attribute_not_exists(#pk) OR #expiresAt <= :nowSecs)";
/// The item is not what this very write left at an earlier try.
pub(super) const NOT_MINE: &str = "(attribute_not_exists(#write) OR #write <> :write)";
/// The item is in the state that was read.
pub(super) const SAME_VERSION: &str = "#version = :current";

/// Terms that all have to hold, with the values that they mention.
///
/// A name in it is `#` and the attribute's name. DynamoDB refuses names and values that no expression mentions, so
/// both are taken from the text in the end.
#[derive(Debug, Default)]
pub(super) struct Condition {
    terms: Vec<String>,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    pub(super) fn and(mut self, term: &str) -> Self {
        self.terms.push(term.to_owned());
        self
    }

    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    pub(super) fn not_expired(self, now: Timestamp) -> Self {
        let is_number = AttributeValue::S("N".to_owned());
        self.and(NOT_EXPIRED).value(":nowSecs", secs(now)).value(":isNumber", is_number)
    }

    pub(super) fn vacant(self, now: Timestamp) -> Self {
        self.and(VACANT).value(":nowSecs", secs(now))
    }

    /// The precondition, on an item that is [`NOT_EXPIRED`].
    pub(super) fn precondition(mut self, precondition: &Precondition) -> Self {
        if let Some(versions) = &precondition.if_match {
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

    /// The term for a list of versions; `None` for any version.
    fn one_of(&mut self, versions: &Versions, prefix: &str) -> Option<String> {
        let Versions::OneOf(versions) = versions else { return None };
        let mut names = Vec::with_capacity(versions.len() + 1);
        // No version is 0: an empty list matches nothing, which `IN ()` cannot say.
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

/// The names that expressions mention: `#name` stands for `name`.
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
    use crate::record::Version;

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
    fn tags_that_are_not_ours_match_nothing() {
        let condition = Condition::default()
            .precondition(&Precondition { if_match: Some(Versions::OneOf(vec![])), if_none_match: None });
        assert_eq!(condition.text(), "attribute_exists(#pk) AND #version IN (:match0)");
        assert_eq!(condition.values[":match0"], number(0));
    }
}
