//! The run's side of exchanging plugins: which candidates there are. How a candidate does on live batches, before it takes
//! effect and after, is `proving`; how it takes effect is `effect`.
//!
//! Invariants: the chain changes between two cuts alone; each step is told once, and kept with the batch that it is about.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::Run;
use super::carried::Kept;
use super::steps::{IN_FORCE, Meta, Step, Words};
use crate::coordinator::chain::Chain;
use crate::coordinator::inbox::Ticket;
use crate::coordinator::swap::prepare::{self, Letters, News, Order, What};
use crate::coordinator::swap::probation::{self, SlotBatch};
use crate::coordinator::swap::shadow::Shadow;
use crate::coordinator::swap::watch::{WatchedFile, Watcher};
use crate::coordinator::swap::{Refused, SwapRequest, SwapSettings, Wish};
use crate::error::{Code, Result};
use crate::event::SwapFigures;
use crate::limits;
use crate::model::{Batch, Digest, Name, RecordKind};
use crate::plugin::{PluginLoader, Slot, SlotSettings};
use crate::store::SwapRow;

/// Why a candidate is skipped that the end of its run leaves behind.
const ENDED: &str = "the run ended before it took effect";

/// How the slots of a run can be filled anew.
pub(in crate::coordinator) struct Swapping {
    /// None where the run has no component.
    pub loader: Option<PluginLoader>,
    pub settings: SwapSettings,
    /// Grants and settings of each component's slot, and the digest that it is pinned to.
    pub fillings: HashMap<Name, (SlotSettings, Option<Digest>)>,
    /// Files to be followed.
    pub watch: Vec<WatchedFile>,
    /// What stands in some of them and has been judged already, where that is not what fills the slot.
    pub judged: HashMap<Name, Digest>,
    /// Store in which dead letters are looked for; none where none is kept.
    pub store: Option<PathBuf>,
    /// Settings that decide results, as the run began or went on with them.
    pub identity: Vec<(String, String)>,
}

/// A candidate that is being prepared, or runs beside the old plugin.
pub(super) struct Candidate {
    number: u64,
    pub meta: Meta,
    pub wish: Wish,
    pub stop: Arc<AtomicBool>,
    /// Once it has passed its trial, if it is to run beside live batches: how many were cut with it, and how many are done.
    pub shadow: Option<(Arc<Shadow>, u64, u64)>,
}

/// A plugin that took effect and may be put back.
pub(in crate::coordinator) struct Probation {
    pub(super) meta: Meta,
    pub(super) slot: Arc<Slot>,
    /// What comes back.
    pub(super) fallback: Arc<Slot>,
    /// What it did of late.
    pub(super) base: VecDeque<SlotBatch>,
    pub(super) seen: Vec<SlotBatch>,
}

impl Probation {
    /// What is known of the old one; none where no batch tells of it.
    pub(super) fn known(&self, settings: SwapSettings) -> Option<SwapFigures> {
        (!self.base.is_empty()).then(|| probation::judge(self.base.iter(), &[], settings).0)
    }

    /// Where another run goes on with it.
    fn goes_on(&self, settings: SwapSettings) -> SwapRow {
        let meta = Meta { old_digest: self.fallback.digest(), ..self.meta.clone() };
        let words = Words { figures: self.known(settings), ..Words::of("its probation goes on") };
        meta.row(Step::TookEffect, &words)
    }
}

