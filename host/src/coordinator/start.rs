//! Beginning a run: settings are checked, plugins started, the store made ready, an interrupted run continued.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::chain::Chain;
use super::finish::{Context, complete, end};
use super::followed;
use super::host::{Host, WriterLease};
use super::inbox::{Inbox, Listener};
use super::intake::Intake;
use super::job::{Atomicity, Filling, Input, Job, SlotSpec};
use super::outcome::{RunFailure, RunReport};
use super::resume::{self, Found, Identity};
use super::run::{Carried, Finished, Probation, Run, RunParts, Swapper, Swapping, probations};
use super::serial::{Base, Committed, StoreView, Uncommitted};
use super::shared::RunShared;
use super::tell::{Open, Teller, run_started};
use super::tuning;
use super::usual::Kind;
use super::writer::{Budget, RejectLimit, WriterService};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::model::{Digest, Name, RunNumber};
use crate::monitor::{EventHub, Sensor, SystemClock, SystemSensor};
use crate::plugin::{Plugin, Role, Slot, SlotSettings};
use crate::processor::{MemoryProcessor, ProcessorKind, StorageProcessor};
use crate::source::{self, Cutter, Decoder, MissingId, Source};
use crate::store::{Reader, RunHandle, RunStart, StoreOptions, WritePolicy, Writer};
use crate::strategy::{self, Interval, Signals};

