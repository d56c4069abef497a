//! The enforcement of the functions' roles on the calls that `local` serves or forwards.
//!
//! Every function has an access key id of its own ([`access_key_id`]), which its calls carry in their signature. A call is
//! allowed only if the role that the template gives to the function allows all that it does. Any other access key id is that of
//! a person or of `local` itself, who may do everything.
//!
//! | calls | module |
//! |---|---|
//! | DynamoDB, on the way to the engine or to another DynamoDB | `proxy`, `dynamodb` |
//! | API Gateway's management | [`management`](crate::management) |
//!
//! Signatures are not verified, so this finds missing permissions, and does not protect `local` from a function that pretends to
//! be a person.

mod dynamodb;
mod keys;
mod proxy;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::iam::{Context, Decision, decide};
use crate::template::{ACCOUNT, REGION, Role};
use crate::terminal;
pub use proxy::endpoint;
pub(crate) use proxy::router;

/// The access key id of people, and of `local` itself.
pub(crate) const ADMINISTRATOR: &str = "local";

/// The beginning of the header `Authorization` of a request that an AWS SDK has signed.
pub(crate) const SIGNED: &str = "AWS4-HMAC-SHA256 ";

/// Returns the access key id of a function's processes.
#[must_use]
pub fn access_key_id(function: &str) -> String {
    format!("{ADMINISTRATOR}-{function}")
}

/// Returns the access key id by which a request is signed.
fn signer(headers: &HeaderMap) -> Option<&str> {
    let parameters = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix(SIGNED)?;
    let credential = parameters.split(',').find_map(|parameter| parameter.trim().strip_prefix("Credential="))?;
    credential.split('/').next()
}

/// Something that a call does, for which the caller needs a permission.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// `dynamodb:GetItem`.
    pub(crate) action: String,
    /// The ARN.
    pub(crate) resource: String,
    /// The context keys of the service, such as `dynamodb:LeadingKeys`.
    pub(crate) context: Context,
}

/// An operation that a function's role does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The function's name.
    pub function: String,
    /// The action: `dynamodb:GetItem`.
    pub action: String,
    /// The ARN of the resource.
    pub resource: String,
    /// The context keys and their values: `dynamodb:LeadingKeys=[TENANT#a]`.
    pub context: String,
    /// Whether a statement denies the operation, and not only that none allows it.
    pub is_explicit: bool,
    /// The ARN of the function as a principal.
    principal: String,
}

impl Denial {
    /// Returns the message of AWS.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
    pub(crate) fn message(&self) -> String {
        let Self { principal, action, resource, .. } = self;
        let reason = if self.is_explicit {
            "with an explicit deny in an identity-based policy".to_owned()
        } else {
            format!("because no identity-based policy allows the {action} action")
        };
        format!("User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}")
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, action, resource, context, .. } = self;
        write!(f, "{function} may not {action} on {resource}")?;
        if !context.is_empty() {
            write!(f, " with {context}")?;
        }
        f.write_str(if self.is_explicit {
            ": a Deny of its role forbids it"
        } else {
            ": no statement of its role in the template allows it"
        })
    }
}

/// The roles, and the operations that they have denied. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// By access key id.
    roles: Arc<BTreeMap<String, Role>>,
    denials: Arc<Mutex<Vec<Denial>>>,
    quiet: bool,
}

impl Guard {
    /// Enforces these roles. A function without one of them may do everything. A denial is printed, unless `quiet`.
    pub(crate) fn new(roles: Vec<Role>, quiet: bool) -> Self {
        let roles = roles.into_iter().map(|role| (access_key_id(&role.function), role));
        Self { roles: Arc::new(roles.collect()), denials: Arc::default(), quiet }
    }

    /// Returns the role of the caller of a request, if it is a function.
    pub(crate) fn role(&self, headers: &HeaderMap) -> Option<&Role> {
        self.roles.get(signer(headers)?)
    }

    /// Decides about everything that a call of a function does. The first operation that is not allowed is printed and recorded.
    pub(crate) fn check(&self, role: &Role, operations: Vec<Operation>) -> Result<(), Box<Denial>> {
        let name = &role.name;
        for Operation { action, resource, context } in operations {
            let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
            let whole = context
                .clone()
                .with("aws:PrincipalAccount", [ACCOUNT])
                .with("aws:PrincipalArn", [arn])
                .with("aws:RequestedRegion", [REGION]);
            let decision = decide(&role.policies, &action, &resource, &whole);
            if decision == Decision::Allow {
                continue;
            }
            let function = role.function.clone();
            let denial = Denial {
                principal: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{function}"),
                function,
                action,
                resource,
                context: context.to_string(),
                is_explicit: decision == Decision::ExplicitDeny,
            };
            if !self.quiet {
                terminal::print(format_args!("iam | {denial}"));
            }
            self.denials.lock().unwrap_or_else(PoisonError::into_inner).push(denial.clone());
            return Err(Box::new(denial));
        }
        Ok(())
    }

    /// Returns the operations that were denied.
    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
