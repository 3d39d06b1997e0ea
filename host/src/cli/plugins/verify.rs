//! `plugins verify`.

use clap::Args;
use serde_json::json;

use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::print::Printer;
use crate::cli::runs::SCHEMA;
use crate::cli::spec::counted;
use crate::error::{Code, Result};
use crate::model::printable;
use crate::store::Reader;

#[derive(Args, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0; 5 if bytes and digest of a plugin do not agree.
pub fn run(args: &VerifyArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let kept = reader.kept_plugins()?.iter().filter(|plugin| plugin.bytes.is_some()).count() as u64;
    let findings = reader.verify_plugins()?;
    if args.output.json() {
        let findings: Vec<_> =
            findings.iter().map(|found| json!({ "code": found.code.as_str(), "message": found.message })).collect();
        printer
            .json(&json!({ "schema": SCHEMA, "plugins": kept, "sound": findings.is_empty(), "findings": findings }))?;
    } else if findings.is_empty() {
        printer.line(&format!("{}: bytes and digests agree", counted(kept, "plugin")))?;
    }
    for finding in findings.iter().filter(|_| !args.output.json()) {
        printer.line(&format!("{}: {}", finding.code, printable(&finding.message)))?;
    }
    Ok(if findings.is_empty() { 0 } else { Code::StorageGeneral.exit() })
}