/// Runs a job: see [`Host::run`].
pub(super) fn run(host: &Host, mut job: Job) -> Result<RunReport, RunFailure> {
    super::check::job(&job, host.memory_bytes())?;
    if job.processor == ProcessorKind::Index {
        return Ok(super::indexes::run(&job)?);
    }
    let strategy = match job.own_strategy.take() {
        Some(own) => {
            job.strategy = own.name().to_owned();
            own
        }
        None => strategy::strategy(&job.strategy)?,
    };
    let carried = job.carried.as_ref().and_then(|carried| carried.chain(&job));
    let chain = match &carried {
        Some(carried) => Arc::clone(carried),
        None => Arc::new(chain(host, &job)?),
    };
    need_a_store(&chain, &job)?;
    let begun = Instant::now();
    let key = host.next_key();
    let source = open(&mut job)?;
    let names: Arc<[String]> = source.names().into();
    let total_bytes = source.total_bytes();
    let mut identity = Identity::of(&job, &chain, &names)?;
    let lease = writer(host, &mut job)?;
    let writer = lease.service();
    let mut chain = chain;
    let mut judged = HashMap::new();
    if let Some(followed) = followed::plugins(host, &job, &writer, &identity, &chain)? {
        (chain, judged) = (Arc::new(followed.chain), followed.judged);
        identity = Identity::of(&job, &chain, &names)?;
    }
    let mut cutter = Cutter::new(source, Decoder::new(job.id.clone(), job.missing_id), job.limit);
    let (handle, resumed_at, continued) = match begin(&job, &writer, &identity, &chain, &mut cutter)? {
        Begun::Complete(report) => return Ok(*report),
        Begun::Run { handle, continued } => {
            let next = handle.next;
            (handle, next, continued)
        }
    };
    let mut swapping = swapping(host, &mut job, &identity, judged)?;
    let kept = job.carried.as_ref().and_then(Carried::take);
    let probations = match (&swapping.store, continued && kept.is_none()) {
        (Some(store), true) => probations(store, handle.run, &chain, &swapping),
        _ => Vec::new(),
    };
    // What may come back, or is on its way from the run before, may look things up as well.
    let reads_store = chain.slots().any(|slot| slot.reads_store())
        || kept.as_ref().is_some_and(|kept| kept.reads_store)
        || probations.iter().any(Probation::falls_back_on_reads);
    let shared = Arc::new(shared(&job, reads_store, &handle, &writer, key)?);
    if shared.one_by_one() {
        job.bounds.batch_size = Interval::fixed(NonZeroUsize::MIN);
    }
    let budget = job.max_rejects.map(|limit| budget(&job, limit, &handle)).transpose()?.map(Arc::new);
    let items_total = match &job.dead_letters {
        Some(ids) => Some(ids.len() as u64),
        None => cutter.source().total_items().map(|total| job.limit.map_or(total, |limit| total.min(limit))),
    };
    let intake = Intake::start(cutter, job.control.flag())?;
    let lanes = host.lanes()?;
    let tuning = tuning::Key::of(&job, &chain);
    let mut signals = Signals::new(job.bounds.clone());
    signals.aim = job.aim;
    signals.batch_time_max_us = job.batch_time_max.map(|time| time.as_micros() as u64);
    signals.memory_budget_bytes = job.memory_budget;
    signals.tolerance = job.thresholds.tolerance();
    if let Some(key) = &tuning {
        key.add_to(&mut signals.bounds, &writer)?;
    }
    signals.bounds.start = signals.bounds.start.map(strategy::Start::as_told);
    let monitors = std::mem::take(&mut job.monitors);
    let hub = EventHub::start(handle.run.0, Box::new(SystemClock::start()), monitors)?;
    let mut teller = Teller::new(hub, handle.run.0, &job);
    // Dead letters wait in the store until they are stored.
    let resumable = identity.resumable || job.dead_letters.is_some();
    teller.emit(Event::RunStarted(Box::new(run_started(
        &job,
        &handle,
        &chain,
        &names,
        total_bytes,
        // A limit is the most that there can be.
        items_total.or(job.limit),
        resumable,
    ))));
    if job.dry_run {
        teller.stays_open(Open::DryRun);
    }
    let kind = Kind::of(&job, &identity);
    let mut context = Context { key, begun, resumed_at, holds: false, resumable, kind };
    if job.atomic == Atomicity::Run && !job.dry_run {
        if let Err(error) = writer.hold(key, |processor| processor.begin()) {
            return end(&job, &writer, &handle, context, Finished::failed(error, teller, chain));
        }
        context.holds = true;
        teller.stays_open(Open::Run);
    }
    let inbox = match &job.store {
        Some(store) if job.inbox && !job.dry_run => Inbox::open(store, &handle.uuid).and_then(Listener::start),
        _ => None,
    };
    let swapper = match Swapper::begin(&mut swapping, &chain, kept) {
        Ok(mut swapper) => {
            swapper.judge_again(probations);
            swapper
        }
        Err(error) => return end(&job, &writer, &handle, context, Finished::failed(error, teller, chain)),
    };
    let parts = RunParts {
        key,
        policy: Arc::new(WritePolicy {
            target: job.collection.clone(),
            collections: declared(&job),
            on_existing: job.on_existing,
            sort: true,
            remove_rejected: job.remove_rejected,
            over_newer: job.over_newer,
        }),
        lanes,
        writer: Arc::clone(&writer),
        intake,
        strategy,
        signals,
        control: job.control.clone(),
        inbox,
        carried: job.carried.take(),
        aside: carried.filter(|carried| !Arc::ptr_eq(carried, &chain)),
        uncommitted_reads: job.atomic == Atomicity::Run && shared.view.is_some(),
        live: job.live.take(),
        plan_note: job.plan_note.take(),
        sample_interval: job.sample_interval,
        sensor: job.sensor.take().unwrap_or_else(|| sensor(job.store.as_deref())),
        teller,
        items_total,
        batch_bytes: job.batch_bytes,
        batch_wait: job.batch_wait,
        attempts: job.attempts,
        settings_json: job.settings_json.clone(),
        budget,
        input_names: names,
        dead_letters: job.dead_letters.clone(),
        observer: job.observer.take(),
        shared,
        chain,
        swapping,
        handle: Arc::clone(&handle),
    };
    let finished = Run::new(parts, swapper).run();
    end(&job, &writer, &handle, context, finished)
}

