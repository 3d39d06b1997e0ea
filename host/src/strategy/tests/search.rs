//! What the adaptive strategy finds on plants with a known best.

use super::*;

/// Plants with a known best: at the top, in the middle, at the bottom, and flat ones.
fn plants() -> Vec<(&'static str, Cost)> {
    vec![
        ("high fixed cost", cost(50_000.0, 20.0, 10.0, 0.0)),
        ("some fixed cost", cost(5_000.0, 20.0, 10.0, 0.0)),
        ("no fixed cost", cost(10.0, 200.0, 20.0, 0.0)),
        ("best near 500", cost(25_000.0, 20.0, 10.0, 0.1)),
        ("best near 200", cost(8_000.0, 20.0, 10.0, 0.2)),
        ("best near 80", cost(6_400.0, 10.0, 5.0, 1.0)),
        ("best near 40", cost(3_200.0, 10.0, 5.0, 2.0)),
        ("slow items", cost(1_000.0, 3_000.0, 10.0, 0.0)),
    ]
}

fn rate_of(cost: &Cost, plans: &[Plan]) -> f64 {
    let items: f64 = plans.iter().map(|p| p.batch_size as f64).sum();
    let us: f64 = plans.iter().map(|p| cost.us(p.batch_size, p.lanes)).sum();
    items * 1e6 / us
}

#[test]
fn ninety_percent_of_the_best_within_forty_batches_and_from_then_on() {
    for (name, cost) in plants() {
        for seed in 0..20 {
            let mut plant = Plant::new(signals(), cost, 0.02, seed);
            let mut strategy = Adaptive::default();
            plant.run(&mut strategy, 40);
            let best = cost.best(&plant.signals);
            let settled = plant.run(&mut strategy, 300);
            let reached = rate_of(&cost, &settled) / best;
            let reasons: Vec<_> = plant.plans.iter().filter_map(|p| p.reason.as_deref()).collect();
            assert!(reached >= 0.9, "{name}, seed {seed}: {reached:.3}\n{}", reasons.join("\n"));
        }
    }
}

#[test]
fn it_also_gets_there_with_batches_under_way_shared_commits_and_noise() {
    for (name, cost) in plants() {
        for (seed, (lag, group)) in (0..).zip([(4, 1), (8, 4), (24, 12)]) {
            let mut plant = Plant::new(signals(), cost, 0.10, seed);
            (plant.lag, plant.group) = (lag, group);
            let mut strategy = Adaptive::default();
            plant.run(&mut strategy, 400);
            let best = cost.best(&plant.signals);
            let settled = plant.run(&mut strategy, 600);
            let reached = rate_of(&cost, &settled) / best;
            assert!(reached >= 0.88, "{name}, lag {lag}, group {group}: {reached:.3}");
        }
    }
}

#[test]
fn a_whole_run_with_its_search_is_near_the_best_fixed_setting_and_not_slower_than_sequential() {
    // Where large batches cost many times as much per item, one look at them outweighs hundreds of good batches.
    for (name, cost) in plants().into_iter().filter(|(_, cost)| cost.square < 0.5) {
        let mut adaptive = Plant::new(signals(), cost, 0.05, 4);
        let mut sequential = Plant::new(signals(), cost, 0.05, 4);
        let found = rate_of(&cost, &adaptive.run(&mut Adaptive::default(), 1500));
        let fixed = rate_of(&cost, &sequential.run(&mut Sequential::default(), 1500));
        let best = cost.best(&adaptive.signals);
        assert!(found >= 0.9 * best, "{name}: {:.3}", found / best);
        assert!(found >= 0.95 * fixed, "{name}: {:.3}", found / fixed);
    }
}

#[test]
fn under_noise_fewer_than_five_percent_of_plans_reverse_the_one_before() {
    for (name, cost) in plants() {
        for (seed, noise) in (0..).zip([0.0, 0.05, 0.1, 0.2, 0.3]) {
            let mut plant = Plant::new(signals(), cost, noise, seed);
            let plans = plant.run(&mut Adaptive::default(), 500);
            let steps: Vec<f64> = plans
                .windows(2)
                .map(|w| (w[1].batch_size * w[1].lanes) as f64 - (w[0].batch_size * w[0].lanes) as f64)
                .filter(|d| *d != 0.0)
                .collect();
            let reversals = steps.windows(2).filter(|w| w[0] * w[1] < 0.0).count();
            assert!(reversals * 20 < plans.len(), "{name}, noise {noise}, seed {seed}: {reversals} of {}", plans.len());
        }
    }
}

