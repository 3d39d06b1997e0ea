use super::plant::{Cost, Dice, Plant};
use super::*;

fn bounds(sizes: (usize, usize), lanes: (usize, usize)) -> Bounds {
    let interval = |(min, max)| Interval::new(min, max).unwrap();
    Bounds { batch_size: interval(sizes), lanes: interval(lanes), start: None }
}

fn signals() -> Signals {
    Signals::new(bounds((10, 1000), (1, 4)))
}

/// Fixed cost, guest time per item, write time per item, square; on two cores.
fn cost(fixed: f64, item: f64, write: f64, square: f64) -> Cost {
    Cost { fixed, item, write, square, cores: 2.0 }
}

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
fn every_strategy_answers_to_its_name() {
    for row in STRATEGIES {
        assert_eq!(strategy(row.name).unwrap().name(), row.name);
        assert!(!row.description.is_empty());
    }
}

#[test]
fn an_unknown_name_lists_the_names_and_the_nearest() {
    let error = strategy("adaptve").err().unwrap();
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert_eq!(error.to_string(), "no strategy is named \"adaptve\"; there are sequential, concurrent, adaptive");
    assert_eq!(error.hint_text(), "did you mean `--strategy adaptive`?");
    assert!(strategy("Concurent").err().unwrap().hint_text().contains("concurrent"));
    assert!(!strategy("\u{1b}[2J").err().unwrap().to_string().contains('\u{1b}'));
}

#[test]
fn sequential_has_one_batch_in_flight_of_the_largest_size() {
    let mut plant = Plant::new(signals(), cost(1000.0, 10.0, 1.0, 0.0), 0.1, 1);
    for plan in plant.run(&mut Sequential::default(), 50) {
        assert_eq!(plan, Plan { batch_size: 1000, lanes: 1, batches_in_flight: 1 });
    }
    let reasons: Vec<_> = plant.plans.iter().filter_map(|p| p.reason.as_deref()).collect();
    assert_eq!(reasons, ["one batch at a time: batches of 1000, 1 lane"]);
}

#[test]
fn concurrent_uses_all_lanes() {
    let planned = Concurrent::default().plan(&signals());
    assert_eq!((planned.plan.batch_size, planned.plan.lanes), (1000, 4));
    assert!(planned.plan.batches_in_flight > planned.plan.lanes);
}

#[test]
fn a_fixed_size_gives_exactly_that_size_and_one_remainder() {
    for row in STRATEGIES {
        let mut strategy = (row.make)();
        let mut signals = Signals::new(bounds((128, 128), (1, 4)));
        let mut left = 1000;
        let mut sizes = Vec::new();
        while left > 0 {
            signals.items_left = Some(left);
            sizes.push(strategy.plan(&signals).plan.batch_size as u64);
            left -= sizes.last().unwrap();
        }
        assert_eq!(sizes, [128, 128, 128, 128, 128, 128, 128, 104], "{}", row.name);
    }
}

#[test]
fn bounds_changed_while_running_are_in_force_from_the_next_plan() {
    for row in STRATEGIES {
        let mut strategy = (row.make)();
        let mut plant = Plant::new(signals(), cost(5000.0, 20.0, 1.0, 0.0), 0.0, 1);
        plant.run(strategy.as_mut(), 20);
        plant.signals.bounds = bounds((50, 60), (1, 1));
        let planned = strategy.plan(&plant.signals);
        assert!((50..=60).contains(&planned.plan.batch_size) && planned.plan.lanes == 1, "{}: {planned:?}", row.name);
        assert!(planned.reason.unwrap().contains("bounds changed"), "{}", row.name);
    }
}

