use super::change::Change;
use super::classes::Classes;
use super::curve::{Curve, Point};
use super::fit::Fit;
use super::*;
use crate::strategy::BatchSample;
use crate::strategy::plant::Dice;

fn sample(batch: u64, items: u64, committed_us: u64) -> BatchSample {
    BatchSample {
        batch,
        items,
        plan_lanes: 2,
        committed_us,
        read_us: 2 * items,
        operate_us: 500 + 40 * items,
        write_us: 80 + 5 * items,
        commit_us: 3000,
        ..BatchSample::default()
    }
}

fn near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 0.01 * wanted.abs() + 1e-6
}

#[test]
fn a_line_is_found_again_and_not_forgotten_at_one_size() {
    let mut fit = Fit::default();
    fit.on(2);
    for (batch, items) in [(0, 100), (1, 200), (2, 400)].into_iter().chain((3..500).map(|batch| (batch, 800))) {
        fit.add(&sample(batch, items, batch));
    }
    let costs = fit.costs();
    for (line, fixed, item) in
        [(costs.read, 0.0, 2.0), (costs.guest, 500.0, 40.0), (costs.write, 80.0, 5.0), (costs.commit, 3000.0, 0.0)]
    {
        assert!(near(line.fixed_us, fixed) && near(line.item_us, item), "{line:?}, {fixed} + {item} n");
    }
    assert_eq!((costs.guest.samples, costs.commit.samples), (500, 499));
    assert!(costs.good());
}

#[test]
fn a_line_under_noise_is_near_and_never_negative() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let mut classes = Classes::default();
        for _ in 0..400 {
            let items = 10.0 + dice.unit() * 990.0;
            classes.add(items, (5000.0 + 30.0 * items) * (1.0 + 0.2 * dice.bell()).max(0.05));
        }
        let line = classes.line();
        assert!(line.fixed_us >= 0.0 && (line.item_us - 30.0).abs() < 6.0, "seed {seed}: {line:?}");
        assert!((line.us(500.0) / 20_000.0 - 1.0).abs() < 0.1, "seed {seed}: {line:?}");
    }
}

#[test]
fn one_size_alone_gives_the_cost_of_that_size() {
    let mut fit = Fit::default();
    fit.on(2);
    assert_eq!(fit.costs(), PhaseCosts::default());
    fit.add(&sample(0, 100, 5));
    let guest = fit.costs().guest;
    assert_eq!((guest.fixed_us, guest.item_us), (0.0, 45.0));
    fit.add(&BatchSample { operate_us: u64::MAX, items: u64::MAX, ..sample(1, 1, 6) });
    assert!(fit.costs().guest.us(10.0).is_finite());
}

#[test]
fn the_bottleneck_is_the_slowest_stage_and_a_shared_commit_counts_once() {
    let mut fit = Fit::default();
    fit.on(2);
    for batch in 0..20 {
        // Groups of 1, 3, 5, 7 batches, and one that is not over.
        fit.add(&sample(batch, 100 + 50 * (batch % 2), (batch as f64).sqrt() as u64));
    }
    let costs = fit.costs();
    assert_eq!(costs.bottleneck(100, 1, 500.0), Some(Phase::Guest));
    assert_eq!(costs.bottleneck(100, 100, 500.0), Some(Phase::Commit), "lanes enough: {costs:?}");
    assert_eq!(costs.bottleneck(100, 100, 5000.0), Some(Phase::Write), "one COMMIT for many");
    assert_eq!(fit.bottleneck(100, 1), Some(Phase::Guest));
    assert_eq!(costs.commit.samples, 4);
    assert_eq!(PhaseCosts::default().bottleneck(10, 1, 0.0), None);
}

#[test]
fn a_sufficient_size_has_little_left_to_gain() {
    let sizes = Interval::new(10, 1000).unwrap();
    let line = |fixed_us, item_us| Line { fixed_us, item_us, samples: 100 };
    let costs = |fixed, item| PhaseCosts { guest: line(fixed, item), ..PhaseCosts::default() };
    assert_eq!(costs(0.0, 50.0).sufficient_size(sizes, 1, 0.0), 10);
    let middle = costs(100.0, 20.0).sufficient_size(sizes, 1, 0.0);
    assert!((100..200).contains(&middle), "{middle}");
    assert!(costs(1e6, 1.0).sufficient_size(sizes, 1, 0.0) > 900);
    assert_eq!(costs(f64::NAN, f64::NEG_INFINITY).sufficient_size(sizes, 0, 0.0), 10);
}