/// See the module.
pub(in crate::coordinator) struct Swapper {
    news: (Sender<News>, Receiver<News>),
    requests: (Sender<Wish>, Receiver<Wish>),
    pub(super) watcher: Option<Watcher>,
    next_number: u64,
    /// One per slot at the most.
    pub(super) candidates: Vec<Candidate>,
    /// The newest of each slot, waiting for the thread of an older one to end.
    pub(super) queued: Vec<(Wish, Meta)>,
    pub(super) threads: Vec<(u64, Name, JoinHandle<()>)>,
    /// In the chain, and not yet told, since no batch was cut with them.
    pub(super) taken: Vec<Meta>,
    pub(super) probations: Vec<Probation>,
    /// Those whose plugin has made way for a newer one: batches cut with it may still be under way.
    pub(super) superseded: Vec<Probation>,
    /// Batches of late, by slot.
    pub(super) history: HashMap<Name, VecDeque<SlotBatch>>,
    /// Steps to be kept with the first batch whose chain is of this generation or a later one.
    pub(super) rows: Vec<(u64, SwapRow)>,
    /// Steps that belong to no batch, not yet kept.
    pub(super) loose: Vec<SwapRow>,
    /// Those of the run that the store did not take, since another process held it.
    pub(super) unkept: Arc<Mutex<Vec<SwapRow>>>,
    /// The chain as the store knows it.
    pub(super) noted: Arc<Chain>,
    /// Committed batches of late that have items, and how many, oldest first.
    recent: VecDeque<(Arc<Batch>, usize)>,
    recent_items: usize,
    /// No batch is cut before this, as long as candidates are being prepared that came between two runs.
    pub(super) hold: Option<Instant>,
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.end_threads(Instant::now());
    }
}

impl Swapper {
    /// As the run before has left it, if it has left anything.
    ///
    /// Errors: OPERATION_5003 where files are to be followed and the system gives no thread.
    pub fn begin(swapping: &mut Swapping, chain: &Arc<Chain>, kept: Option<Kept>) -> Result<Self> {
        let Some(Kept { mut swapper, .. }) = kept else { return Self::new(swapping, chain) };
        (swapper.noted, swapper.unkept) = (Arc::clone(chain), Arc::default());
        // Kept for this run as well: it may be killed, and the same command looks at its steps alone. One that goes on with
        // plugins of its own has nothing to do with them.
        let told = |one: &&Probation| !swapper.taken.iter().any(|meta| meta.is(&one.meta));
        let here = |one: &&Probation| chain.place_of(&one.slot).is_some();
        let on = swapper.probations.iter().filter(told).filter(here);
        let rows: Vec<_> = on.map(|probation| (chain.generation, probation.goes_on(swapping.settings))).collect();
        swapper.rows.extend(rows);
        Ok(swapper)
    }

    fn new(swapping: &mut Swapping, chain: &Arc<Chain>) -> Result<Self> {
        // What is not yet heard of is handed over again by the watcher.
        let requests = bounded(limits::PLUGINS_MAX);
        let files: Vec<_> = std::mem::take(&mut swapping.watch)
            .into_iter()
            .map(|file| {
                let filled = || chain.find(&file.slot).and_then(|(_, slot)| slot.digest());
                let known = swapping.judged.get(&file.slot).copied().or_else(filled);
                (file, known)
            })
            .collect();
        let watcher = match files.is_empty() {
            true => None,
            false => Some(Watcher::start(files, requests.0.clone())?),
        };
        Ok(Self {
            // A handful for each candidate, and of these there is one per slot.
            news: unbounded(),
            requests,
            watcher,
            next_number: 0,
            candidates: Vec::new(),
            queued: Vec::new(),
            threads: Vec::new(),
            taken: Vec::new(),
            probations: Vec::new(),
            superseded: Vec::new(),
            history: HashMap::new(),
            rows: Vec::new(),
            loose: Vec::new(),
            unkept: Arc::default(),
            noted: Arc::clone(chain),
            recent: VecDeque::new(),
            recent_items: 0,
            hold: None,
        })
    }

    /// Plugins that are on probation from the beginning.
    pub fn judge_again(&mut self, probations: Vec<Probation>) {
        self.probations.extend(probations);
    }

    pub fn news(&self) -> &Receiver<News> {
        &self.news.1
    }

    pub fn requests(&self) -> &Receiver<Wish> {
        &self.requests.1
    }

