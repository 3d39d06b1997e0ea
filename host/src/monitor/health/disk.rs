//! What the store has on disk: the size of its write-ahead log, and the space that is left.

use std::path::{Path, PathBuf};

/// Where a store's files lie.
#[derive(Debug)]
pub(super) struct StoreFiles {
    wal: PathBuf,
    folder: PathBuf,
}

impl StoreFiles {
    /// Of the store at this path, which need not be there yet.
    pub fn of(store: &Path) -> Self {
        // SQLite puts its log beside the file itself, not beside a link to it.
        let store = std::fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let mut wal = store.as_os_str().to_owned();
        wal.push("-wal");
        let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { wal: PathBuf::from(wal), folder: folder.to_owned() }
    }

    /// Bytes of the write-ahead log; 0 while there is none.
    pub fn wal_bytes(&self) -> Option<u64> {
        match std::fs::metadata(&self.wal) {
            Ok(found) => Some(found.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(0),
            Err(_) => None,
        }
    }

    /// Bytes that may still be written there by who is not root.
    pub fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.folder).ok()?;
        found.f_bavail.checked_mul(found.f_frsize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_found_beside_the_file_that_a_link_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::create_dir(&there).unwrap();
        std::fs::write(there.join("atlas.db"), "").unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(there.join("atlas.db"), &link).unwrap();
        let files = StoreFiles::of(&link);
        assert_eq!(files.wal_bytes(), Some(0), "no log is an empty one");
        std::fs::write(there.join("atlas.db-wal"), [0; 4096]).unwrap();
        assert_eq!(files.wal_bytes(), Some(4096));
        assert!(files.free_bytes().is_some_and(|free| free > 0));
        assert_eq!(StoreFiles::of(Path::new("/no/such/folder/atlas.db")).free_bytes(), None);
    }
}
