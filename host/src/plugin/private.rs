//! Files that are this user's alone: what is read from them is trusted no further than that nobody else wrote it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes a folder (0700) with those above it, unless it is there.
pub(super) fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Errors: why the path is not ours alone.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let data = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    let me = rustix::process::geteuid().as_raw();
    if data.file_type().is_symlink() {
        return Err("it is a symbolic link".into());
    }
    if data.uid() != me {
        return Err(format!("it belongs to user {}", data.uid()));
    }
    if data.mode() & 0o022 != 0 {
        return Err("others may write to it".into());
    }
    Ok(())
}

/// Puts a file (0600) made of these parts in its place: written under a temporary name, synced, renamed. After an error what
/// was there before is still there.
pub(super) fn write(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    // Two threads that keep the same thing must not write into one another's file.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let result = (|| {
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}
