//! What a run is told about its batches.

use std::fmt;

/// Evenly apart on a logarithmic scale, from the smallest to the largest size that is planned by default.
pub const BATCH_SIZES: [u64; 5] = [10, 31, 100, 316, 1000];
pub const LANES: [u64; 2] = [1, 2];

/// Who plans, and within which bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// A cell of the grid: everything under way at once, nothing planned anew.
    Fixed { batch_size: u64, lanes: u64 },
    /// As it is by default.
    Sequential,
    /// Free within the bounds of the grid.
    Adaptive,
}

impl Setting {
    /// All cells, those of one lane first.
    pub fn grid() -> impl Iterator<Item = Setting> {
        LANES.into_iter().flat_map(|lanes| BATCH_SIZES.map(|batch_size| Setting::Fixed { batch_size, lanes }))
    }

    /// Of `atlas-host run`.
    pub fn arguments(self) -> Vec<String> {
        let line = match self {
            Setting::Fixed { batch_size, lanes } => {
                format!("--strategy concurrent --batch-size {batch_size} --lanes {lanes}")
            }
            Setting::Sequential => "--strategy sequential".to_owned(),
            Setting::Adaptive => {
                let (sizes, lanes) = (BATCH_SIZES, LANES);
                let (least, most) = (sizes[0], sizes[sizes.len() - 1]);
                format!(
                    "--strategy adaptive --batch-size {least}..{most} --lanes {}..{}",
                    lanes[0],
                    lanes[lanes.len() - 1]
                )
            }
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Fixed { batch_size, lanes } => write!(f, "{batch_size} × {lanes}"),
            Setting::Sequential => f.write_str("sequential"),
            Setting::Adaptive => f.write_str("adaptive"),
        }
    }
}