    /// Keeps a committed batch for trials, as long as its items are among the newest.
    pub fn committed(&mut self, batch: &Arc<Batch>) {
        // What is no item tells nothing of a plugin.
        let items = batch.records.iter().filter(|record| matches!(record.kind, RecordKind::Item { .. })).count();
        if items == 0 {
            return;
        }
        self.recent.push_back((Arc::clone(batch), items));
        self.recent_items += items;
        while let Some((_, oldest)) = self.recent.front()
            && self.recent_items - oldest >= limits::SWAP_TRIAL_ITEMS
        {
            self.recent_items -= oldest;
            self.recent.pop_front();
        }
    }

    pub(super) fn candidate(&mut self, number: u64) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|candidate| candidate.number == number)
    }

    /// Lets whoever asks for a plugin that no batch was cut with yet hear whether one is. False if there is no such plugin.
    fn joins_untold(&mut self, meta: &Meta) -> bool {
        if !self.taken.iter().any(|taken| taken.is(meta)) {
            return false;
        }
        let metas = self.taken.iter_mut().chain(self.probations.iter_mut().map(|probation| &mut probation.meta));
        metas.filter(|one| one.is(meta)).for_each(|one| one.tickets.extend(meta.tickets.iter().cloned()));
        true
    }

    /// The same candidate as this one, if it came before and waits or is being prepared.
    fn under_way(&mut self, meta: &Meta) -> Option<&mut Meta> {
        let queued = self.queued.iter_mut().map(|(_, meta)| meta);
        queued.chain(self.candidates.iter_mut().map(|one| &mut one.meta)).find(|one| one.is(meta))
    }

    /// Has the threads of all candidates end, and waits for those that were to end since then. One whose call does not return
    /// is left to end with its deadline.
    pub(super) fn end_threads(&mut self, since: Instant) {
        for candidate in &self.candidates {
            candidate.stop.store(true, Ordering::Relaxed);
        }
        let until = since + limits::SWAP_END_WAIT;
        while !self.threads.is_empty()
            && let Ok(news) = self.news.1.recv_deadline(until)
        {
            if let What::Gone = news.what {
                self.join(news.number);
            }
        }
        self.threads.clear();
    }

    /// A thread has said its last word; a panic was caught in it.
    fn join(&mut self, number: u64) {
        if let Some(at) = self.threads.iter().position(|(of, ..)| *of == number) {
            let (_, _, thread) = self.threads.swap_remove(at);
            let _ = thread.join();
        }
    }

    pub(super) fn take(&mut self, number: u64) -> Option<Candidate> {
        let at = self.candidates.iter().position(|candidate| candidate.number == number)?;
        Some(self.candidates.swap_remove(at))
    }
}

