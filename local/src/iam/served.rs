//! The services that `local` serves to functions, and the context keys that their requests have.
//!
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html>

use super::ContextKey;

/// The prefixes of the actions that are evaluated.
pub(crate) const SERVICES: [&str; 2] = ["dynamodb", "apigateway"];

/// The context keys that a condition of a role may have.
pub(crate) const KEYS: &[ContextKey] = &[
    ContextKey::multivalued("dynamodb:leadingkeys"),
    ContextKey::single("dynamodb:enclosingoperation"),
    ContextKey::single("aws:requesttag/"),
    ContextKey::single("aws:resourcetag/"),
    ContextKey::multivalued("aws:tagkeys"),
    ContextKey::single("aws:principalaccount"),
    ContextKey::single("aws:principalarn"),
    ContextKey::single("aws:requestedregion"),
];
