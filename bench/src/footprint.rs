//! The footprint of a binary: its peak memory, and the bytes that Lambda fetches.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::Error;

/// Returns the peak resident memory, in bytes, of the one process that this process has started from `program`.
///
/// It is read from [`/proc`](https://www.kernel.org/doc/html/latest/filesystems/proc.html), because only the kernel knows the
/// peak before the first look.
pub(crate) fn peak_memory(program: &Path) -> Result<u64, Error> {
    let program = program.canonicalize()?;
    let own = std::process::id();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        // This is not a process, or it has ended, or it is another user's.
        let Ok(status) = fs::read_to_string(process.join("status")) else { continue };
        if field(&status, "PPid") == Some(own.into()) && fs::read_link(process.join("exe")).is_ok_and(|e| e == program)
        {
            return Ok(field(&status, "VmHWM").ok_or("the kernel keeps no peak of memory")? * 1024);
        }
    }
    Err(format!("{} does not run", program.display()).into())
}

/// Reads a number of `/proc/<pid>/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the size in bytes of the binary as Lambda fetches it: the file `bootstrap` in a zip.
pub(crate) fn zipped(program: &Path) -> Result<u64, Error> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755))?;
    archive.write_all(&fs::read(program)?)?;
    Ok(archive.finish()?.into_inner().len() as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_field_of_a_status_is_found_by_its_whole_name() {
        let status = "Name:\tbench\nPPid:\t42\nVmHWMx:\t1 kB\nVmHWM:\t   12345 kB\n";
        assert_eq!(field(status, "PPid"), Some(42));
        assert_eq!(field(status, "VmHWM"), Some(12345));
        assert_eq!(field(status, "Name"), None);
        assert_eq!(field(status, "VmPeak"), None);
    }

    #[test]
    fn a_zip_holds_what_was_put_in() {
        let size = zipped(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path()).unwrap();
        assert!((200..2000).contains(&size), "{size}");
        assert!(zipped(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn the_peak_of_a_child_is_seen() {
        let program = Path::new("/bin/cat").canonicalize().unwrap();
        let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Once it writes something, it runs with all that it needs.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert!((100_000..100_000_000).contains(&peak_memory(&program).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(peak_memory(Path::new("/bin/true")).is_err());
    }
}
