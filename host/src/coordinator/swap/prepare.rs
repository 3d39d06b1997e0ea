//! The thread that prepares one candidate, off the lanes: load, check, compile, start, try.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::trial::{self, Trial, us};
use super::{Refused, SwapRequest, SwapSettings, inputs};
use crate::coordinator::chain::Chain;
use crate::coordinator::lanes::panic_text;
use crate::coordinator::shared::RunShared;
use crate::error::{Code, Error};
use crate::event::SwapFigures;
use crate::limits;
use crate::model::{Batch, Name};
use crate::plugin::{CallRuntime, PluginLoader, Slot, SlotSettings};

/// Where dead letters are looked for.
pub(in crate::coordinator) struct Letters {
    pub store: PathBuf,
    pub collection: Name,
}

/// All that a preparation needs.
pub(in crate::coordinator) struct Order {
    /// Of the candidate within the run.
    pub number: u64,
    pub request: SwapRequest,
    pub loader: PluginLoader,
    pub filling: SlotSettings,
    pub run: Arc<RunShared>,
    pub chain: Arc<Chain>,
    /// Place of the slot in the chain.
    pub place: usize,
    pub settings: SwapSettings,
    /// Committed batches of late, oldest first.
    pub recent: Vec<Arc<Batch>>,
    pub letters: Option<Letters>,
    /// Set when nobody wants the candidate any more.
    pub stop: Arc<AtomicBool>,
}

/// What the run is told of a candidate.
pub(in crate::coordinator) struct News {
    pub number: u64,
    pub what: What,
}

/// See [`News`]. After `Refused` and `Tried` comes `Gone`, and nothing after that.
pub(in crate::coordinator) enum What {
    Compiled {
        reason: String,
    },
    Probed,
    /// It has passed its trial, and can fill its slot.
    Tried {
        slot: Arc<Slot>,
        figures: SwapFigures,
        reason: String,
    },
    Refused {
        refused: Refused,
        figures: Option<SwapFigures>,
    },
    Gone,
}

/// Starts the thread.
///
/// Errors: OPERATION_5003 where the system gives no thread.
pub(in crate::coordinator) fn start(order: Order, news: Sender<News>) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name("atlas-swap".into())
        .spawn(move || {
            let number = order.number;
            // A run that has ended no longer listens.
            let tell = |what| drop(news.send(News { number, what }));
            let done = catch_unwind(AssertUnwindSafe(|| prepare(order, &tell)));
            tell(match done {
                Ok(Ok(tried)) => tried,
                Ok(Err(Failure { refused, figures })) => {
                    What::Refused { refused, figures: figures.map(|boxed| *boxed) }
                }
                Err(panic) => {
                    let reason = format!("its preparation panicked: {}", panic_text(panic.as_ref()));
                    What::Refused { refused: Refused::new(Code::Internal, reason), figures: None }
                }
            });
            tell(What::Gone);
        })
        .map_err(|error| Error::new(Code::Internal, format!("no thread can be started: {error}")))
}

/// Why a candidate is refused, and what was measured until then.
struct Failure {
    refused: Refused,
    figures: Option<Box<SwapFigures>>,
}

impl Failure {
    /// Before anything was measured.
    fn early(refused: impl Into<Refused>) -> Self {
        Self { refused: refused.into(), figures: None }
    }
}

fn prepare(order: Order, tell: &dyn Fn(What)) -> Result<What, Failure> {
    let old = order.chain.slots().nth(order.place).expect("BUG: the slot is in the chain");
    let (request, role) = (&order.request, old.role());
    let plugin =
        order.loader.load_beside(Arc::clone(&request.bytes), &request.name, &order.stop).map_err(Failure::early)?;
    plugin.check(role).map_err(Failure::early)?;
    if plugin.imports_store() && order.run.view.is_none() {
        let reason = "it imports the interface store, and no plugin did when the run began, so that batches are computed \
                      side by side; begin a new run with it";
        return Err(Failure::early(Refused::new(Code::PluginImport, reason)));
    }
    let from = if plugin.from_cache() { "compiled before" } else { "compiled now" };
    tell(What::Compiled { reason: format!("{} bytes, {from}", request.bytes.len()) });
    let slot = Slot::of_component(request.slot.clone(), role, &plugin, order.filling).map_err(Failure::early)?;
    let slot = Arc::new(slot);
    tell(What::Probed);
    let runtime = CallRuntime::new()
        .map_err(|error| Failure::early(Refused::new(Code::GuestStart, format!("no timers for plugins: {error}"))))?;
    let mut trial = Trial {
        run: &order.run,
        runtime: &runtime,
        old,
        new: &slot,
        settings: order.settings,
        stop: &order.stop,
        until: Instant::now() + limits::SWAP_TRIAL_TIME_MAX,
        figures: SwapFigures::default(),
    };
    let seen = |items| inputs::through(&order.run, &order.chain, order.place, items, &runtime);
    let recent = seen(inputs::newest(&order.recent));
    if let Err(refused) = trial.compare(&recent) {
        return Err(Failure { refused, figures: Some(Box::new(trial.figures)) });
    }
    if let Some(letters) = order.letters.as_ref().filter(|_| !order.stop.load(Ordering::Relaxed)) {
        match inputs::letters(letters, request.slot.as_str()) {
            Ok(letters) => {
                let (letters, fates): (Vec<_>, Vec<_>) = letters.into_iter().unzip();
                let inputs = seen(letters);
                if let Err(refused) = trial.letters(&fates, &inputs) {
                    return Err(Failure { refused, figures: Some(Box::new(trial.figures)) });
                }
            }
            // Without them the items of late have to do.
            Err(error) => tracing::warn!(%error, "Dead letters cannot be read for the trial of a plugin."),
        }
    }
    let figures = trial.figures;
    let reason = in_words(&figures);
    Ok(What::Tried { slot, figures, reason })
}

fn in_words(figures: &SwapFigures) -> String {
    if figures.items == 0 && figures.faults_old > 0 {
        return format!("there was nothing to compare: the old one fails on all {} items of late", figures.faults_old);
    }
    if figures.items == 0 {
        return "there were no items of late to compare".to_owned();
    }
    let SwapFigures { items, fates_differing, bodies_differing, letters, letters_passing, differing, .. } = figures;
    let (old, new) = (us(figures.item_ns_old), us(figures.item_ns_new));
    let mut words = format!(
        "of {items} items {fates_differing} have another fate and {bodies_differing} another body; {new} per item, {old} before"
    );
    if let Some(one) = differing.first() {
        words.push_str(&format!("; {}", trial::in_words(one)));
    }
    if *letters > 0 {
        words.push_str(&format!("; {letters_passing} of {letters} open dead letters pass now"));
    }
    words
}
