//! Preconditions of requests on the state of a record (RFC 9110, section 13).

use crate::domain::record::Version;

/// The versions that a precondition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// `*`: any version, provided that the record exists.
    Any,
    /// Any of these versions. Entity tags that are not a version are left out, so the list may be empty and match nothing.
    OneOf(Vec<Version>),
}

impl Versions {
    fn contain(&self, current: Option<Version>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(versions), Some(version)) => versions.contains(&version),
        }
    }
}

/// The `If-Match` and `If-None-Match` of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The record must be in one of these versions.
    pub if_match: Option<Versions>,
    /// The record must not be in any of these versions.
    pub if_none_match: Option<Versions>,
}

impl Precondition {
    /// Returns whether the precondition holds while the record is in this version, or does not exist (`None`).
    #[must_use]
    pub fn holds(&self, current: Option<Version>) -> bool {
        self.matches(current) && self.none_match(current)
    }

    /// Returns whether `If-Match` holds, which is evaluated first (RFC 9110, section 13.2.2).
    #[must_use]
    pub fn matches(&self, current: Option<Version>) -> bool {
        self.if_match.as_ref().is_none_or(|versions| versions.contain(current))
    }

    /// Returns whether `If-None-Match` holds.
    #[must_use]
    pub fn none_match(&self, current: Option<Version>) -> bool {
        self.if_none_match.as_ref().is_none_or(|versions| !versions.contain(current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_rfc_9110() {
        let v = Version::from_number;
        let one = |n| Some(Versions::OneOf(vec![v(n)]));
        let none = Some(Versions::OneOf(vec![]));
        for (if_match, if_none_match, current, holds) in [
            (None, None, None, true),
            (None, None, Some(v(1)), true),
            (Some(Versions::Any), None, Some(v(1)), true),
            (Some(Versions::Any), None, None, false),
            (one(1), None, Some(v(1)), true),
            (one(1), None, Some(v(2)), false),
            (one(1), None, None, false),
            (none.clone(), None, Some(v(1)), false),
            (None, Some(Versions::Any), Some(v(1)), false),
            (None, Some(Versions::Any), None, true),
            (None, one(1), Some(v(1)), false),
            (None, one(1), Some(v(2)), true),
            (None, one(1), None, true),
            (None, none, Some(v(1)), true),
            (one(1), one(2), Some(v(1)), true),
            (one(1), one(1), Some(v(1)), false),
        ] {
            let precondition = Precondition { if_match, if_none_match };
            assert_eq!(precondition.holds(current), holds, "{precondition:?} {current:?}");
        }
    }
}
