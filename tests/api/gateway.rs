//! API Gateway's behaviour, over HTTP, with functions that misbehave on request (`tests/probe`).
mod authorization;
mod faults;
mod plans;
mod probe;
mod responses;
