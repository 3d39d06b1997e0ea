//! Files that a command writes: there whole, or as they were before.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};

/// What `write` writes to.
pub type Out<'a> = BufWriter<&'a File>;

/// Writes under another name first, syncs, and puts the file in place. `failed` makes the error of a write that failed.
///
/// Errors: STORAGE_2002 naming the file, CONFIG_3001 for a target that must not be replaced, those of `write`; after any
/// of them what was there before is still there.
pub fn write_whole<T>(
    store: &Path,
    path: &Path,
    write: impl FnOnce(&mut Out<'_>, &dyn Fn(std::io::Error) -> Error) -> Result<T>,
) -> Result<T> {
    let failed = |error: std::io::Error| {
        Error::new(Code::StorageWrite, format!("{} cannot be written", path.display()))
            .because(error)
            .hint("check that the directory exists, may be written to, and has space")
    };
    let path = &target(store, path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".atlas-export-")
        .permissions(usual_permissions())
        .tempfile_in(folder)
        .map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
    let done = write(&mut out, &failed)?;
    out.flush().map_err(failed)?;
    drop(out);
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    // Without this the new name may be lost with the power, though the bytes are safe.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(done)
}

/// The file that is meant, behind any link. Refuses the store itself, which would be destroyed, and what is no regular
/// file: putting a file in the place of a device would destroy that.
fn target(store: &Path, path: &Path) -> Result<PathBuf> {
    let refuse =
        |why: &str, hint: &str| Err(Error::new(Code::ConfigInvalid, format!("{} {why}", path.display())).hint(hint));
    let Ok(there) = std::fs::canonicalize(path) else { return Ok(path.to_owned()) };
    if there == store {
        return refuse("is the store itself", "write to another file");
    }
    if !there.is_file() {
        return refuse("is no regular file", "leave out --to and redirect the output");
    }
    Ok(there)
}

/// As for a file that a shell redirection creates, less the user's mask; a temporary file is private otherwise.
fn usual_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
