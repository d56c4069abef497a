//! What `local` prints while it runs.

use std::fmt::Arguments;
use std::io::Write as _;

/// Prints a line to standard error. `eprintln!` would panic where the terminal was closed, in the middle of an orderly
/// end.
pub fn print(line: Arguments<'_>) {
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}
