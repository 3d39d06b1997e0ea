//! Which row of which project stands where in topological order.
//!
//! Projects get shares after Zipf's law with exponent 1.1. The order goes in
//! rounds; in a round every project gets its quota, in eight slices, so that
//! the projects are interleaved and any prefix holds rows of most of them.
//! Invariant: everything follows from the number of projects; both directions
//! are look-ups in a table of eight entries a project.

use anyhow::{Result, bail};

/// Rows that one project may have.
pub const PROJECT_ROWS_MAX: u64 = 20_000;

/// Projects that one file may have.
pub const PROJECTS_MAX: u32 = 1_000_000;

const SLICES: u64 = 8;

/// Usual number of rows for a number of projects; straight lines between,
/// and on along the last one.
const ROWS_BY_PROJECTS: [(u64, u64); 4] = [(1, 100), (10, 1000), (60, 10_000), (3000, 1_000_000)];

/// A row as its project knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The project's number, by size: 0 is the largest.
    pub project: u32,
    /// The row's number inside the project, from 0: its root.
    pub local: u64,
}

/// The interleaving of some number of projects.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Rows of each project in one round.
    quotas: Vec<u64>,
    /// Where each slice begins inside a round: slice by slice, in each the
    /// projects in order, and the length of the round at the end.
    starts: Vec<u64>,
}

impl Layout {
    /// The layout of `projects` projects, which must be able to hold `count`
    /// rows.
    ///
    /// # Errors
    /// Too few projects for `count`, none at all, or more than a million.
    pub fn new(projects: u32, count: u64) -> Result<Self> {
        if projects == 0 || projects > PROJECTS_MAX {
            bail!("found {projects} projects, wanted 1 to {PROJECTS_MAX}; hint: leave --projects out");
        }
        let quotas = quotas(projects);
        let mut starts = Vec::with_capacity(quotas.len() * SLICES as usize + 1);
        let mut next = 0;
        for slice in 0..SLICES {
            for &quota in &quotas {
                starts.push(next);
                next += bound(quota, slice + 1) - bound(quota, slice);
            }
        }
        starts.push(next);
        let layout = Self { quotas, starts };
        let capacity = layout.round_rows() * (PROJECT_ROWS_MAX / layout.quotas[0]);
        if count > capacity {
            bail!(
                "{projects} projects of at most {PROJECT_ROWS_MAX} rows hold {capacity} rows here, wanted {count}; \
                 hint: --projects {} or leave it out",
                usual_projects(count)
            );
        }
        Ok(layout)
    }

    /// Number of projects.
    pub fn projects(&self) -> u32 {
        self.quotas.len() as u32
    }

    /// Rows of one round: the usual size of a file with so many projects.
    pub fn round_rows(&self) -> u64 {
        self.starts[self.starts.len() - 1]
    }

    /// Where row `index` of the topological order belongs.
    pub fn place(&self, index: u64) -> Place {
        let (round, at) = (index / self.round_rows(), index % self.round_rows());
        let segment = self.starts.partition_point(|&start| start <= at) as u64 - 1;
        let projects = u64::from(self.projects());
        let (slice, project) = (segment / projects, segment % projects);
        let quota = self.quotas[project as usize];
        let local = round * quota + bound(quota, slice) + at - self.starts[segment as usize];
        Place { project: project as u32, local }
    }

    /// Position of a row in topological order: the inverse of `place`.
    pub fn index(&self, place: Place) -> u64 {
        let quota = self.quotas[place.project as usize];
        let (round, at) = (place.local / quota, place.local % quota);
        let slice = ((at + 1) * SLICES).div_ceil(quota) - 1;
        let segment = slice * u64::from(self.projects()) + u64::from(place.project);
        round * self.round_rows() + self.starts[segment as usize] + at - bound(quota, slice)
    }

    /// How many of the first `count` rows belong to a project.
    pub fn rows_of(&self, project: u32, count: u64) -> u64 {
        let (round, rest) = (count / self.round_rows(), count % self.round_rows());
        let quota = self.quotas[project as usize];
        let partial: u64 = (0..SLICES)
            .map(|slice| {
                let segment = (slice * u64::from(self.projects()) + u64::from(project)) as usize;
                let len = bound(quota, slice + 1) - bound(quota, slice);
                rest.saturating_sub(self.starts[segment]).min(len)
            })
            .sum();
        round * quota + partial
    }
}