/// What the run may lose, with what its earlier executions have lost.
fn budget(job: &Job, limit: RejectLimit, handle: &RunHandle) -> Result<Budget> {
    let store = job.store.as_ref().filter(|_| job.processor == ProcessorKind::Storage && handle.next > 0);
    let newest = match (limit, store) {
        (RejectLimit::Window { failed, items }, Some(store)) => {
            let from = handle.next.saturating_sub(items);
            Reader::open(store)?.newest_failures(handle.run, from, failed.saturating_add(1))?
        }
        _ => Vec::new(),
    };
    Ok(Budget::new(limit, handle.counts.failed(), handle.counts.read, newest))
}

/// What the machine itself tells, and the store where there is one.
fn sensor(store: Option<&Path>) -> Box<dyn Sensor> {
    let mut sensor = store.map_or_else(SystemSensor::new, SystemSensor::of_store);
    // CPU in use is a difference between two readings: so the run's first sample has one.
    sensor.sample();
    Box::new(sensor)
}

/// The plugins of a run, started once as a probe. Nothing of the store is written to before.
fn chain(host: &Host, job: &Job) -> Result<Chain> {
    let filled =
        |specs: &[SlotSpec], role| specs.iter().map(|spec| fill(host, job, spec, role)).collect::<Result<Vec<_>>>();
    Ok(Chain::new(filled(&job.validators, Role::Validator)?, filled(&job.operations, Role::Operation)?))
}

/// What is wrong with the settings of a job, or else with its plugins, each by itself.
pub(super) fn faults(host: &Host, job: &Job) -> Vec<Error> {
    if let Err(error) = super::check::job(job, host.memory_bytes()) {
        return vec![error];
    }
    let validators = job.validators.iter().map(|spec| (spec, Role::Validator));
    let slots = validators.chain(job.operations.iter().map(|spec| (spec, Role::Operation)));
    slots.filter_map(|(spec, role)| fill(host, job, spec, role).err()).collect()
}

/// Errors: CONFIG_3001 where a plugin reads the store and the run has none.
fn need_a_store(chain: &Chain, job: &Job) -> Result<()> {
    match chain.slots().find(|slot| slot.reads_store()) {
        Some(slot) if job.processor == ProcessorKind::Memory => {
            let message =
                format!("plugin {} in slot {} reads the store, and this run has none", slot.file(), slot.name());
            Err(Error::new(Code::ConfigInvalid, message).hint("use --processor storage"))
        }
        _ => Ok(()),
    }
}

fn fill(host: &Host, job: &Job, spec: &SlotSpec, role: Role) -> Result<Arc<Slot>> {
    let component = |plugin: &Plugin| Slot::of_component(spec.name.clone(), role, plugin, filling(job, spec));
    let slot = match (&spec.filling, role) {
        (Filling::Component(plugin), role) => component(plugin).or_else(|error| {
            let bad = Some(plugin.digest());
            component(&followed::in_place_of(host, job, (&spec.name, role), bad, error)?)
        })?,
        (Filling::Operation(operation), Role::Operation) => {
            Slot::of_operation(spec.name.clone(), Arc::clone(operation))
        }
        (Filling::Validator(validator), Role::Validator) => {
            Slot::of_validator(spec.name.clone(), Arc::clone(validator))
        }
        (_, role) => {
            let message =
                format!("slot {} is filled with native code of another role than {}", spec.name, role.as_str());
            return Err(Error::new(Code::ConfigInvalid, message));
        }
    };
    Ok(Arc::new(slot))
}

/// How a component fills this slot, the first one and those that take its place.
pub(super) fn filling(job: &Job, spec: &SlotSpec) -> SlotSettings {
    let mut grants = spec.grants.clone();
    grants.collections.push(job.collection.clone());
    SlotSettings {
        grants,
        config: spec.config.clone(),
        memory_bytes: spec.memory_bytes,
        fresh: job.fresh_sandboxes,
        deadline: spec.deadline.unwrap_or(job.deadline),
        own_deadline: spec.deadline,
    }
}

