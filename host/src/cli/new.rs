//! `new`: a plugin project to begin with.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::print::Printer;
use crate::author::{Kind, LANGUAGES, Language, Plan, scaffold};
use crate::error::Result;

/// Make a plugin project: an example that works, its fixtures, the contract
#[derive(Args, Debug)]
pub struct NewArgs {
    /// Name of the plugin: a lower-case letter, then letters, digits and single hyphens
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Language to write it in
    #[arg(long, value_name = "LANGUAGE", value_parser = PossibleValuesParser::new(LANGUAGES.iter().map(|language| language.name)))]
    pub lang: String,
    /// What it does: transform items (operation), judge them (validator), or both
    #[arg(long, value_name = "KIND", default_value = "operation", value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    pub kind: String,
    /// Folder to make it in; without it a folder of the plugin's name
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Exit code 0.
pub fn run(args: NewArgs, printer: &mut Printer) -> Result<u8> {
    let language = Language::find(&args.lang).expect("BUG: the parser let a language pass that is not in the table");
    let kind = Kind::parse(&args.kind).expect("BUG: the parser let a kind pass that there is not");
    let folder = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    let files = scaffold(&Plan { name: args.name, language, kind }, &folder)?;
    let shown = folder.display();
    printer.line(&format!("Made {shown}, a plugin in {} ({}):", language.title, kind.name()))?;
    for file in files.iter().filter(|file| !file.starts_with("wit/")) {
        printer.line(&format!("  {file}"))?;
    }
    printer.line("  wit/  the contract")?;
    printer.line(&format!(
        "Next: atlas-host build {shown}, then atlas-host test {shown}; {shown}/README.md tells the rest."
    ))?;
    Ok(0)
}
