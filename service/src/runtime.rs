//! What every function needs before its first event: configuration, AWS clients, the log, the counter of capacity units, and
//! the shutdown of its execution environment.

pub mod aws;
pub mod capacity;
pub mod config;
pub mod lifecycle;
pub mod log;
