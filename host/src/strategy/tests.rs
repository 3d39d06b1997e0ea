mod pressure;
mod search;

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
fn signals_recorded_before_a_field_was_added_can_still_be_read() {
    let mut value = serde_json::to_value(signals()).unwrap();
    let fields = value.as_object_mut().unwrap();
    for added in ["wal_bytes", "unhealthy", "aim", "batch_time_max_us", "tolerance"] {
        assert!(fields.remove(added).is_some());
    }
    assert_eq!(serde_json::from_value::<Signals>(value).unwrap(), signals());
    let start: Start = serde_json::from_str(r#"{"batch_size":5,"lanes":1,"source":"run 7"}"#).unwrap();
    assert_eq!(start.costs, None);
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
    if dice.below(100) == 0 {
        let (memory_share, error_share, wal_bytes) = (dice.unit(), dice.unit(), dice.below(2 * WAL_BYTES_MAX));
        signals.tolerance = Tolerance { memory_share, error_share, wal_bytes };
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
fn the_formulas_stay_in_bounds_and_fall_with_what_weighs_on_the_host() {
    let mut dice = Dice(2024);
    for round in 0..100_000 {
        let min = 1 + dice.below(500) as usize;
        let bounds = Interval::new(min, min + dice.below(2000) as usize).unwrap();
        let current = dice.below(5000) as usize;
        let mut some = || (dice.below(10) > 0).then(|| dice.unit() * 1.2);
        let (memory, cpu, errors, wal, time, busy) = (some(), some(), some(), some(), some(), some());
        let tolerance = Tolerance { memory_share: dice.unit(), error_share: dice.unit(), ..Tolerance::default() };
        let pressure = Pressure { memory, cpu, errors, wal, time, tolerance };
        let size = optimal_batch_size(current, bounds, pressure);
        assert_eq!(optimal_batch_size(current, bounds, pressure), size, "the same inputs, the same answer");
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
        let lanes = optimal_lanes(current, bounds, busy, pressure);
        assert_eq!(optimal_lanes(current, bounds, busy, pressure), lanes, "the same inputs, the same answer");
        assert!((bounds.min()..=bounds.max()).contains(&lanes), "round {round}");
        for worse in
            [Pressure { memory: more(pressure.memory), ..pressure }, Pressure { cpu: more(pressure.cpu), ..pressure }]
        {
            assert!(optimal_lanes(current, bounds, busy, worse) <= lanes, "round {round}: {worse:?}");
        }
        assert!(optimal_lanes(current, bounds, more(busy), pressure) >= lanes, "round {round}");
        // Lanes neither cause nor cure these.
        for other in [
            Pressure { errors: more(errors), ..pressure },
            Pressure { wal: more(wal), ..pressure },
            Pressure { time: more(time), ..pressure },
        ] {
            assert_eq!(optimal_lanes(current, bounds, busy, other), lanes, "round {round}: {other:?}");
        }
        // What is tolerated more generously takes away no more.
        let generous = Tolerance { memory_share: 1.0, error_share: 1.0, ..tolerance };
        let generous = Pressure { tolerance: generous, ..pressure };
        assert!(optimal_batch_size(current, bounds, generous) >= size, "round {round}");
        assert!(optimal_lanes(current, bounds, busy, generous) >= lanes, "round {round}");
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
fn how_busy_writer_and_lanes_are_is_known_from_the_batches_where_no_sensor_says_it() {
    let mut signals = signals();
    assert_eq!((signals.writer_at_work(), signals.lanes_at_work()), (None, None));
    // Ten groups of two batches, one each 1000 us, of which the writer is at work for 600 and two lanes for 1600 together.
    for batch in 0..20 {
        signals.committed(BatchSample {
            batch,
            plan_lanes: 2,
            items: 10,
            committed_us: 1000 * (batch / 2 + 1),
            operate_us: 800,
            write_us: 200,
            commit_us: 200,
            ..BatchSample::default()
        });
    }
    for stuck in [None, Some(0.0), Some(f64::NAN), Some(0.2)] {
        (signals.writer_busy, signals.lanes_busy) = (stuck, stuck);
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-9;
        assert!(near(signals.writer_at_work(), 0.6) && near(signals.lanes_at_work(), 0.8), "{stuck:?}");
    }
    (signals.writer_busy, signals.lanes_busy) = (Some(0.5), Some(0.9));
    assert_eq!(
        (signals.writer_at_work(), signals.lanes_at_work()),
        (Some(0.5), Some(0.9)),
        "a sensor that may be right"
    );
}

#[test]
fn unusable_sensors_read_as_unknown() {
    let mut signals = signals();
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
        signals.cpu_share = Some(nonsense);
        signals.memory_share = Some(nonsense);
        assert_eq!((signals.cpu(), signals.memory()), (None, None));
    }
    signals.cpu_share = Some(0.0);
    assert_eq!(signals.cpu(), None, "a host that computes uses some");
    (signals.process_bytes, signals.memory_budget_bytes) = (Some(50), Some(0));
    assert_eq!(signals.memory(), None);
    (signals.memory_share, signals.memory_budget_bytes) = (Some(0.3), Some(100));
    assert_eq!(signals.memory(), Some(0.5));
}
