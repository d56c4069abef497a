//! End-to-end tests over HTTP, against the real binaries.

mod gateway;
