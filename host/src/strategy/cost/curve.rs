//! `a + b·n + c·n²` through the mean costs of sizes, with no part below 0, and how sure that is.

/// A square part must explain this many variances more than a line does, else it is noise: two standard deviations.
const SQUARE_MIN: f64 = 4.0;
/// Relative scatter of a batch's cost below which it is not believed, however even a few batches were.
const SCATTER_MIN: f64 = 0.02;

/// Mean cost of some batches of about the same size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Batches that it stands for.
    pub weight: f64,
    pub items: f64,
    pub us: f64,
}

/// `part[0] + part[1]·n + part[2]·n²` microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Curve {
    part: [f64; 3],
    /// Covariance of the parts; 0 for one that is not there.
    covariance: [[f64; 3]; 3],
}

impl Curve {
    /// Weighted least squares of the *relative* errors: costs scatter by a part of themselves, so that a small batch, which
    /// tells `a`, is known as exactly as a large one, which tells `b`. A part that would be negative is left out (least
    /// squares under bounds, by trying every set of parts: Lawson and Hanson, 1974, "Solving Least Squares Problems").
    /// The square is there only where it explains clearly more than a line.
    pub fn fit(points: &[Point], scatter: f64) -> Self {
        let scatter = scatter.max(SCATTER_MIN);
        let Some((line, line_rest)) = best(points, &LINES) else { return Self::default() };
        let chosen = match best(points, &SQUARES) {
            Some((curve, rest)) if line_rest - rest > SQUARE_MIN * scatter * scatter => curve,
            _ => line,
        };
        let covariance = chosen.covariance.map(|row| row.map(|value| value * scatter * scatter));
        Self { covariance, ..chosen }
    }

    /// `a` and `b` of the line alone.
    pub fn line(points: &[Point]) -> [f64; 2] {
        let [fixed, item, _] = best(points, &LINES).map_or([0.0; 3], |(line, _)| line.part);
        [fixed, item]
    }

    /// Microseconds for this many items.
    pub fn us(&self, items: f64) -> f64 {
        self.part[0] + self.part[1] * items + self.part[2] * items * items
    }

    /// Standard error of the difference in time per item between two sizes, in microseconds.
    pub fn doubt_us_per_item(&self, one: f64, other: f64) -> f64 {
        let v = [1.0 / one - 1.0 / other, 0.0, one - other];
        let sum = |row: usize| (0..3).map(|column| v[row] * self.covariance[row][column] * v[column]).sum::<f64>();
        (0..3).map(sum).sum::<f64>().max(0.0).sqrt()
    }
}

/// Sets of parts, a bit each.
const LINES: [usize; 3] = [0b010, 0b011, 0b001];
const SQUARES: [usize; 4] = [0b100, 0b101, 0b110, 0b111];

/// The best of these sets, and what it leaves.
fn best(points: &[Point], sets: &[usize]) -> Option<(Curve, f64)> {
    sets.iter().filter_map(|set| solve(points, *set)).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Least squares with exactly the parts of this set (a bit each), and the weighted sum of squares that is left; none where
/// a part is negative, or the points do not tell them apart.
fn solve(points: &[Point], set: usize) -> Option<(Curve, f64)> {
    let parts: Vec<usize> = (0..3).filter(|part| set & (1 << part) != 0).collect();
    // One size alone tells what an item costs, and nothing else.
    if points.len() < parts.len() || points.len() == 1 && set != LINES[0] {
        return None;
    }
    let row = |point: &Point| parts.iter().map(|part| point.items.powi(*part as i32) / point.us).collect::<Vec<f64>>();
    let size = parts.len();
    // Normal equations, with the unit matrix beside them: elimination leaves the inverse there.
    let mut matrix = vec![vec![0.0; 2 * size + 1]; size];
    for point in points {
        let x = row(point);
        for i in 0..size {
            for j in 0..size {
                matrix[i][j] += point.weight * x[i] * x[j];
            }
            matrix[i][2 * size] += point.weight * x[i];
        }
    }
    // Columns of very different size: each is scaled to 1 on the diagonal.
    let scale: Vec<f64> = (0..size).map(|i| matrix[i][i].sqrt()).collect();
    if scale.iter().any(|scale| !scale.is_normal()) {
        return None;
    }
    for i in 0..size {
        for j in 0..size {
            matrix[i][j] /= scale[i] * scale[j];
        }
        matrix[i][2 * size] /= scale[i];
        matrix[i][size + i] = 1.0;
    }
    for i in 0..size {
        let pivot = (i..size).max_by(|a, b| matrix[*a][i].abs().total_cmp(&matrix[*b][i].abs()))?;
        matrix.swap(i, pivot);
        if matrix[i][i].abs() < 1e-9 {
            return None;
        }
        let by = matrix[i][i];
        matrix[i].iter_mut().for_each(|value| *value /= by);
        let eliminated = matrix[i].clone();
        for (_, other) in matrix.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let times = other[i];
            other.iter_mut().zip(&eliminated).for_each(|(value, by)| *value -= times * by);
        }
    }
    let mut curve = Curve::default();
    for (i, part) in parts.iter().enumerate() {
        curve.part[*part] = matrix[i][2 * size] / scale[i];
        for (j, other) in parts.iter().enumerate() {
            curve.covariance[*part][*other] = matrix[i][size + j] / scale[i] / scale[j];
        }
    }
    if !curve.part.iter().all(|part| part.is_finite() && *part >= 0.0) {
        return None;
    }
    let rest = points.iter().map(|point| point.weight * (curve.us(point.items) / point.us - 1.0).powi(2)).sum();
    Some((curve, rest))
}