/// How the slots can be filled anew while the run goes on.
fn swapping(host: &Host, job: &mut Job, identity: &Identity, judged: HashMap<Name, Digest>) -> Result<Swapping> {
    let specs = job.validators.iter().chain(&job.operations);
    let components = specs.filter(|spec| matches!(spec.filling, Filling::Component(_)));
    let fillings: HashMap<Name, _> =
        components.map(|spec| (spec.name.clone(), (filling(job, spec), spec.pinned))).collect();
    Ok(Swapping {
        loader: if fillings.is_empty() { None } else { Some(host.loader()?.clone()) },
        settings: job.swap,
        fillings,
        watch: std::mem::take(&mut job.watch),
        judged,
        store: job.store.clone().filter(|_| job.processor == ProcessorKind::Storage),
        identity: identity.settings.clone(),
    })
}

fn open(job: &mut Job) -> Result<Box<dyn Source>> {
    match std::mem::replace(&mut job.input, Input::Files(Vec::new())) {
        Input::Files(inputs) => {
            let source = source::open(inputs.clone(), &job.read)?;
            job.input = Input::Files(inputs);
            Ok(Box::new(source))
        }
        Input::Source { source, resumable } => {
            // The source is used up here; what stays is how to find its run again.
            let empty = source::ListSource::new("", std::iter::empty());
            job.input = Input::Source { source: Box::new(empty), resumable };
            Ok(source)
        }
    }
}

fn writer(host: &Host, job: &mut Job) -> Result<WriterLease> {
    let no_store =
        || Error::new(Code::ConfigMissing, "no store is given").hint("give --store FILE, or --processor memory");
    if let Some(own) = job.own_processor.take() {
        return Ok(WriterLease::own(WriterService::start(move || Ok(own))?));
    }
    match (job.processor, job.dry_run) {
        (ProcessorKind::Memory, _) => {
            let output = job.output.take().unwrap_or_else(|| Box::new(|_, _, _| Ok(())));
            Ok(WriterLease::own(WriterService::start(move || Ok(Box::new(MemoryProcessor::new(output))))?))
        }
        (_, true) => {
            let path = job.store.clone().ok_or_else(no_store)?;
            let options = StoreOptions { path, durability: job.durability, create: true };
            let service =
                WriterService::start(move || Ok(Box::new(StorageProcessor::new(Writer::open_dry_run(&options)?))))?;
            Ok(WriterLease::own(service))
        }
        (_, false) => host.writer(job.store.as_deref().ok_or_else(no_store)?, job.durability),
    }
}

enum Begun {
    Complete(Box<RunReport>),
    Run { handle: Arc<RunHandle>, continued: bool },
}

/// A run that is continued stays as it is until its input is found to be the same.
fn begin(job: &Job, writer: &WriterService, identity: &Identity, chain: &Chain, cutter: &mut Cutter) -> Result<Begun> {
    let last = resume::last_run(job, writer, identity)?;
    let row = match resume::judge(last, identity, job)? {
        Found::Complete(row) if job.resume.is_some() || !cutter.has_changed_since(row.run)? => {
            return Ok(Begun::Complete(Box::new(complete(job.store.as_deref(), &row))));
        }
        Found::Continue(row) => {
            resume::go_on(cutter, &row, &job.control)?;
            Some(row)
        }
        Found::Complete(_) | Found::New => {
            cutter.begin(None)?;
            None
        }
    };
    let mut start = run_start(job, identity, chain);
    if let Some(row) = &row {
        start.inputs_json = resume::inputs_json(identity, row);
    }
    let resume = row.map(|row| row.run);
    let (target, collections, indexes) = (job.collection.clone(), job.collections.clone(), job.indexes.clone());
    let fills = fills(job, identity, chain);
    let handle = writer.ask(move |processor| {
        processor.declare(&target, &collections, &indexes)?;
        if fills {
            processor.put_off_indexes(&target)?;
        }
        processor.begin_run(&start, resume)
    })?;
    Ok(Begun::Run { handle: Arc::new(handle), continued: resume.is_some() })
}

