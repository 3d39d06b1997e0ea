//! Files that are this user's alone: what is read from them is trusted no further than that nobody else wrote it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;

/// How files end that are being written.
const UNFINISHED: &str = "tmp";

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
    let temporary = path.with_extension(format!("{}-{number}.{UNFINISHED}", std::process::id()));
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

/// Removes the oldest files with these extensions until the others have no more than so many bytes, and what was begun long ago
/// and never finished. Whoever misses one of them makes it again. What cannot be removed stays.
pub(super) fn keep_within(folder: &Path, extensions: &[&str], bytes_max: u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(data) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
        let (Ok(written), Some(extension)) = (data.modified(), path.extension().and_then(|text| text.to_str())) else {
            continue;
        };
        if extensions.contains(&extension) {
            files.push((written, data.len(), path));
        } else if extension == UNFINISHED && written.elapsed().is_ok_and(|age| age > limits::CACHE_UNFINISHED_MAX) {
            let _ = fs::remove_file(&path);
        }
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, of_file, path) in files {
        if bytes <= bytes_max {
            return;
        }
        let _ = fs::remove_file(&path);
        bytes -= of_file;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_oldest_files_go_and_what_was_never_finished_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes, age_s) in [
            ("new.cwasm", 40, 1),
            ("older.cwasm", 50, 20),
            ("oldest.cwasm", 10, 30),
            ("begun.1-0.tmp", 10, 60),
            ("left.1-1.tmp", 10, 2 * 3600),
            ("notes.txt", 1000, 3 * 3600),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, vec![0; bytes]).unwrap();
            let when = SystemTime::now() - Duration::from_secs(age_s);
            fs::File::options().append(true).open(path).unwrap().set_modified(when).unwrap();
        }
        fs::create_dir(folder.path().join("folder.cwasm")).unwrap();
        let left = |bytes_max| {
            keep_within(folder.path(), &["cwasm"], bytes_max);
            let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let kept = ["begun.1-0.tmp", "folder.cwasm", "new.cwasm", "notes.txt"];
        assert_eq!(left(100), [&kept[..], &["older.cwasm", "oldest.cwasm"]].concat());
        assert_eq!(left(90), [&kept[..], &["older.cwasm"]].concat());
        assert_eq!(left(89), kept);
        keep_within(&folder.path().join("none"), &["cwasm"], 0);
    }
}