#[test]
fn a_drifting_workload_changes_the_plan() {
    let mut plant = Plant::new(signals(), cost(50_000.0, 20.0, 10.0, 0.0), 0.03, 3);
    let mut strategy = Adaptive::default();
    let before = *plant.run(&mut strategy, 60).last().unwrap();
    plant.cost = cost(3_200.0, 10.0, 5.0, 2.0);
    plant.run(&mut strategy, 60);
    let settled = plant.run(&mut strategy, 200);
    let best = plant.cost.best(&plant.signals);
    assert!(before.batch_size > 500, "{before:?}");
    assert!(rate_of(&plant.cost, &settled) >= 0.88 * best, "{:?}", settled.last());
    assert!(plant.plans.iter().filter(|p| p.reason.is_some()).count() > 3);
}

#[test]
fn idle_lanes_are_let_go_and_needed_ones_come_back() {
    // Guests take 1 of 21 microseconds per item: one lane is enough.
    let mut plant = Plant::new(signals(), Cost { cores: 1.0, ..cost(100.0, 1.0, 20.0, 0.0) }, 0.02, 5);
    let mut strategy = Adaptive::default();
    let few = *plant.run(&mut strategy, 120).last().unwrap();
    assert_eq!(few.lanes, 1, "{:?}", plant.plans.iter().filter_map(|p| p.reason.as_ref()).collect::<Vec<_>>());
    // Now guests are all that takes time.
    plant.cost = Cost { cores: 4.0, ..cost(100.0, 400.0, 1.0, 0.0) };
    let many = *plant.run(&mut strategy, 200).last().unwrap();
    assert!(many.lanes >= 3, "{many:?}");
}

#[test]
fn lanes_that_bring_nothing_are_not_kept() {
    let mut start = signals();
    start.bounds.start = Some(Start { batch_size: 200, lanes: 1, source: "run 7".into(), costs: None });
    // One core: two lanes are no faster than one.
    let mut plant = Plant::new(start, Cost { cores: 1.0, ..cost(100.0, 400.0, 1.0, 0.0) }, 0.02, 5);
    let plans = plant.run(&mut Adaptive::default(), 200);
    assert!(plans.iter().any(|p| p.lanes == 2), "it tried");
    assert!(plans.iter().filter(|p| p.lanes > 1).count() < 40);
}

#[test]
fn it_starts_from_the_stored_tuning_and_names_the_source() {
    let mut signals = signals();
    signals.bounds.start = Some(Start { batch_size: 640, lanes: 3, source: "run 7".into(), costs: None });
    let planned = Adaptive::default().plan(&signals);
    assert_eq!((planned.plan.batch_size, planned.plan.lanes), (640, 3));
    assert!(planned.reason.unwrap().contains("from run 7"));
}

#[test]
fn saturated_cpus_make_it_try_less_and_keep_that_only_if_nothing_is_lost() {
    // Four lanes on two cores: two of them bring nothing.
    let mut plant = Plant::new(signals(), cost(500.0, 400.0, 1.0, 0.0), 0.01, 11);
    let mut strategy = Adaptive::default();
    plant.signals.lanes_busy = Some(1.0);
    let before = *plant.run(&mut strategy, 40).last().unwrap();
    plant.signals.cpu_share = Some(1.0);
    let after = *plant.run(&mut strategy, 300).last().unwrap();
    assert_eq!((before.lanes, after.lanes), (4, 2));
}

#[test]
fn a_busy_writer_gets_whole_groups_and_an_idle_one_short_queues() {
    let mut strategy = Adaptive::default();
    let mut signals = signals();
    // A fixed size, so that no other is tried meanwhile.
    signals.bounds = bounds((316, 316), (1, 4));
    let calm = strategy.plan(&signals).plan;
    signals.writer_busy = Some(0.9);
    let busy = strategy.plan(&signals);
    signals.writer_busy = Some(0.6);
    for _ in 0..50 {
        assert_eq!(strategy.plan(&signals).plan, busy.plan, "near the threshold it does not flap");
    }
    signals.writer_busy = Some(0.2);
    assert_eq!(strategy.plan(&signals).plan, busy.plan, "one reading is no reason");
    let later = (0..50).map(|_| strategy.plan(&signals).plan).last();
    assert_eq!(later, Some(calm));
    assert_eq!(calm.batches_in_flight, 2 * calm.lanes + 2);
    assert!(busy.plan.batches_in_flight * busy.plan.batch_size >= crate::limits::GROUP_ITEMS_MAX, "{busy:?}");
    assert!(busy.reason.unwrap().contains("the writer is busy 90 % of the time"));
}

#[test]
fn batches_that_take_far_too_long_shrink_soon() {
    let mut plant = Plant::new(signals(), cost(100.0, 100_000.0, 10.0, 0.0), 0.02, 2);
    let plans = plant.run(&mut Adaptive::default(), 10);
    assert!(plans.last().unwrap().batch_size <= 80, "{plans:?}");
}
