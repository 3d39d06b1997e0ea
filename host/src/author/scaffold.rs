//! New projects: which files, with which text, and putting them into an empty folder.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::contract::{CONTRACT_FILES, world_of};
use super::language::{Language, Template};
use super::project::{Kind, NAME_RULE, PROJECT_FILE, is_name};
use super::rust;
use crate::error::{Code, Error, Result};

/// What a new project is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the plugin.
    pub name: String,
    /// What it is written in.
    pub language: &'static Language,
    /// What it does.
    pub kind: Kind,
}

/// Version of a new project.
const VERSION: &str = "0.1.0";

/// What every project has, whatever its language.
const COMMON: &[Template] = &[
    Template { path: "README.md", text: include_str!("templates/common/README.md.in"), kind: None },
    Template {
        path: "fixtures/contacts.json",
        text: include_str!("templates/common/operation.json"),
        kind: Some(Kind::Operation),
    },
    Template {
        path: "fixtures/contacts.json",
        text: include_str!("templates/common/validator.json"),
        kind: Some(Kind::Validator),
    },
    Template {
        path: "fixtures/contacts.json",
        text: include_str!("templates/common/both.json"),
        kind: Some(Kind::Both),
    },
];

/// Makes the project in `folder`, which is made if it is not there. Gives the paths of its files, sorted.
///
/// Errors: AUTHOR_11001 if the folder has files, the name cannot name a plugin, or a file cannot be written.
pub fn scaffold(plan: &Plan, folder: &Path) -> Result<Vec<String>> {
    if !is_name(&plan.name) {
        let message = format!("{:?} cannot name a plugin, wanted {NAME_RULE}", plan.name);
        return Err(Error::new(Code::ProjectInvalid, message).hint("choose a name such as contact-rules"));
    }
    let refused = |what: &Path, why: String| {
        Error::new(Code::ProjectInvalid, format!("{} {why}", what.display()))
            .hint("choose another folder with --dir; nothing was overwritten")
    };
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(refused(folder, "has files, wanted an empty folder or none".to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(refused(folder, format!("cannot be looked into: {error}"))),
    }
    let mut files = files(plan);
    files.sort();
    for (path, text) in &files {
        let place = folder.join(path);
        let parent = place.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::File::create_new(&place))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| refused(&place, format!("cannot be written: {error}")))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Path and text of each file.
fn files(plan: &Plan) -> Vec<(String, String)> {
    let of_kind = |template: &&Template| template.kind.is_none_or(|only| only == plan.kind);
    let templates = COMMON.iter().chain(plan.language.templates).filter(of_kind);
    let mut files: Vec<(String, String)> =
        templates.map(|template| (filled(template.path, plan), filled(template.text, plan))).collect();
    for (_, text) in files.iter_mut().filter(|(path, _)| path == rust::LOCK) {
        *text = rust::in_order(text);
    }
    files.extend(CONTRACT_FILES.iter().map(|(name, text)| (format!("wit/{name}"), (*text).to_owned())));
    files.push((PROJECT_FILE.to_owned(), manifest(plan)));
    let ignored = ["/build/"].iter().chain(plan.language.ignored).fold(String::new(), |text, line| text + line + "\n");
    files.push((".gitignore".to_owned(), ignored));
    files
}

fn manifest(plan: &Plan) -> String {
    let mut text = format!(
        "[plugin]\nname = \"{}\"\nversion = \"{VERSION}\"\ndescription = \"{}\"\nlanguage = \"{}\"\nkind = \"{}\"\n",
        plan.name,
        description(plan.kind),
        plan.language.name,
        plan.kind.name()
    );
    if !plan.language.settings.is_empty() {
        text.push_str(&format!("\n[{}]\n", plan.language.name));
    }
    for setting in plan.language.settings {
        text.push_str(&format!("{} = \"{}\" # {}\n", setting.key, setting.values[0], setting.values.join(", ")));
    }
    text
}

/// What the example in every new project does.
fn description(kind: Kind) -> &'static str {
    match kind {
        Kind::Operation => "Brings the e-mail addresses of contacts into one form.",
        Kind::Validator => "Refuses contacts without an e-mail address.",
        Kind::Both => "Refuses contacts without an e-mail address, and brings the others' into one form.",
    }
}

fn filled(text: &str, plan: &Plan) -> String {
    let component = format!("build/{}.wasm", plan.name);
    let flags = match plan.kind {
        Kind::Operation => format!("--plugin {component}"),
        Kind::Validator => format!("--validator {component}"),
        Kind::Both => format!("--validator rules={component} --plugin {component}"),
    };
    let ends = match plan.kind.validates() {
        true => "; it ends with exit code 3, since one of them is refused and is among the dead letters",
        false => "",
    };
    let identifier = plan.name.replace('-', "_");
    [
        ("%NAME%", plan.name.as_str()),
        ("%IDENTIFIER%", &identifier),
        ("%VERSION%", VERSION),
        ("%DESCRIPTION%", description(plan.kind)),
        ("%KIND%", plan.kind.name()),
        ("%WORLD%", world_of(plan.kind)),
        ("%LANGUAGE%", plan.language.title),
        ("%SOURCE%", plan.language.source),
        ("%NEEDS%", plan.language.needs.trim()),
        ("%FLAGS%", &flags),
        ("%ENDS%", ends),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
}

#[cfg(test)]
mod tests {
    use super::super::language::LANGUAGES;
    use super::super::project::Project;
    use super::*;

    #[test]
    fn what_is_made_is_a_project_with_every_mark_filled_in() {
        for language in LANGUAGES {
            for kind in Kind::ALL {
                let home = tempfile::tempdir().unwrap();
                let folder = home.path().join("deep/er");
                let plan = Plan { name: "my-plugin".into(), language, kind };
                let files = scaffold(&plan, &folder).unwrap();
                let project = Project::open(&folder).unwrap();
                assert_eq!((project.language, project.kind), (language, kind));
                assert!(files.contains(&language.source.replace("%IDENTIFIER%", "my_plugin")), "{files:?}");
                // At the top alone: `src/build/` may be a module.
                assert!(fs::read_to_string(folder.join(".gitignore")).unwrap().starts_with("/build/\n"));
                for file in files {
                    let text = fs::read_to_string(folder.join(&file)).unwrap();
                    let marked = |line: &&str| {
                        line.split('%')
                            .skip(1)
                            .step_by(2)
                            .any(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase()))
                    };
                    assert_eq!(text.lines().find(marked), None, "{} {}: {file}", language.name, kind.name());
                }
            }
        }
    }

    #[test]
    fn a_folder_with_files_and_a_name_that_is_none_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let plan = |name: &str| Plan { name: name.into(), language: &LANGUAGES[0], kind: Kind::Both };
        fs::write(home.path().join("precious"), "x").unwrap();
        let error = scaffold(&plan("ok"), home.path()).unwrap_err();
        assert!(error.to_string().contains("has files"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        let error = scaffold(&plan("Not Ok"), &home.path().join("new")).unwrap_err();
        assert_eq!(error.code(), Code::ProjectInvalid);
        assert!(!home.path().join("new").exists());
    }
}
