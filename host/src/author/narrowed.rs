//! The contract for tools whose components import all that their world has, used or not: a world with just what the sources
//! of a project name. It matters, since a plugin that can read the store is run differently.

use std::fs;
use std::path::{Path, PathBuf};

use super::contract::CONTRACT_FILES;
use super::project::Project;
use super::sources;
use crate::error::{Code, Error, Result};

/// Name of the world. No module of a plugin has it: some tools would confuse the two.
pub(super) const WORLD: &str = "as-used";

/// What a plugin may import.
const OFFERED: [&str; 4] = ["config", "context", "log", "store"];
/// The file of the contract that is replaced.
const WORLDS: &str = "worlds.wit";

/// Writes the contract into the project's build folder, with a world [`WORLD`] that has the exports of the project's kind and
/// those imports that some source with such an ending names, as `names` (text, interface) finds: a file below `src`, or one
/// that the project shares with others. Gives the folder.
///
/// Errors: AUTHOR_11001 if the sources cannot be read, or the folder not be written.
pub(super) fn contract(project: &Project, endings: &[&str], names: fn(&str, &str) -> bool) -> Result<PathBuf> {
    let failed = |place: &Path, error: std::io::Error| {
        Error::new(Code::ProjectInvalid, format!("{}: {error}", place.display()))
            .hint("the sources of a project are in src/, and its folder has to be writable")
    };
    let own = std::path::absolute(&project.folder).map_err(|error| failed(&project.folder, error))?;
    let source = own.join("src");
    fs::read_dir(&source).map_err(|error| failed(&source, error))?;
    let mut texts = Vec::new();
    sources::each(project, &mut |path, bytes| {
        let is_source = path.starts_with(&source) || !path.starts_with(&own);
        if is_source && path.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending)) {
            texts.push(String::from_utf8_lossy(bytes).into_owned());
        }
    })
    .map_err(|(place, error)| failed(&place, error))?;
    let imports = OFFERED.iter().filter(|interface| texts.iter().any(|text| names(text, interface)));
    let folder = project.build_folder().join("wit");
    let mut world = format!("package atlas:batch@0.1.0;\n\n@since(version = 0.1.0)\nworld {WORLD} {{\n");
    for import in imports {
        world.push_str(&format!("    @since(version = 0.1.0)\n    import {import};\n"));
    }
    for (has, export) in [(project.kind.operates(), "operation"), (project.kind.validates(), "validator")] {
        if has {
            world.push_str(&format!("    @since(version = 0.1.0)\n    export {export};\n"));
        }
    }
    world.push_str("}\n");
    let written = fs::create_dir_all(&folder).and_then(|()| {
        let same = CONTRACT_FILES.iter().filter(|(name, _)| *name != WORLDS);
        same.chain([&(WORLDS, world.as_str())]).try_for_each(|(name, text)| fs::write(folder.join(name), text))
    });
    written.and_then(|()| std::path::absolute(&folder)).map_err(|error| failed(&folder, error))
}

#[cfg(test)]
mod tests {
    use wit_parser::{Resolve, WorldItem};

    use super::super::language::Language;
    use super::super::project::Kind;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    #[test]
    fn a_world_has_the_exports_of_its_kind_and_the_imports_that_sources_name() {
        let home = tempfile::tempdir().unwrap();
        let language = Language::find("rust").unwrap();
        let plan = Plan { name: "p".into(), language, kind: Kind::Both };
        scaffold(&plan, home.path()).unwrap();
        fs::create_dir(home.path().join("src/deep")).unwrap();
        fs::write(home.path().join("src/deep/a.txt"), "uses log").unwrap();
        fs::write(home.path().join("src/b.txt"), "uses config").unwrap();
        fs::write(home.path().join("src/c.md"), "uses store").unwrap();
        fs::write(home.path().join("shared.txt"), "uses store, but is neither in src nor named there").unwrap();
        let project = Project::open(home.path()).unwrap();
        let names = |text: &str, interface: &str| text.contains(&format!("uses {interface}"));
        let folder = contract(&project, &["txt"], names).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(&folder).unwrap();
        let world = &resolve.worlds[resolve.select_world(&[package], Some(WORLD)).unwrap()];
        let named = |items: Vec<(_, &WorldItem)>| -> Vec<String> {
            items.into_iter().map(|(key, _)| resolve.name_world_key(key)).collect()
        };
        let imports = named(world.imports.iter().collect());
        assert!(imports.contains(&"atlas:batch/log@0.1.0".to_owned()), "{imports:?}");
        assert!(imports.contains(&"atlas:batch/config@0.1.0".to_owned()), "{imports:?}");
        assert!(!imports.iter().any(|name| name.contains("store") || name.contains("context")), "{imports:?}");
        let exports = named(world.exports.iter().collect());
        assert_eq!(exports, ["atlas:batch/operation@0.1.0", "atlas:batch/validator@0.1.0"]);
        fs::remove_dir_all(home.path().join("src")).unwrap();
        assert_eq!(contract(&project, &["txt"], names).unwrap_err().code(), Code::ProjectInvalid);
    }

    #[test]
    fn what_a_source_is_made_of_beside_its_project_names_imports_too() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("engine/p");
        let plan = Plan { name: "p".into(), language: Language::find("javascript").unwrap(), kind: Kind::Operation };
        scaffold(&plan, &folder).unwrap();
        // As guests/javascript-spidermonkey has it: the module of another project, which imports one beside it.
        fs::create_dir_all(home.path().join("other/src")).unwrap();
        fs::write(folder.join("src/plugin.js"), "export { operation } from \"../../../other/src/plugin.js\";").unwrap();
        fs::write(home.path().join("other/src/plugin.js"), "import \"./reads.mjs\";").unwrap();
        fs::write(home.path().join("other/src/reads.mjs"), "uses store").unwrap();
        let names = |text: &str, interface: &str| text.contains(&format!("uses {interface}"));
        let world = contract(&Project::open(&folder).unwrap(), &["js", "mjs"], names).unwrap().join(WORLDS);
        let world = fs::read_to_string(world).unwrap();
        assert!(world.contains("import store;") && !world.contains("import log;"), "{world}");
    }
}
