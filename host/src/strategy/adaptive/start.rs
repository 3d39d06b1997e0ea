//! Where a run begins.

use super::Setting;
use crate::strategy::{Bounds, lanes_in_words};

/// Where a run begins, and why there.
pub(super) fn start(bounds: &Bounds) -> (Setting, String) {
    let (sizes, lanes) = (bounds.batch_size, bounds.lanes);
    if let Some(start) = &bounds.start {
        let lanes = lanes.clamp(start.lanes);
        // What was good lies outside of the bounds: then the nearest size that by the costs is about as good as any.
        let size = match &start.costs {
            Some(costs) if sizes.clamp(start.batch_size) != start.batch_size => {
                costs.sufficient_size(sizes, lanes, 0.0)
            }
            _ => sizes.clamp(start.batch_size),
        };
        let setting = Setting { size, lanes };
        let why =
            format!("starts at batches of {}, {}: from {}", setting.size, lanes_in_words(setting.lanes), start.source);
        return (setting, why);
    }
    let size = (sizes.min() as f64).powf(0.25) * (sizes.max() as f64).powf(0.75);
    let setting = Setting { size: sizes.clamp(size.round() as usize), lanes: lanes.max() };
    let why = format!(
        "starts at batches of {}, in the upper part of {}..{}, {}",
        setting.size,
        sizes.min(),
        sizes.max(),
        lanes_in_words(setting.lanes)
    );
    (setting, why)
}
