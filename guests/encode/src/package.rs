//! What a guest's `Cargo.toml` says, as `cargo metadata` prints it.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;

/// One package of the guests' workspace.
#[derive(Debug)]
pub struct Package {
    /// Name of the package and of its component.
    pub name: String,
    /// Version, as written in the manifest.
    pub version: String,
    /// What the guest does, in one sentence; empty if the manifest is silent.
    pub description: String,
    /// SPDX expression of the licence; empty if the manifest is silent.
    pub license: String,
    manifest: PathBuf,
}

impl Package {
    /// Folder of the contract that guests are built against: `wit` beside
    /// the workspace.
    pub fn contract_dir(&self) -> PathBuf {
        let guest = self.manifest.parent().unwrap_or(&self.manifest);
        guest.join("../../wit")
    }
}

/// The packages in the output of `cargo metadata --no-deps --format-version 1`.
///
/// # Errors
/// The text is not such output.
pub fn parse(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Value =
        serde_json::from_str(metadata).context("standard input is not JSON; hint: pipe `cargo metadata` into it")?;
    metadata["packages"]
        .as_array()
        .context("standard input has no list \"packages\"; hint: pipe `cargo metadata` into it")?
        .iter()
        .map(|package| {
            let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
            Ok(Package {
                name: text("name"),
                version: text("version"),
                description: text("description"),
                license: text("license"),
                manifest: PathBuf::from(text("manifest_path")),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_carry_what_their_manifest_says() {
        let packages = parse(
            r#"{"packages":[{"name":"a-b","version":"1.2.3","description":null,"license":"MIT","manifest_path":"/w/guests/a-b/Cargo.toml"}]}"#,
        )
        .unwrap();
        assert_eq!(packages[0].name, "a-b");
        assert_eq!(packages[0].description, "");
        assert_eq!(packages[0].contract_dir(), PathBuf::from("/w/guests/a-b/../../wit"));
    }

    #[test]
    fn other_input_is_refused_with_a_hint() {
        for other in ["", "{}", "[1]"] {
            assert!(parse(other).unwrap_err().to_string().contains("hint:"), "{other}");
        }
    }
}
