//! What a function starts with: its configuration, AWS clients, the log, the capacity counter, and the end of its
//! execution environment.

pub mod aws;
pub mod capacity;
pub mod config;
pub mod lifecycle;
pub mod log;
