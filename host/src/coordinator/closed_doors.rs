//! Programs that fail to compile, one for each part of the engine room: what writes, calls plugins or emits events is driven by
//! the coordinator alone, so that no item reaches a store but through [`Host::run`](super::Host::run). Documentation tests compile them as programs from
//! outside; a test in `tests/tidy/doors.rs` sees to it that each name exists, so that none fails for being misspelt.
//!
//! What an embedding program needs is open:
//! ```
//! use atlas_host::coordinator::{Host, HostOptions, Job};
//! use atlas_host::event::Event;
//! use atlas_host::monitor::{Monitor, Recording, Watched};
//! use atlas_host::plugin::{Call, Operation, Plugin, Validator};
//! use atlas_host::processor::{MemoryProcessor, Processor};
//! use atlas_host::source::{ListSource, Source};
//! use atlas_host::store::{LetterFilter, Reader};
//! use atlas_host::strategy::Strategy;
//! ```
//! `Cutter` is closed: the reader's half of the loop.
//! ```compile_fail,E0603
//! use atlas_host::source::Cutter;
//! ```
//! `Slot` is closed: a plugin with its sandboxes.
//! ```compile_fail,E0603
//! use atlas_host::plugin::Slot;
//! ```
//! `CallRuntime` is closed: the timers that a call runs under.
//! ```compile_fail,E0603
//! use atlas_host::plugin::CallRuntime;
//! ```
//! `PluginLoader` is closed: an embedding program asks `Host::load_plugin`.
//! ```compile_fail,E0603
//! use atlas_host::plugin::PluginLoader;
//! ```
//! `PluginEngine` is closed: an embedding program has it inside of `Host`.
//! ```compile_fail,E0603
//! use atlas_host::plugin::PluginEngine;
//! ```
//! `Writer` is closed: an embedding program asks `Host::transaction`.
//! ```compile_fail,E0603
//! use atlas_host::store::Writer;
//! ```
//! `Store` is closed: the face of the writer.
//! ```compile_fail,E0603
//! use atlas_host::store::Store;
//! ```
//! `StorageProcessor` is closed: the one that owns the writer.
//! ```compile_fail,E0603
//! use atlas_host::processor::StorageProcessor;
//! ```
//! `EventHub` is closed: only runs emit events.
//! ```compile_fail,E0603
//! use atlas_host::monitor::EventHub;
//! ```
