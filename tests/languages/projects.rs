//! From an empty folder to a plugin that runs, as the README of a new project says.

use std::path::PathBuf;

use atlas_host::author::{Kind, LANGUAGES};

use crate::harness::{Folder, author};

/// The first shell block of a README, as its reader would type it.
fn recipe(readme: &str) -> String {
    let (_, rest) = readme.split_once("```sh\n").expect("a README with commands");
    rest.split("```").next().expect("a block").to_owned()
}

/// No network: every way out leads to a port where nobody listens.
const UNREACHABLE: &str = "for name in http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY PIP_PROXY \
     npm_config_proxy npm_config_https_proxy CARGO_HTTP_PROXY; do export $name=http://127.0.0.1:9; done; \
     unset no_proxy NO_PROXY npm_config_noproxy; export GOPROXY=off CARGO_NET_RETRY=0 npm_config_fetch_retries=0 PIP_RETRIES=0";

/// Makes a project of each kind in an empty folder and does what its README says, word for word. What the first one fetched is
/// enough for the others.
pub fn projects_run_as_their_readme_says_later_ones_without_network(language: &str) {
    let mut network = "true";
    for kind in Kind::ALL {
        let folder = Folder::new();
        let made = author(folder.path(), &format!("atlas-host new my-plugin --lang {language} --kind {}", kind.name()));
        made.exits(0);
        let project = folder.at("my-plugin");
        let mut script = recipe(&folder.read("my-plugin/README.md"));
        assert_eq!(script.matches("\natlas-host run").count(), 1, "{script}");
        if kind.validates() {
            // One of the contacts is refused, by which `run` ends with 3, as the README says.
            assert!(folder.read("my-plugin/README.md").contains("it ends with exit code 3"));
            script = script.replace("\natlas-host run", "\n! atlas-host run");
        }
        let ran = author(&project, &format!("{network}; {script}")).exits(0);
        network = UNREACHABLE;
        let what = format!("{language}, {}:\n{}", kind.name(), ran.stdout);
        for words in ["my-plugin 0.1.0", "3 cases: 3 passed, 0 failed", "ann"] {
            assert!(ran.stdout.contains(words), "no {words:?} in {what}");
        }
        assert_eq!(ran.stdout.contains("EMAIL_FORM"), kind.validates(), "{what}");
        assert_eq!(ran.stdout.contains(r#""ann@example.org""#), kind.operates(), "{what}");

        let inspected = author(&project, "atlas-host inspect build/my-plugin.wasm --output json").exits(0).json();
        assert_eq!(inspected["metadata"]["name"], "my-plugin");
        assert_eq!(inspected["metadata"]["version"], "0.1.0");
        assert!(
            inspected["metadata"]["description"].as_str().is_some_and(|text| text.contains("e-mail")),
            "{inspected}"
        );
        let title = LANGUAGES.iter().find(|row| row.name == language).expect("a row").title;
        assert!(inspected["metadata"]["languages"].to_string().contains(title), "{inspected}");
        let roles = (inspected["operation"].as_bool(), inspected["validator"].as_bool());
        assert_eq!(roles, (Some(kind.operates()), Some(kind.validates())));

        // What is up to date is not built again, and what the author tries beside the sources makes nothing stale.
        let again = author(&project, "atlas-host test").exits(0);
        assert_eq!(again.stderr, "", "{what}");
        // An answer that is another is told.
        let spoilt = folder.read("my-plugin/fixtures/contacts.json").replacen("EMAIL_MISSING", "EMAIL_GONE", 1);
        folder.write("my-plugin/fixtures/contacts.json", spoilt);
        let failed = author(&project, "atlas-host test").exits(3);
        let told = failed.stdout + &failed.stderr;
        assert!(told.contains("EMAIL_GONE") && told.contains("EMAIL_MISSING"), "{told}");
    }
}

/// The file of a new project that its author changes first, as `new` has it in its README.
fn source(folder: &Folder, project: &str) -> PathBuf {
    let readme = folder.read(&format!("{project}/README.md"));
    let line = readme.lines().find(|line| line.contains("change this")).expect("the README names the source");
    folder.at(project).join(line.split('`').nth(1).expect("a path"))
}

pub fn a_mistake_in_the_source_is_shown_as_the_compiler_says_it(language: &str) {
    let folder = Folder::new();
    author(folder.path(), &format!("atlas-host new wrong --lang {language}")).exits(0);
    let source = source(&folder, "wrong");
    let text = std::fs::read_to_string(&source).expect("the source of the project");
    let line = text.lines().count() + 1;
    std::fs::write(&source, text + "}} no such thing (\n").expect("the source can be written");
    let ran = author(folder.path(), "atlas-host build wrong").exits(4).says("AUTHOR_11003");
    let name = source.file_name().expect("a file").to_string_lossy();
    // As most compilers say it, and as Python does.
    let places = [format!("{name}:{line}:"), format!("{name}, line {line}")];
    assert!(places.iter().any(|place| ran.stderr.contains(place)), "{places:?} is not in:\n{}", ran.stderr);
    assert!(!folder.at("wrong/build/wrong.wasm").exists());
}

/// The first command of a README's part on something, in backquotes.
fn command_after<'a>(readme: &'a str, words: &str) -> &'a str {
    let (_, rest) = readme.split_once(words).unwrap_or_else(|| panic!("the README says {words:?}"));
    rest.split('`').nth(1).expect("a command in backquotes")
}

/// The other engine, as the README of a new project in JavaScript says.
pub fn a_new_project_runs_on_the_other_engine_too(_: &str) {
    let folder = Folder::new();
    author(folder.path(), "atlas-host new my-plugin --lang javascript --kind both").exits(0);
    let readme = folder.read("my-plugin/README.md").replace('\n', " ");
    let setting = r#"engine = "spidermonkey""#;
    assert!(readme.contains(setting), "{readme}");
    let install = command_after(&readme, "as large; it needs");
    assert!(install.starts_with("npm install "), "{install}");
    let manifest = folder.read("my-plugin/plugin.toml").replace(r#"engine = "quickjs""#, setting);
    assert!(manifest.contains(setting), "{manifest}");
    folder.write("my-plugin/plugin.toml", manifest);
    let tried =
        author(&folder.at("my-plugin"), &format!("{install} --prefer-offline && atlas-host build && atlas-host test"))
            .exits(0);
    assert!(tried.stdout.contains("3 cases: 3 passed, 0 failed"), "{}", tried.stdout);
    let inspected =
        author(&folder.at("my-plugin"), "atlas-host inspect build/my-plugin.wasm --output json").exits(0).json();
    assert!(inspected["metadata"].to_string().contains("jco"), "{inspected}");
}

/// `hash` comes with Go, and `go` can name no module.
#[test]
fn a_plugin_in_go_may_be_called_as_what_go_has_taken() {
    super::unless_left_out("go", |_| {
        let folder = Folder::new();
        for name in ["hash", "go"] {
            author(folder.path(), &format!("atlas-host new {name} --lang go && atlas-host build {name}")).exits(0);
        }
    });
}