/// True if indexes may wait for the end of the run: it has one, since its input is files that do not grow, and no plugin looks
/// anything up meanwhile. In a transaction that is held to the end there would be nobody to see them.
fn fills(job: &Job, identity: &Identity, chain: &Chain) -> bool {
    let files = matches!(job.input, Input::Files(_)) && identity.resumable && !job.read.follow;
    files && !job.dry_run && job.atomic == Atomicity::Batch && !chain.slots().any(|slot| slot.reads_store())
}

fn run_start(job: &Job, identity: &Identity, chain: &Chain) -> RunStart {
    let now_ms = crate::model::now_ms();
    let uuid = uuid::Uuid::now_v7();
    let drawn = uuid.as_u64_pair().1 ^ uuid.as_u64_pair().0;
    RunStart {
        job: identity.job.now.clone(),
        uuid: uuid.to_string(),
        collection: job.collection.clone(),
        started_ms: now_ms,
        // SQLite's integers are signed.
        seed: job.seed.unwrap_or(drawn) & i64::MAX as u64,
        clock_ms: job.clock_ms.unwrap_or(now_ms),
        settings_json: job.settings_json.clone(),
        identity: identity.settings.clone(),
        plugins: chain.plugin_rows(),
        inputs_json: identity.inputs_json.clone(),
        atomic: job.atomic.as_str().to_owned(),
        lo: 0,
        hi: None,
    }
}

fn shared(
    job: &Job,
    reads_store: bool,
    handle: &RunHandle,
    writer: &Arc<WriterService>,
    key: u64,
) -> Result<RunShared> {
    let view = match (&job.store, reads_store) {
        (Some(path), true) if job.processor == ProcessorKind::Storage => Some(view(job, path, writer, key)?),
        _ => None,
    };
    Ok(RunShared {
        uuid: handle.uuid.as_str().into(),
        deadline: job.deadline,
        now_ms: handle.clock_ms.max(0) as u64,
        seed: handle.seed,
        target: job.collection.clone(),
        body_decoder: Decoder::new(job.id.clone(), MissingId::Ordinal),
        view,
    })
}

/// The collections that changes may name, sorted.
fn declared(job: &Job) -> Arc<[Name]> {
    let mut names: Vec<Name> = job.collections.iter().chain([&job.collection]).cloned().collect();
    names.sort();
    names.dedup();
    names.into()
}

fn view(job: &Job, path: &Path, writer: &Arc<WriterService>, key: u64) -> Result<StoreView> {
    let of_job = job
        .indexes
        .iter()
        .filter(|index| index.unique)
        .map(|index| (index.collection.clone().unwrap_or_else(|| job.collection.clone()), index.name.clone()));
    let mut unique: Vec<(Name, Name)> = of_job.collect();
    let mut one_by_one = job.dead_letters.is_some() && !job.over_newer;
    if path.exists() {
        let reader = Reader::open(path)?;
        let rows = reader.indexes(None)?;
        unique.extend(rows.into_iter().filter(|row| row.unique).map(|row| (row.collection, row.name)));
        one_by_one |= reader.has_rules_of_others(&declared(job))?;
    }
    unique.sort();
    unique.dedup();
    let path = path.to_owned();
    let base: Arc<dyn Base> = if job.dry_run || job.atomic == Atomicity::Run {
        Arc::new(Uncommitted { writer: Arc::clone(writer), key })
    } else {
        Arc::new(Committed::new(move || Reader::open(&path)))
    };
    Ok(StoreView {
        base,
        target: job.collection.clone(),
        on_existing: job.on_existing,
        remove_rejected: job.remove_rejected,
        collections: declared(job),
        unique: unique.into(),
        one_by_one,
    })
}

/// A run's number, for messages.
pub(super) fn named(run: RunNumber) -> String {
    format!("run {run}")
}
