//! The reasons why a policy cannot be evaluated.

/// The reason why a document is not a valid policy, or not one that can be evaluated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// An element is missing or has the wrong type.
    #[error("`{0}` is missing or malformed")]
    Malformed(&'static str),
    /// An element that is not evaluated here.
    #[error("`{0}` is not supported")]
    Unsupported(String),
}
