//! The whole API on this machine, in one process tree: Lambda, API Gateway, DynamoDB and an OpenID Connect issuer.

pub mod runtime;
pub mod seed;
pub mod template;
