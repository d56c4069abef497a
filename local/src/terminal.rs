//! The output of `local` while it runs.

use std::fmt::Arguments;
use std::io::Write as _;

/// Prints a line to standard error. If the terminal was closed, `eprintln!` would panic in the middle of an orderly
/// shutdown.
pub fn print(line: Arguments<'_>) {
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}
