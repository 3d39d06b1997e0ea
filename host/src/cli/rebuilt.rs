//! The job of an earlier run, put together anew: its plugins from the store, with those that flags or the environment give in
//! their places.
//!
//! What plugins are granted, and their own settings, come from the user alone: a store may be somebody else's.

use std::sync::Arc;

use super::job_args::JobArgs;
use super::layers::{ConfigFile, PluginTable};
use super::locations::Tags;
use super::{Layers, Talk, plan};
use crate::coordinator::{Filling, Host, Job, SlotSpec};
use crate::error::{Code, Error, Result};
use crate::model::Name;
use crate::plugin::Role;
use crate::store::{Reader, RunPlugin, RunRow};

/// True if a flag or the environment says so.
pub fn asked(layers: &Layers, key: &str) -> bool {
    layers.origins.iter().any(|origin| origin.key == key && origin.is_given())
}

/// A setting that the run had.
pub fn setting<'a>(row: &'a RunRow, wanted: &str) -> Option<&'a str> {
    row.identity.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// Plugins that are to take the place of those that the runs had.
pub struct Given {
    validators: Vec<SlotSpec>,
    operations: Vec<SlotSpec>,
}

/// What flags and the environment give. The grants of flags come when all slots of a run are known.
pub fn given(args: &JobArgs, (layers, talk): (&Layers, Talk), host: &Host) -> Result<Given> {
    let of = |key, texts: &Vec<String>| if asked(layers, key) { texts.clone() } else { Vec::new() };
    let args_of_job = JobArgs {
        input: vec!["-".to_owned()],
        plugin: of("plugin", &args.plugin),
        validator: of("validator", &args.validator),
        plugin_config: Vec::new(),
        grant_dir: Vec::new(),
        grant_env: Vec::new(),
        grant_host: Vec::new(),
        grant_collection: Vec::new(),
        ..args.clone()
    };
    // Without their order the plugins of the file fill no slots, and still say what is granted.
    let (path, plugins) = (layers.file.path.clone(), layers.file.plugins.clone());
    let layers = Layers {
        file: ConfigFile { path, plugins, ..ConfigFile::default() },
        origins: layers.origins.clone(),
        ..Layers::default()
    };
    let job = plan::job(&args_of_job, &layers, host, Tags::Lock(talk))?;
    Ok(Given { validators: job.validators, operations: job.operations })
}

impl Given {
    fn of(&self, role: Role) -> &[SlotSpec] {
        match role {
            Role::Validator => &self.validators,
            Role::Operation => &self.operations,
        }
    }

    /// `is_meant`: it was said that it is this run.
    ///
    /// Errors: CONFIG_3001 if it is not clear which plugins of this run they are to replace.
    pub fn fits(&self, row: &RunRow, chain: &[RunPlugin], is_meant: bool) -> Result<()> {
        for role in [Role::Validator, Role::Operation] {
            let slots = slots(chain, role);
            let Some(spec) = self.of(role).iter().find(|spec| !slots.contains(&spec.name.as_str())) else { continue };
            let (name, role, run) = (&spec.name, role.as_str(), row.run);
            match slots[..] {
                [] if !is_meant => {
                    let message = format!("run {run} had no {role}, so slot {name} would be added to it");
                    return Err(Error::new(Code::ConfigInvalid, message)
                        .hint("say which letters are meant: --run RUN, or their ids"));
                }
                [] | [_] => {}
                _ => {
                    let message = format!(
                        "run {run} had several of role {role}: {}, and none of them is {name}",
                        slots.join(", ")
                    );
                    return Err(Error::new(Code::ConfigInvalid, message)
                        .hint("say which one is to be replaced: SLOT=FILE; the others stay"));
                }
            }
        }
        Ok(())
    }
}

/// Names of the slots of one role, in the order of their work.
fn slots(chain: &[RunPlugin], role: Role) -> Vec<&str> {
    chain.iter().filter(|used| used.role == role.as_str()).map(|used| used.slot.as_str()).collect()
}

/// The run's plugins, with those given in their places.
pub fn fill(
    job: &mut Job,
    given: &Given,
    (args, layers): (&JobArgs, &Layers),
    host: &Host,
    reader: &Reader,
    row: &RunRow,
) -> Result<()> {
    let chain = reader.last_chain(row.run)?;
    for (role, specs) in [(Role::Validator, &mut job.validators), (Role::Operation, &mut job.operations)] {
        let (given, slots) = (given.of(role), slots(&chain, role));
        if given.iter().any(|spec| !slots.contains(&spec.name.as_str())) {
            specs.extend_from_slice(given);
            continue;
        }
        for used in chain.iter().filter(|used| used.role == role.as_str()) {
            specs.push(match given.iter().find(|spec| spec.name.as_str() == used.slot) {
                Some(spec) => spec.clone(),
                None => kept(used, layers, host, reader, row)?,
            });
        }
    }
    let names: Vec<Name> = job.validators.iter().chain(&job.operations).map(|slot| slot.name.clone()).collect();
    for spec in job.validators.iter_mut().chain(&mut job.operations) {
        plan::grants_from_flags(args, &names, spec)?;
    }
    Ok(())
}

/// A plugin that the run had, from the store.
fn kept(used: &RunPlugin, layers: &Layers, host: &Host, reader: &Reader, row: &RunRow) -> Result<SlotSpec> {
    let digest = used.digest.ok_or_else(|| {
        Error::new(Code::ConfigMissing, format!("slot {} of run {} was native code", used.slot, row.run))
            .hint("give a component for it: --plugin or --validator")
    })?;
    let bytes = reader.plugin_bytes(&digest)?.ok_or_else(|| {
        Error::new(Code::StoragePrerequisite, format!("the store does not have plugin {digest}"))
            .hint("give the component's file: --plugin or --validator")
    })?;
    let plugin = Arc::new(host.load_plugin_bytes(bytes.into(), &used.name)?);
    // Somebody may have edited the store.
    let name = Name::parse(&used.slot).ok_or_else(|| {
        Error::new(Code::StorageRead, format!("run {} has a slot {:?}, which is no legal name", row.run, used.slot))
    })?;
    let mut spec = SlotSpec::new(name.as_str(), Filling::Component(Arc::clone(&plugin)));
    if let Some(table) = layers.file.plugins.get(&used.slot) {
        // Which plugin is meant says the run, whatever version is pinned by now.
        plan::apply_table(&mut spec, &PluginTable { digest: None, ..table.clone() }, &plugin)?;
    }
    Ok(spec)
}
