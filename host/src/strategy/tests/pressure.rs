//! How the adaptive strategy gives way, and comes back.

use super::*;

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
        assert_eq!(pressed.batch_size, calm.batch_size / 2);
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
fn recovery_from_short_memory_is_gradual_and_geometric() {
    let mut plant = Plant::new(signals(), cost(5_000.0, 20.0, 10.0, 0.0), 0.02, 9);
    let mut strategy = Adaptive::default();
    let calm = *plant.run(&mut strategy, 60).last().unwrap();
    for percent in 80..100 {
        plant.signals.memory_share = Some(f64::from(percent) / 100.0);
        plant.run(&mut strategy, 4);
    }
    let pressed = plant.plans.last().unwrap().plan;
    assert!(pressed.batch_size * 20 <= calm.batch_size && pressed.lanes * 2 == calm.lanes, "{pressed:?}");
    plant.signals.memory_share = Some(0.4);
    let sizes: Vec<usize> = plant.run(&mut strategy, 30).iter().map(|plan| plan.batch_size).collect();
    assert!(sizes.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] <= 3 * pair[0]), "{sizes:?}");
    let steps = sizes.iter().position(|size| *size * 10 >= calm.batch_size * 9).expect("it recovers");
    assert!(steps <= 20, "{steps} batches: {sizes:?}");
}
