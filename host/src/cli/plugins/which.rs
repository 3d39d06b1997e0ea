//! A plugin that the store keeps, named by the first digits of its digest.

use crate::error::{Code, Error, Result};
use crate::model::Digest;
use crate::store::{KeptPlugin, Reader};

/// The only plugin of the store whose digest begins so.
///
/// Errors: CONFIG_3001 if the digits fit none, or several.
pub fn kept(reader: &Reader, digits: &str) -> Result<KeptPlugin> {
    let begins = |plugin: &KeptPlugin| plugin.digest.to_string().trim_start_matches("blake3:").starts_with(digits);
    let mut found: Vec<KeptPlugin> = reader.kept_plugins()?.into_iter().filter(begins).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::new(Code::ConfigInvalid, format!("no plugin of this store has the digest {digits}…"))
            .hint("`atlas-host plugins list` shows what is kept")),
        several => {
            let shown: Vec<String> = found.iter().take(3).map(|plugin| plugin.digest.to_string()).collect();
            Err(Error::new(
                Code::ConfigInvalid,
                format!("the digest {digits}… fits {several} plugins: {}", shown.join(", ")),
            )
            .hint("write more of its digits"))
        }
    }
}

/// Its bytes.
///
/// Errors: STORAGE_2006 if they were let go, STORAGE_2004 if they are other ones by now.
pub fn bytes(reader: &Reader, digest: &Digest, instead: impl Into<String>) -> Result<Vec<u8>> {
    reader.plugin_bytes(digest)?.ok_or_else(|| {
        Error::new(Code::StoragePrerequisite, format!("the bytes of {digest} were let go")).hint(instead)
    })
}
