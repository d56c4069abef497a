//! The output of `local`. The reader may be gone before it ends, as after `| head`, and this is no reason to stop.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// Prints a line to standard error. If the terminal was closed, `eprintln!` would panic in the middle of an orderly
/// shutdown.
pub fn print(line: Arguments<'_>) {
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a line to standard output, which is the result of a command. `println!` would panic if nobody reads it.
pub fn output(line: Arguments<'_>) {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => print(format_args!("the output is incomplete: {error}")),
        _ => {}
    }
}
