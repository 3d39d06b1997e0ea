//! Writing plugins: projects, their compilation by the tools of their language, and what a component says of itself.
//!
//! A language is one file here, one folder of templates and one row of [`LANGUAGES`]. Everything after the language's own
//! tools (encoding, metadata, the check against the contract) is the same for all of them.

mod build;
mod c;
mod contract;
mod embeds;
mod encode;
mod exact;
mod examine;
mod expect;
mod fixture;
mod go;
mod javascript;
mod language;
mod metadata;
mod narrowed;
mod packages;
mod project;
mod pypi;
mod python;
mod rows;
mod rust;
mod scaffold;
mod sources;
mod stamp;
mod still_wasi;
mod tools;

pub use build::{Built, build, component, sources_digest};
pub use contract::{CONTRACT_FILES, world_of};
pub use examine::{CaseProblem, CaseResult, examine};
pub use expect::Difference;
pub use fixture::{Case, Fixture};
pub use language::{LANGUAGES, Language};
pub use metadata::{Metadata, metadata};
pub use project::{Kind, PROJECT_FILE, Project};
pub use scaffold::{Plan, scaffold};
pub use tools::Tools;
