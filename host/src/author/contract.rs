//! The contract as every project gets it: the files of `wit/`, as they were when this program was built.

use std::path::Path;

use wit_parser::{Resolve, SourceMap, WorldId};

use super::project::Kind;
use crate::error::{Code, Error, Result};

/// Name and text of each file of the contract.
pub const CONTRACT_FILES: &[(&str, &str)] = &[
    ("config.wit", include_str!("../../../wit/config.wit")),
    ("context.wit", include_str!("../../../wit/context.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("operation.wit", include_str!("../../../wit/operation.wit")),
    ("store.wit", include_str!("../../../wit/store.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("validator.wit", include_str!("../../../wit/validator.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// The world that a plugin of this kind is built for.
pub fn world_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Operation => "operation-plugin",
        Kind::Validator => "validator-plugin",
        Kind::Both => "dual-plugin",
    }
}

/// The contract as data, and the world of a kind in it.
///
/// Errors: OPERATION_5003, since the files were checked when this program was built.
pub(super) fn resolve(kind: Kind) -> Result<(Resolve, WorldId)> {
    let broken =
        |why: String| Error::new(Code::Internal, format!("the contract in this program cannot be read: {why}"));
    let mut sources = SourceMap::new();
    for (name, text) in CONTRACT_FILES {
        sources.push(Path::new(name), *text);
    }
    let group = sources.parse().map_err(|(_, error)| broken(format!("{error:#}")))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(|error| broken(format!("{error:#}")))?;
    let world = resolve.select_world(&[package], Some(world_of(kind))).map_err(|error| broken(format!("{error:#}")))?;
    Ok((resolve, world))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_a_world_for_each_kind() {
        for kind in Kind::ALL {
            let (resolve, world) = resolve(kind).unwrap();
            assert_eq!(resolve.worlds[world].name, world_of(kind));
        }
    }
}
