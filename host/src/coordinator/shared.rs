//! What the lanes need to know of a run. Fixed for the run's life; the plugins are not (see `chain`).

use std::sync::Arc;
use std::time::Duration;

use super::serial::StoreView;
use crate::model::Name;
use crate::source::Decoder;

/// See the module.
pub(super) struct RunShared {
    pub uuid: Arc<str>,
    /// Time of a call where its slot has none of its own.
    pub deadline: Duration,
    pub now_ms: u64,
    pub seed: u64,
    /// Collection that items go to.
    pub target: Name,
    /// Judges bodies that plugins return; knows where the id stands, if the run does.
    pub body_decoder: Decoder,
    /// Present where a plugin reads the store: then batches are computed one at a time.
    pub view: Option<StoreView>,
}

impl RunShared {
    /// See [`StoreView::one_by_one`].
    pub fn one_by_one(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.one_by_one)
    }
}
