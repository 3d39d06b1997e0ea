//! The profile `drift`: a load that changes along the way.
//!
//! Places are given in thousandths of the usual number of rows for the number
//! of projects, so that a row does not depend on how many are written. From
//! the end of that number on everything is as at the start.

use serde::Serialize;

use super::layout::Layout;

/// Work asked of a guest in `metadata.customFields.cost`, in the middle third;
/// elsewhere the field is absent, which means 1.
pub const COST: u64 = 8;
/// Rows per million that are broken inside the burst.
pub const BURST_PPM: u64 = 400_000;
/// Bytes of metadata at the top of the ramp.
const RAMP_BYTES: u64 = 16_384;

const COST_SPAN: Span = Span { from: 333, to: 667 };
const BURST_SPAN: Span = Span { from: 700, to: 750 };
const RAMP_SPAN: Span = Span { from: 800, to: 950 };

/// A stretch of the input, in thousandths; `to` is not part of it.
#[derive(Clone, Copy, Debug, Serialize)]
struct Span {
    from: u64,
    to: u64,
}

/// What happens where, as the manifest shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stretches {
    unit: &'static str,
    usual_rows: u64,
    cost: Span,
    cost_factor: u64,
    error_burst: Span,
    error_burst_ppm: u64,
    memory_ramp: Span,
    memory_ramp_bytes: u64,
}

/// The stretches for a layout.
pub fn stretches(layout: &Layout) -> Stretches {
    Stretches {
        unit: "thousandths of usual_rows",
        usual_rows: layout.round_rows(),
        cost: COST_SPAN,
        cost_factor: COST,
        error_burst: BURST_SPAN,
        error_burst_ppm: BURST_PPM,
        memory_ramp: RAMP_SPAN,
        memory_ramp_bytes: RAMP_BYTES,
    }
}

/// Whether the row at this position is a costly one.
pub fn is_costly(layout: &Layout, index: u64) -> bool {
    COST_SPAN.has(layout, index)
}

/// Whether the row at this position stands in the burst of errors.
pub fn in_burst(layout: &Layout, index: u64) -> bool {
    BURST_SPAN.has(layout, index)
}

/// Bytes of metadata of the row at this position, where the ramp decides.
pub fn ramp_bytes(layout: &Layout, index: u64) -> Option<usize> {
    RAMP_SPAN.has(layout, index).then(|| {
        let rows = layout.round_rows();
        let (from, to) = (RAMP_SPAN.from * rows / 1000, RAMP_SPAN.to * rows / 1000);
        (500 + RAMP_BYTES * (index - from) / (to - from).max(1)) as usize
    })
}

impl Span {
    fn has(self, layout: &Layout, index: u64) -> bool {
        let rows = layout.round_rows();
        (self.from * rows / 1000..self.to * rows / 1000).contains(&index)
    }
}
