//! The host's half of the contract: `config`, `log`, `context`, `store`.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::abi::{KeyAbi, LevelAbi, RowAbi, StoreErrorAbi};
use super::call::Fault;
use super::host_time::counted;
use super::lookup::{Lookup, LookupError};
use super::sandbox::GuestState;
use crate::error::Code;
use crate::limits;

type Context<'a> = StoreContextMut<'a, GuestState>;

/// Names of the interfaces offered, as they stand in a component's import section.
pub const OFFERED: [&str; 5] = [
    "atlas:batch/types@0.1.0",
    "atlas:batch/config@0.1.0",
    "atlas:batch/log@0.1.0",
    "atlas:batch/context@0.1.0",
    "atlas:batch/store@0.1.0",
];

/// The interface whose import makes a run compute its batches one at a time.
pub const STORE: &str = "atlas:batch/store@0.1.0";

/// Adds all four to the linker.
pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance("atlas:batch/types@0.1.0")?;
    link_config(linker)?;
    link_log(linker)?;
    link_context(linker)?;
    link_store(linker)
}

/// Counts a host call; beyond the quota the guest call ends.
fn charge(context: &mut Context<'_>) -> wasmtime::Result<()> {
    let state = context.data_mut();
    state.host_calls += 1;
    if state.host_calls > limits::HOST_CALLS_MAX {
        let why = format!("made more than {} calls of the host within one call", limits::HOST_CALLS_MAX);
        return Err(wasmtime::Error::new(Fault::new(Code::GuestQuota, why)));
    }
    Ok(())
}

fn link_config(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut config = linker.instance("atlas:batch/config@0.1.0")?;
    config.func_wrap("get", |mut context: Context<'_>, (key,): (String,)| {
        charge(&mut context)?;
        Ok((context.data().config.get(&key).cloned(),))
    })?;
    config.func_wrap("get-all", |mut context: Context<'_>, (): ()| {
        charge(&mut context)?;
        let all: Vec<(String, String)> = context.data().config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok((all,))
    })
}

fn link_log(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut log = linker.instance("atlas:batch/log@0.1.0")?;
    log.func_wrap("write", |mut context: Context<'_>, (level, message): (LevelAbi, String)| {
        charge(&mut context)?;
        let level = match level {
            LevelAbi::Trace => tracing::Level::TRACE,
            LevelAbi::Debug => tracing::Level::DEBUG,
            LevelAbi::Info => tracing::Level::INFO,
            LevelAbi::Warn => tracing::Level::WARN,
            LevelAbi::Error => tracing::Level::ERROR,
        };
        counted(|| context.data().sink.line(level, &message));
        Ok(())
    })
}

fn link_context(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut place = linker.instance("atlas:batch/context@0.1.0")?;
    place.func_wrap("run", |mut context: Context<'_>, (): ()| {
        charge(&mut context)?;
        Ok((context.data().call.run.to_string(),))
    })?;
    place.func_wrap("batch", |mut context: Context<'_>, (): ()| {
        charge(&mut context)?;
        Ok((context.data().call.batch,))
    })?;
    place.func_wrap("attempt", |mut context: Context<'_>, (): ()| {
        charge(&mut context)?;
        Ok((context.data().call.attempt,))
    })?;
    place.func_wrap("deadline-ms", |mut context: Context<'_>, (): ()| {
        charge(&mut context)?;
        Ok((context.data().call.deadline.as_millis() as u64,))
    })?;
    place.func_wrap("now-ms", |mut context: Context<'_>, (): ()| {
        charge(&mut context)?;
        Ok((context.data().call.now_ms,))
    })?;
    place.func_wrap("seed", |mut context: Context<'_>, (ordinal,): (u64,)| {
        charge(&mut context)?;
        Ok((context.data().call.item_seed(ordinal),))
    })
}

type Answer<T> = Result<T, StoreErrorAbi>;

