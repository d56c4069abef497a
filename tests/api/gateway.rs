//! API Gateway's behaviour, over HTTP, with functions that misbehave on request (`tests/probe`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, in its helpers too")]

mod answers;
mod authorization;
mod faults;
mod plans;
mod probe;
