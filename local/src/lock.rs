//! The lock of a data folder, which only one `local` at a time can use.
//!
//! Two of them would overwrite each other's API keys, and the requests of tenants whose API keys are lost would be denied.
//! The operating system releases the lock when its holder ends, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "local.lock";

/// The reason why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another `local` uses it.
    #[error(
        "the data folder {} is in use by the local on {holder}: stop that one, or start this one with another folder \
         (--data FOLDER) or without one (--memory)",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The address of the other one.
        holder: String,
    },
    /// The folder cannot be created or locked.
    #[error("the data folder {} cannot be used: {source}; choose another one with --data FOLDER", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The lock, which is held until this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks the folder for a `local` at `base_url`, and creates it if necessary.
    pub fn take(folder: &Path, base_url: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join(FILE);
        // The file is not truncated before it is locked, because until then it may have the address of another local.
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).map_err(failed)?.trim_end().to_owned();
                return Err(LockError::InUse { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{base_url}")).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time_and_the_error_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("data");
        let first = FolderLock::take(&folder, "http://127.0.0.1:3000").unwrap();
        for _ in 0..2 {
            let error = FolderLock::take(&folder, "http://127.0.0.1:4000").unwrap_err().to_string();
            assert!(error.contains("in use by the local on http://127.0.0.1:3000: "), "{error}");
            assert!(error.contains("--data FOLDER"), "{error}");
        }
        drop(first);
        let second = FolderLock::take(&folder, "http://127.0.0.1:4000").unwrap();
        let error = FolderLock::take(&folder, "http://127.0.0.1:5000").unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:4000"), "{error}");
        drop(second);
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let error = FolderLock::take(Path::new("/dev/null/data"), "").unwrap_err().to_string();
        assert!(error.starts_with("the data folder /dev/null/data cannot be used: "), "{error}");
    }
}