/// Points of `a + b·n + c·n²`, each of which scatters.
fn points(dice: &mut Dice, scatter: f64, [a, b, c]: [f64; 3]) -> Vec<Point> {
    let sizes = [(40.0, 4.0), (80.0, 4.0), (320.0, 16.0), (640.0, 2.0)];
    let mut us = |n: f64, weight: f64| (a + b * n + c * n * n) * (1.0 + scatter / f64::sqrt(weight) * dice.bell());
    sizes.map(|(items, weight)| Point { weight, items, us: us(items, weight) }).to_vec()
}

#[test]
fn costs_that_grow_with_the_square_are_found_and_scatter_is_not_taken_for_them() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let curve = Curve::fit(&points(&mut dice, 0.03, [6000.0, 20.0, 0.27]), 0.03);
        let cheapest = (10..1000).min_by(|x, y| {
            let per_item = |n: i32| curve.us(f64::from(n)) / f64::from(n);
            per_item(*x).total_cmp(&per_item(*y))
        });
        assert!((120..185).contains(&cheapest.unwrap()), "seed {seed}: {cheapest:?}");
    }
    let lines = (0..200).filter(|seed| {
        let curve = Curve::fit(&points(&mut Dice(*seed), 0.1, [1000.0, 50.0, 0.0]), 0.1);
        (curve.us(1200.0) - 2.0 * curve.us(600.0) + curve.us(0.0)).abs() < 1e-6
    });
    assert!(lines.count() >= 180);
    assert_eq!(Curve::fit(&[], 0.1).us(10.0), 0.0);
    let alone = Curve::fit(&[Point { weight: 1.0, items: 100.0, us: 500.0 }], 0.1);
    assert!((alone.us(200.0) - 1000.0).abs() < 1e-9, "one size alone tells the cost of an item");
}

#[test]
fn the_doubt_of_a_difference_is_as_large_as_it_scatters() {
    let saved = |seed| {
        let curve = Curve::fit(&points(&mut Dice(seed), 0.1, [2000.0, 60.0, 0.0]), 0.1);
        let per_item = |n: f64| curve.us(n) / n;
        (per_item(320.0) - per_item(80.0), curve.doubt_us_per_item(320.0, 80.0))
    };
    let found: Vec<_> = (0..500).map(saved).collect();
    let mean = found.iter().map(|(saved, _)| saved).sum::<f64>() / 500.0;
    let scatter = (found.iter().map(|(saved, _)| (saved - mean).powi(2)).sum::<f64>() / 500.0).sqrt();
    let doubt = found.iter().map(|(_, doubt)| doubt).sum::<f64>() / 500.0;
    assert!((0.6..1.6).contains(&(doubt / scatter)), "told {doubt:.2}, is {scatter:.2}");
}

#[test]
fn a_step_in_the_costs_is_noticed_within_a_few_batches_and_scatter_next_to_never() {
    let mut false_alarms = 0;
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let mut change = Change::default();
        let mut batch = |change: &mut Change, level: f64| {
            change.add(level * (1.0 + 0.15 * dice.bell()).max(0.05), 0.15);
            change.found()
        };
        for _ in 0..2000 {
            if batch(&mut change, 1.0) {
                false_alarms += 1;
                change = Change::default();
            }
        }
        for level in [3.0, 1.0 / 3.0] {
            let mut change = Change::default();
            let noticed = (1..).find(|_| batch(&mut change, level)).unwrap();
            assert!(noticed <= 4, "seed {seed}: {noticed} batches at {level}");
        }
    }
    assert!(false_alarms <= 5, "{false_alarms} in a hundred thousand batches");
    let mut change = Change::default();
    for wild in [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e300] {
        change.add(wild, f64::NAN);
    }
    assert!(!change.found(), "one wild batch is no change, and nonsense none at all");
}
