//! IAM: the evaluation of identity policies, by the rules of AWS.
//!
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>
//!
//! There is one evaluator, for the policy of an authorizer and for the roles of functions. A policy with an element that is
//! not evaluated here is an error that names it, because to ignore the element would allow what AWS denies.

mod condition;
mod context;
mod error;
mod pattern;
mod policy;
mod served;

pub use context::{Context, ContextKey};
pub use error::PolicyError;
pub use policy::{Decision, Policy, decide};
pub(crate) use served::{KEYS, SERVICES};

#[cfg(test)]
mod tests;