impl Run<'_> {
    /// Somebody wants another plugin in a slot.
    pub(super) fn swap_asked(&mut self, wish: Wish, ticket: Option<Ticket>) {
        let request = &wish.request;
        let slot = self.chain.find(&request.slot).map(|(_, slot)| Arc::clone(slot));
        let mut meta = Meta {
            slot: request.slot.clone(),
            source: request.source.as_str(),
            name: request.name.clone(),
            old_digest: slot.as_ref().and_then(|slot| slot.digest()),
            new_digest: wish.digest,
            came: Instant::now(),
            tickets: ticket.into_iter().collect(),
        };
        let came = match self.swapper.recent.is_empty() {
            false => format!("{} bytes", request.bytes.len()),
            true => format!("{} bytes; it is tried with the first items that are committed", request.bytes.len()),
        };
        self.tell_swap(Step::Requested, &meta, Words::of(came));
        if self.stop_begun.is_some() {
            self.tell_swap(Step::Skipped, &meta, Words::of(ENDED));
            return;
        }
        if let Err(refused) = self.admitted(request, slot.as_ref(), meta.new_digest) {
            self.tell_swap(Step::Refused, &meta, Words::refused(refused, None));
            return;
        }
        if let Some(under_way) = self.swapper.under_way(&meta) {
            // The same one is being prepared: whoever has asked hears how it goes on.
            under_way.tickets.append(&mut meta.tickets);
            self.keep_loose();
            return;
        }
        // The newest wins.
        let newer = || Words::of("a newer candidate came");
        if let Some(at) = self.swapper.queued.iter().position(|(waiting, _)| waiting.request.slot == request.slot) {
            let (_, older) = self.swapper.queued.remove(at);
            self.tell_swap(Step::Skipped, &older, newer());
        }
        if let Some(older) = self.swapper.candidates.iter().find(|candidate| candidate.meta.slot == request.slot) {
            let number = older.number;
            self.give_up(number, newer());
        }
        if self.swapper.joins_untold(&meta) {
            self.keep_loose();
            return;
        }
        if meta.old_digest == Some(meta.new_digest) {
            self.tell_swap(Step::Skipped, &meta, Words::of(IN_FORCE));
            return;
        }
        self.swapper.queued.push((wish, meta));
        self.start_queued();
        if !self.swapper.queued.is_empty() {
            // It may wait for long.
            self.keep_loose();
        }
    }

    fn admitted(&self, request: &SwapRequest, slot: Option<&Arc<Slot>>, digest: Digest) -> Result<(), Refused> {
        let refuse = |reason: String| Err(Refused::new(Code::ConfigInvalid, reason));
        if slot.is_none() {
            let names: Vec<&str> = self.chain.slots().map(|slot| slot.name().as_str()).collect();
            return refuse(format!("this run has no slot {}; its slots are {}", request.slot, names.join(", ")));
        }
        let Some((_, pinned)) = self.parts.swapping.fillings.get(&request.slot) else {
            return refuse(format!("slot {} is filled with native code, which cannot be exchanged", request.slot));
        };
        match pinned {
            Some(pinned) if *pinned != digest => {
                refuse(format!("slot {} is pinned to {pinned} by the configuration", request.slot))
            }
            _ => Ok(()),
        }
    }

    /// Starts what waits, where no older candidate of its slot is still at work.
    ///
    /// With no items to try them with they wait for the first ones: nobody would know what they do to a batch.
    pub(super) fn start_queued(&mut self) {
        if self.swapper.recent.is_empty() {
            return;
        }
        let busy = |swapper: &Swapper, slot: &Name| swapper.threads.iter().any(|(_, name, _)| name == slot);
        while let Some(at) = self.swapper.queued.iter().position(|(_, meta)| !busy(&self.swapper, &meta.slot)) {
            let (wish, meta) = self.swapper.queued.remove(at);
            self.start_candidate(wish, meta);
        }
    }

    fn start_candidate(&mut self, wish: Wish, meta: Meta) {
        let request = wish.request.clone();
        let number = self.swapper.next_number;
        self.swapper.next_number += 1;
        let swapping = &self.parts.swapping;
        let (place, _) = self.chain.find(&request.slot).expect("BUG: the slot of a candidate is gone");
        let (filling, _) = swapping.fillings.get(&request.slot).expect("BUG: a slot of native code has a candidate");
        let loader = swapping.loader.clone().expect("BUG: a run with components has a loader");
        let stop = Arc::new(AtomicBool::new(false));
        let letters =
            swapping.store.clone().map(|store| Letters { store, collection: self.parts.shared.target.clone() });
        let order = Order {
            number,
            request,
            loader,
            filling: filling.clone(),
            run: Arc::clone(&self.parts.shared),
            chain: Arc::clone(&self.chain),
            place,
            settings: swapping.settings,
            recent: self.swapper.recent.iter().map(|(batch, _)| Arc::clone(batch)).collect(),
            letters,
            stop: Arc::clone(&stop),
        };
        match prepare::start(order, self.swapper.news.0.clone()) {
            Ok(thread) => {
                self.swapper.threads.push((number, meta.slot.clone(), thread));
                self.swapper.candidates.push(Candidate { number, meta, wish, stop, shadow: None });
            }
            Err(error) => self.tell_swap(Step::Refused, &meta, Words::refused(error.into(), None)),
        }
    }

    /// A candidate that nobody wants any more.
    fn give_up(&mut self, number: u64, words: Words) {
        if let Some(candidate) = self.swapper.take(number) {
            candidate.stop.store(true, Ordering::Relaxed);
            if let Some((shadow, ..)) = &candidate.shadow {
                shadow.close();
            }
            self.tell_swap(Step::Skipped, &candidate.meta, words);
        }
    }

    pub(super) fn swap_news(&mut self, news: News) {
        let number = news.number;
        let known = self.swapper.candidate(number).map(|candidate| candidate.meta.clone());
        match (news.what, known) {
            (What::Gone, _) => {
                self.swapper.join(number);
                self.start_queued();
            }
            // Given up meanwhile.
            (_, None) => {}
            (What::Compiled { reason }, Some(meta)) => self.tell_swap(Step::Compiled, &meta, Words::of(reason)),
            (What::Probed, Some(meta)) => {
                self.tell_swap(Step::Probed, &meta, Words::of("it starts in a fresh sandbox"));
            }
            (What::Refused { refused, figures }, Some(meta)) => {
                self.swapper.take(number);
                if self.stop_begun.is_some() {
                    // What a stop may have cut short is no judgement: whoever goes on tries it again.
                    let reason = format!("the run is being stopped: {}", refused.reason);
                    self.tell_swap(Step::Skipped, &meta, Words { figures, ..Words::of(reason) });
                    return;
                }
                self.tell_swap(Step::Refused, &meta, Words::refused(refused, figures));
            }
            (What::Tried { slot, figures, reason }, Some(meta)) => {
                self.tell_swap(Step::Tried, &meta, Words { figures: Some(figures), ..Words::of(reason) });
                if self.parts.swapping.settings.shadow_batches == 0 {
                    self.swapper.take(number);
                    self.take_effect(meta, slot);
                    return;
                }
                let (place, _) = self.chain.find(&meta.slot).expect("BUG: the slot of a candidate is gone");
                let shadow = Arc::new(Shadow::new(number, place, slot));
                if let Some(candidate) = self.swapper.candidate(number) {
                    candidate.shadow = Some((shadow, 0, 0));
                }
            }
        }
    }

    /// Whatever is on its way can take effect no more.
    pub(super) fn end_candidates(&mut self) {
        self.swapper.watcher = None;
        for (_, meta) in std::mem::take(&mut self.swapper.queued) {
            self.tell_swap(Step::Skipped, &meta, Words::of(ENDED));
        }
        while let Some(candidate) = self.swapper.candidates.first() {
            let number = candidate.number;
            self.give_up(number, Words::of(ENDED));
        }
    }

    /// The run is over: whatever is on its way is given up, and its threads end.
    pub(super) fn end_swaps(&mut self) {
        self.end_candidates();
        let untold = std::mem::take(&mut self.swapper.taken);
        for meta in &untold {
            self.tell_swap(Step::Skipped, meta, Words::of(ENDED));
        }
        let mut probations = std::mem::take(&mut self.swapper.probations);
        probations.retain(|probation| !untold.iter().any(|meta| meta.is(&probation.meta)));
        for probation in probations {
            let settings = self.parts.swapping.settings;
            let (figures, _) = probation::judge(probation.base.iter(), &probation.seen, settings);
            let reason = format!("the run ended after {} batches of its probation", figures.batches);
            let words = Words { figures: Some(figures), ..Words::of(reason) };
            self.tell_swap(Step::Settled, &probation.meta, words);
        }
        self.swapper.end_threads(self.stop_begun.unwrap_or_else(Instant::now));
        let rows = std::mem::take(&mut self.swapper.rows).into_iter().map(|(_, row)| row);
        self.swapper.loose.extend(rows);
        self.keep_loose();
    }
}