/// The usual number of projects for a number of rows: 10 for 1,000, 60 for
/// 10,000, 3,000 for a million.
pub fn usual_projects(count: u64) -> u32 {
    let projects = interpolate(count, ROWS_BY_PROJECTS.map(|(projects, rows)| (rows, projects)));
    projects.clamp(1, u64::from(PROJECTS_MAX)) as u32
}

/// The line through the two points around `at`, rounded up.
fn interpolate(at: u64, points: [(u64, u64); 4]) -> u64 {
    let last = points.len() - 2;
    let from = (0..last).find(|&pair| at <= points[pair + 1].0).unwrap_or(last);
    let [(x0, y0), (x1, y1)] = [points[from], points[from + 1]];
    y0 + (at.saturating_sub(x0) * (y1 - y0)).div_ceil(x1 - x0)
}

/// Rows of a project in a round before slice `slice` begins.
fn bound(quota: u64, slice: u64) -> u64 {
    quota * slice / SLICES
}

/// Shares after Zipf's law, at least one row each and under the cap, that
/// together are no less than the usual number of rows.
fn quotas(projects: u32) -> Vec<u64> {
    let wanted = interpolate(u64::from(projects), ROWS_BY_PROJECTS);
    let weights: Vec<f64> = (1..=projects).map(|rank| 1.0 / (f64::from(rank) * tenth_root(f64::from(rank)))).collect();
    let with_scale = |scale: f64| -> Vec<u64> {
        weights.iter().map(|weight| ((weight * scale) as u64).clamp(1, PROJECT_ROWS_MAX)).collect()
    };
    // 20,000 rows for the last project need no larger scale than this.
    let (mut low, mut high) = (0.0, PROJECT_ROWS_MAX as f64 / weights[weights.len() - 1]);
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        if with_scale(middle).iter().sum::<u64>() < wanted { low = middle } else { high = middle }
    }
    with_scale(high)
}

/// The tenth root, from square roots alone: IEEE 754 rounds those the same
/// on every machine, other roots and powers it does not.
fn tenth_root(number: f64) -> f64 {
    const TENTH_IN_BINARY: u64 = (1 << 40) / 10;
    let (mut root, mut power) = (1.0, number);
    for bit in (0..40).rev() {
        power = power.sqrt();
        if TENTH_IN_BINARY >> bit & 1 == 1 {
            root *= power;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_positions_are_inverse_and_locals_rise_in_order() {
        for projects in [1, 2, 10, 60, 300] {
            let layout = Layout::new(projects, 0).expect("it can hold nothing");
            let count = layout.round_rows() + layout.round_rows() / 3;
            let mut next = vec![0; projects as usize];
            for index in 0..count {
                let place = layout.place(index);
                assert_eq!(layout.index(place), index);
                assert_eq!(place.local, next[place.project as usize]);
                next[place.project as usize] += 1;
            }
            for (project, &rows) in next.iter().enumerate() {
                assert_eq!(layout.rows_of(project as u32, count), rows);
            }
        }
    }

    #[test]
    fn usual_numbers_of_projects_hold_what_they_are_for() {
        assert_eq!([1000, 10_000, 1_000_000].map(usual_projects), [10, 60, 3000]);
        for count in [0, 1, 7, 100, 999, 1000, 1001, 2000, 9999, 10_000, 77_777, 1_000_000, 3_000_000] {
            let layout = Layout::new(usual_projects(count), count).expect("the usual number suffices");
            assert!(layout.quotas.iter().all(|&quota| (1..=PROJECT_ROWS_MAX).contains(&quota)));
            assert!(layout.round_rows() >= count || count > 1_000_000, "{count}");
        }
    }

    #[test]
    fn shares_follow_the_law() {
        let layout = Layout::new(60, 0).expect("it can hold nothing");
        let ratio = layout.quotas[0] as f64 / layout.quotas[9] as f64;
        assert!((ratio - 10.0_f64.powf(1.1)).abs() < 0.5, "{ratio}");
    }

    #[test]
    fn too_few_projects_are_refused_with_a_number_that_suffices() {
        let error = Layout::new(10, 1_000_000).expect_err("10 projects cannot hold a million rows").to_string();
        assert!(error.contains("--projects 3000"), "{error}");
        assert!(Layout::new(0, 1).is_err());
    }
}