#[test]
fn a_reason_is_given_exactly_when_the_plan_differs() {
    for row in STRATEGIES {
        let mut plant = Plant::new(signals(), cost(20_000.0, 20.0, 1.0, 0.0), 0.1, 7);
        plant.run((row.make)().as_mut(), 200);
        let mut last = None;
        for planned in &plant.plans {
            assert_eq!(planned.reason.is_some(), last != Some(planned.plan), "{}: {planned:?}", row.name);
            last = Some(planned.plan);
        }
    }
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
fn short_memory_shrinks_plans_and_they_recover_when_it_is_free_again() {
    let mut plant = Plant::new(signals(), cost(5_000.0, 20.0, 10.0, 0.0), 0.02, 9);
    let mut strategy = Adaptive::default();
    plant.signals.memory_share = Some(0.4);
    let calm = *plant.run(&mut strategy, 40).last().unwrap();
    let mut sizes = Vec::new();
    for percent in 80..97 {
        plant.signals.memory_share = Some(f64::from(percent) / 100.0);
        sizes.push(plant.run(&mut strategy, 3).last().unwrap().batch_size);
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(*sizes.last().unwrap() * 10 < calm.batch_size, "{sizes:?}");
    plant.signals.memory_share = Some(0.4);
    let recovered = *plant.run(&mut strategy, 60).last().unwrap();
    assert!(recovered.batch_size * 2 >= calm.batch_size, "{recovered:?} after {calm:?}");
}

#[test]
fn an_error_burst_shrinks_plans_but_usual_errors_do_not() {
    let mut plant = Plant::new(signals(), cost(5_000.0, 20.0, 10.0, 0.0), 0.02, 9);
    let mut strategy = Adaptive::default();
    plant.errors = 0.01;
    let calm = *plant.run(&mut strategy, 40).last().unwrap();
    plant.errors = 0.5;
    let burst = *plant.run(&mut strategy, 12).last().unwrap();
    assert!(burst.batch_size < calm.batch_size, "{burst:?} after {calm:?}");
    let used_to_it = *plant.run(&mut strategy, 120).last().unwrap();
    assert!(used_to_it.batch_size * 2 >= calm.batch_size, "{used_to_it:?} after {calm:?}");
}

#[test]
fn a_long_log_shrinks_plans_until_it_is_short_again() {
    let mut plant = Plant::new(signals(), cost(5_000.0, 20.0, 10.0, 0.0), 0.02, 9);
    let mut strategy = Adaptive::default();
    let calm = *plant.run(&mut strategy, 40).last().unwrap();
    let mut sizes = Vec::new();
    for percent in 101..120 {
        plant.signals.wal_bytes = Some(WAL_BYTES_MAX / 100 * percent);
        sizes.push(plant.run(&mut strategy, 3).last().unwrap().batch_size);
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.last().unwrap() * 3 < calm.batch_size, "{sizes:?}");
    plant.signals.wal_bytes = Some(0);
    let recovered = *plant.run(&mut strategy, 20).last().unwrap();
    assert!(recovered.batch_size * 2 >= calm.batch_size, "{recovered:?} after {calm:?}");
    let reasons: Vec<_> = plant.plans.iter().filter_map(|p| p.reason.as_deref()).collect();
    assert!(
        reasons.iter().any(|r| r.contains("the write-ahead log has ") && r.ends_with("MB wanted: smaller")),
        "{reasons:#?}"
    );
}

#[test]
fn an_unhealthy_host_is_given_half_until_it_is_well_or_that_is_usual() {
    for well_again in [true, false] {
        let mut plant = Plant::new(signals(), cost(5_000.0, 20.0, 10.0, 0.0), 0.02, 9);
        let mut strategy = Adaptive::default();
        let calm = *plant.run(&mut strategy, 60).last().unwrap();
        plant.signals.unhealthy = true;
        let pressed = *plant.run(&mut strategy, 16).last().unwrap();
        assert_eq!(pressed.batch_size, calm.batch_size.div_ceil(2));
        plant.signals.unhealthy = !well_again;
        let later = *plant.run(&mut strategy, 60).last().unwrap();
        assert!(later.batch_size * 5 >= calm.batch_size * 4, "{later:?} after {calm:?}");
    }
}

#[test]
fn the_time_of_a_batch_is_kept_below_its_bound_for_both_aims() {
    for (aim, asked) in [(Aim::Throughput, Some(6_000)), (Aim::Latency, Some(6_000)), (Aim::Latency, None)] {
        let mut start = signals();
        (start.aim, start.batch_time_max_us) = (aim, asked);
        let bound = asked.unwrap_or(LATENCY_US) as f64;
        // A third of the bound whatever the size; 200 items are just in time.
        let mut plant = Plant::new(start, cost(bound / 3.0, 1.0, bound / 300.0, 0.0), 0.02, 4);
        let mut strategy = Adaptive::default();
        plant.run(&mut strategy, 40);
        let kept = plant.run(&mut strategy, 200);
        let late = kept.iter().filter(|plan| plant.cost.us(plan.batch_size, plan.lanes) > bound).count();
        assert!(late * 20 <= kept.len(), "{aim:?}: {late} late");
        let last = kept.last().unwrap();
        assert!(last.batch_size >= 120, "{aim:?}: {last:?} is smaller than need be");
        assert!(aim == Aim::Throughput || last.batches_in_flight == last.lanes + 1, "{last:?}");
        (plant.signals.aim, plant.signals.batch_time_max_us) = (Aim::Throughput, None);
        let free = *plant.run(&mut strategy, 60).last().unwrap();
        assert!(free.batch_size >= 2 * last.batch_size, "{free:?} without the bound, {last:?} with it");
    }
}

#[test]
fn signals_recorded_before_a_field_was_added_can_still_be_read() {
    let mut value = serde_json::to_value(signals()).unwrap();
    let fields = value.as_object_mut().unwrap();
    for added in ["wal_bytes", "unhealthy", "aim", "batch_time_max_us"] {
        assert!(fields.remove(added).is_some());
    }
    assert_eq!(serde_json::from_value::<Signals>(value).unwrap(), signals());
    let start: Start = serde_json::from_str(r#"{"batch_size":5,"lanes":1,"source":"run 7"}"#).unwrap();
    assert_eq!(start.costs, None);
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

/// Any signals at all: nonsense sensors, samples that do or do not belong to the last plan, times that run backwards.
fn anything(dice: &mut Dice, signals: &mut Signals, last: Plan) {
    let share = |dice: &mut Dice| match dice.below(9) {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(f64::INFINITY),
        3 => Some(-1.0),
        4 => Some(0.0),
        5 => Some(f64::MAX),
        _ => Some(dice.unit() * 1.1),
    };
    signals.cpu_share = share(dice);
    signals.memory_share = share(dice);
    signals.lanes_busy = share(dice);
    signals.writer_busy = share(dice);
    signals.process_bytes = (dice.below(3) == 0).then(|| dice.next());
    signals.wal_bytes = (dice.below(3) == 0).then(|| dice.below(2 * WAL_BYTES_MAX));
    if dice.below(100) == 0 {
        signals.unhealthy = dice.below(2) == 0;
    }
    if dice.below(1000) == 0 {
        signals.aim = if dice.below(2) == 0 { Aim::Latency } else { Aim::Throughput };
        signals.batch_time_max_us = (dice.below(2) == 0).then(|| dice.below(1_000_000));
    }
    signals.memory_budget_bytes = (dice.below(3) == 0).then(|| dice.below(1 << 20));
    let any = |dice: &mut Dice| match dice.below(6) {
        0 => 0,
        1 => dice.next(),
        _ => dice.below(100_000),
    };
    let clock = signals.batches.back().map_or(0, |b| b.committed_us);
    let mine = dice.below(4) > 0;
    let sample = BatchSample {
        batch: signals.sequence,
        plan_size: if mine { last.batch_size as u64 } else { any(dice) },
        plan_lanes: if mine { last.lanes as u64 } else { any(dice) },
        items: if mine { last.batch_size as u64 } else { any(dice) },
        failed: any(dice),
        retries: any(dice),
        committed_us: if dice.below(50) > 0 { clock.saturating_add(any(dice)) } else { dice.below(1000) },
        read_us: any(dice),
        validate_us: any(dice),
        operate_us: any(dice),
        compute_us: any(dice),
        wait_us: any(dice),
        write_us: any(dice),
        commit_us: any(dice),
    };
    signals.committed(sample);
    signals.sequence += 1;
    if dice.below(500) == 0 {
        let mut interval = |most| {
            let min = 1 + dice.below(most) as usize;
            Interval::new(min, min + dice.below(most) as usize).unwrap()
        };
        signals.bounds = Bounds { batch_size: interval(2000), lanes: interval(64), start: None };
    }
    signals.items_left = match dice.below(8) {
        0 => Some(dice.below(3000)),
        1 => Some(u64::MAX),
        _ => None,
    };
}

#[test]
fn a_million_random_signals_never_leave_the_bounds() {
    for (seed, row) in (1..).zip(STRATEGIES) {
        let mut dice = Dice(seed);
        let mut strategy = (row.make)();
        let mut signals = signals();
        let mut reasons = 0;
        let rounds = if row.name == "adaptive" { 1_000_000 } else { 10_000 };
        for round in 0..rounds {
            let planned = strategy.plan(&signals);
            let (plan, bounds) = (planned.plan, &signals.bounds);
            let least = bounds.batch_size.min().min(match signals.items_left {
                Some(left @ 1..) => left as usize,
                _ => usize::MAX,
            });
            let context = format!("{}, seed {seed}, round {round}: {plan:?} in {bounds:?}", row.name);
            assert!(least <= plan.batch_size && plan.batch_size <= bounds.batch_size.max(), "{context}");
            assert!(plan.lanes == 1 || (bounds.lanes.min()..=bounds.lanes.max()).contains(&plan.lanes), "{context}");
            assert!((1..=crate::limits::BATCHES_IN_FLIGHT_MAX).contains(&plan.batches_in_flight), "{context}");
            reasons += u32::from(planned.reason.is_some());
            anything(&mut dice, &mut signals, plan);
        }
        assert!(reasons > 0);
    }
}

#[test]
fn recorded_signals_give_the_same_plans_again() {
    for row in STRATEGIES {
        let mut dice = Dice(42);
        let mut plant = Plant::new(signals(), cost(8_000.0, 20.0, 10.0, 0.2), 0.1, 42);
        let (mut live, mut replayed) = ((row.make)(), (row.make)());
        for _ in 0..300 {
            plant.signals.memory_share = Some(0.7 + 0.2 * dice.unit());
            let line = serde_json::to_string(&plant.signals).unwrap();
            plant.run(live.as_mut(), 1);
            let read: Signals = serde_json::from_str(&line).unwrap();
            assert_eq!(plant.plans.last(), Some(&replayed.plan(&read)), "{}", row.name);
        }
    }
}

#[test]
fn the_size_formula_stays_in_bounds_and_falls_with_memory_cpu_and_errors() {
    let mut dice = Dice(2024);
    for round in 0..100_000 {
        let min = 1 + dice.below(500) as usize;
        let bounds = Interval::new(min, min + dice.below(2000) as usize).unwrap();
        let current = dice.below(5000) as usize;
        let mut some = || (dice.below(10) > 0).then(|| dice.unit() * 1.2);
        let pressure = Pressure { memory: some(), cpu: some(), errors: some(), wal: some(), time: some() };
        let size = optimal_batch_size(current, bounds, pressure);
        assert!((bounds.min()..=bounds.max()).contains(&size), "round {round}");
        let more = |v: Option<f64>| v.map(|v| v + 0.1);
        for worse in [
            Pressure { memory: more(pressure.memory), ..pressure },
            Pressure { cpu: more(pressure.cpu), ..pressure },
            Pressure { errors: more(pressure.errors), ..pressure },
            Pressure { wal: more(pressure.wal), ..pressure },
            Pressure { time: more(pressure.time), ..pressure },
        ] {
            assert!(optimal_batch_size(current, bounds, worse) <= size, "round {round}: {worse:?}");
            assert!(optimal_batch_size(current + 1, bounds, pressure) >= size, "round {round}");
        }
        let lanes = optimal_lanes(current, bounds, pressure.errors, pressure);
        assert!((bounds.min()..=bounds.max()).contains(&lanes), "round {round}");
        for worse in
            [Pressure { memory: more(pressure.memory), ..pressure }, Pressure { cpu: more(pressure.cpu), ..pressure }]
        {
            assert!(optimal_lanes(current, bounds, pressure.errors, worse) <= lanes, "round {round}: {worse:?}");
        }
        assert!(optimal_lanes(current, bounds, more(pressure.errors), pressure) >= lanes, "round {round}");
    }
    let bounds = Interval::new(10, 1000).unwrap();
    let with = |memory| optimal_batch_size(800, bounds, Pressure { memory: Some(memory), ..Pressure::default() });
    assert_eq!((with(0.80), with(0.875), with(0.95), with(f64::NAN)), (800, 600, 400, 800));
}

#[test]
fn samples_are_bounded_and_a_batch_reported_twice_replaces() {
    let mut signals = signals();
    for batch in 0..1000 {
        for items in [1, 10] {
            signals.committed(BatchSample { batch, items, committed_us: batch * 1000, ..BatchSample::default() });
        }
    }
    assert_eq!(signals.batches.len(), SAMPLES_MAX);
    assert_eq!(signals.mean_batch_size(), Some(10.0));
    assert_eq!(signals.items_per_s(), Some(10_000.0));
    assert_eq!(signals.error_share(), Some(0.0));
}

#[test]
fn samples_tell_the_share_of_failed_items_and_the_time_per_item_in_each_phase() {
    let mut signals = signals();
    assert_eq!((signals.error_share(), signals.us_per_item(), signals.guest_us_per_item()), (None, None, None));
    // Batches 0 and 1 were committed together, in 30 us; batch 2 alone.
    for (batch, failed, committed_us, commit_us) in [(0, 5, 1_000, 30), (1, 3, 1_000, 30), (2, 1, 2_000, 60)] {
        signals.committed(BatchSample {
            batch,
            items: 20,
            failed,
            retries: 9,
            committed_us,
            read_us: 100,
            validate_us: 40,
            operate_us: 60,
            compute_us: 7_000,
            wait_us: 8_000,
            write_us: 20,
            commit_us,
            ..BatchSample::default()
        });
    }
    assert_eq!(signals.error_share(), Some(0.15), "9 of 60");
    let phases = PhasesPerItem { read_us: 5.0, validate_us: 2.0, operate_us: 3.0, write_us: 1.0, commit_us: 1.5 };
    assert_eq!(signals.us_per_item(), Some(phases));
    assert_eq!(signals.guest_us_per_item(), Some(5.0));
    // Nothing but failures, and then batches without items: what cannot be divided is unknown, not infinite.
    signals.batches.retain(|sample| sample.batch == 0);
    signals.committed(BatchSample { batch: 0, items: 4, failed: 4, ..BatchSample::default() });
    assert_eq!((signals.error_share(), signals.us_per_item()), (Some(1.0), Some(PhasesPerItem::default())));
    signals.committed(BatchSample { batch: 0, validate_us: 5, ..BatchSample::default() });
    assert_eq!((signals.error_share(), signals.us_per_item()), (None, None));
}

#[test]
fn unusable_sensors_read_as_unknown() {
    let mut signals = signals();
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
        signals.cpu_share = Some(nonsense);
        signals.memory_share = Some(nonsense);
        assert_eq!((signals.cpu(), signals.memory()), (None, None));
    }
    (signals.process_bytes, signals.memory_budget_bytes) = (Some(50), Some(0));
    assert_eq!(signals.memory(), None);
    (signals.memory_share, signals.memory_budget_bytes) = (Some(0.3), Some(100));
    assert_eq!(signals.memory(), Some(0.5));
}
