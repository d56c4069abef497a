//! End-to-end tests over HTTP, against the real binaries.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do: by a panic")]

mod admin;
mod capacity;
mod claims;
mod cli;
mod collections;
mod contract;
mod cors;
mod deployable;
mod docs;
mod encoding;
mod faults;
mod fixtures;
mod gateway;
mod head;
mod headers;
mod health;
mod iam;
mod idempotency;
mod interleavings;
mod kinds;
mod language;
mod log;
mod machine_tokens;
mod mtls;
mod paths;
mod policies;
mod quota;
mod readable;
mod records;
mod roles;
mod support;
mod tenants;
mod tokens;
mod transactions;
mod unreadable;
mod upgrade;
mod usage;
mod workspaces;