fn link_store(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut store = linker.instance(STORE)?;
    store.func_wrap("get", |mut context: Context<'_>, (collection, id): (Option<String>, String)| {
        charge(&mut context)?;
        let answer: Answer<Option<String>> = read(&mut context, collection.as_deref(), 1, |lookup| {
            let row = lookup.get_many(collection.as_deref(), &[id])?.pop().flatten();
            match row {
                Some(body) if body.len() > limits::STORE_READ_BYTES_MAX => Err(LookupError::OverLimit),
                row => Ok(row),
            }
        });
        Ok((answer,))
    })?;
    store.func_wrap("get-many", |mut context: Context<'_>, (collection, ids): (Option<String>, Vec<String>)| {
        charge(&mut context)?;
        let answer: Answer<Vec<Option<String>>> = read(&mut context, collection.as_deref(), ids.len(), |lookup| {
            let (mut rows, mut bytes) = (Vec::with_capacity(ids.len()), 0);
            for piece in ids.chunks(limits::STORE_READ_PIECE) {
                let read = lookup.get_many(collection.as_deref(), piece)?;
                bytes += read.iter().flatten().map(String::len).sum::<usize>();
                if bytes > limits::STORE_READ_BYTES_MAX {
                    return Err(LookupError::OverLimit);
                }
                rows.extend(read);
            }
            Ok(rows)
        });
        Ok((answer,))
    })?;
    store.func_wrap(
        "find",
        |mut context: Context<'_>, find: (Option<String>, String, KeyAbi, Option<String>, u32)| {
            charge(&mut context)?;
            let (collection, index, key, after, limit) = find;
            let key = key.into_model();
            let answer: Answer<Vec<RowAbi>> =
                read(&mut context, collection.as_deref(), limit.max(1) as usize, |lookup| {
                    let rows =
                        lookup.find(collection.as_deref(), &index, &key, after.as_deref(), limit.max(1) as usize)?;
                    let bytes: usize = rows.iter().map(|(id, body)| id.len() + body.len()).sum();
                    if bytes > limits::STORE_READ_BYTES_MAX {
                        return Err(LookupError::OverLimit);
                    }
                    Ok(rows.into_iter().map(|(id, body)| RowAbi { id, body }).collect())
                });
            Ok((answer,))
        },
    )?;
    store.func_wrap("count", |mut context: Context<'_>, count: (Option<String>, String, KeyAbi, u32)| {
        charge(&mut context)?;
        let (collection, index, key, limit) = count;
        let (key, limit) = (key.into_model(), limit.max(1) as usize);
        let answer: Answer<u32> = read(&mut context, collection.as_deref(), limit, |lookup| {
            lookup.count(collection.as_deref(), &index, &key, limit).map(|count| count as u32)
        });
        Ok((answer,))
    })
}

fn read<T>(
    context: &mut Context<'_>,
    collection: Option<&str>,
    rows: usize,
    work: impl FnOnce(&mut dyn Lookup) -> Result<T, LookupError>,
) -> Answer<T> {
    let state = context.data_mut();
    state.store_reads += 1;
    if collection.is_some_and(|wanted| !state.readable.iter().any(|name| name.as_str() == wanted)) {
        return Err(StoreErrorAbi::NotGranted);
    }
    if rows > limits::STORE_READ_ROWS_MAX || state.store_reads > limits::STORE_READS_MAX {
        return Err(StoreErrorAbi::OverLimit);
    }
    let Some(lookup) = state.lookup.as_deref_mut() else {
        return Err(StoreErrorAbi::Other("this run has no store to read".to_owned()));
    };
    counted(|| work(lookup)).map_err(|error| match error {
        LookupError::NotGranted => StoreErrorAbi::NotGranted,
        LookupError::NoSuchCollection => StoreErrorAbi::NoSuchCollection,
        LookupError::NoSuchIndex => StoreErrorAbi::NoSuchIndex,
        LookupError::OverLimit => StoreErrorAbi::OverLimit,
        LookupError::Other(why) => StoreErrorAbi::Other(why),
    })
}
