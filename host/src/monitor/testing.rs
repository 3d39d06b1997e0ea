//! Event streams made up for tests.

use crate::event::{BatchCommitted, EVENT_SCHEMA, Envelope, Event, RunEnded, RunStarted};
use crate::model::{BatchMetrics, Counts, Fate, Phase, PluginMetrics, RunStatus};

/// A committed batch of this many items, the first `failed` of them dead-lettered. An item takes 100 µs.
pub fn batch(number: u64, items: u64, failed: u64) -> Event {
    let first = number * items;
    Event::BatchCommitted(Box::new(BatchCommitted {
        batch: number,
        first_ordinal: first,
        last_ordinal: first + items - 1,
        group: number / 2,
        counts: Counts {
            read: items,
            stored: items - failed,
            dead_lettered: failed,
            inserted: items - failed,
            retries: failed * 2,
            ..Counts::default()
        },
        fates: vec![(Fate::Stored, first, first + items - 1)],
        digests: Vec::new(),
        checkpoint: first + items,
        committed_us: 0,
        metrics: BatchMetrics {
            cut_us: first * 100,
            plan_size: items,
            plan_lanes: 2,
            bytes_in: items * 300,
            input_bytes: (first + items) * 300,
            bytes_out: items * 310,
            guest_calls: 2,
            reader_wait_us: 7,
            read_us: items,
            validate_us: items * 30,
            operate_us: items * 60,
            compute_us: items * 50,
            wait_us: 10,
            write_us: items * 10,
            commit_us: 5_000,
            item_mean_ns: 90_000,
            item_p50_ns: 80_000,
            item_p95_ns: 120_000,
            item_p99_ns: 200_000,
            item_max_ns: 400_000,
        },
        chunks: Vec::new(),
        plugins: vec![PluginMetrics {
            slot: "price".to_owned(),
            calls: 2,
            items,
            time_us: items * 90,
            cpu_us: items * 80,
            ..PluginMetrics::default()
        }],
    }))
}

/// Item `ordinal` of a batch is dead-lettered.
pub fn failure(batch: u64, ordinal: u64, code: &str) -> Event {
    Event::ItemFailed {
        batch,
        ordinal,
        id: format!("item-{ordinal}"),
        fate: Fate::DeadLettered,
        phase: Phase::Operate,
        code: code.to_owned(),
        message: "the price is negative".to_owned(),
        attempts: 3,
        slot: Some("price".to_owned()),
        input: "orders.ndjson".to_owned(),
        line: ordinal + 1,
        offset: 0,
    }
}

/// These events as a stream of run 3: one every 10 ms.
pub fn stream(events: impl IntoIterator<Item = Event>) -> Vec<Envelope> {
    (0..)
        .zip(events)
        .map(|(seq, event)| Envelope {
            schema: EVENT_SCHEMA,
            seq,
            time_ms: 1_700_000_000_000 + seq as i64 * 10,
            elapsed_us: seq * 10_000,
            run: 3,
            event,
        })
        .collect()
}

/// A run of so many batches of so many items (at least 2), the first of each dead-lettered, that ends partial.
pub fn run(batches: u64, items: u64) -> Vec<Envelope> {
    let mut events = vec![
        Event::RunStarted(Box::new(RunStarted {
            store: "atlas.db".to_owned(),
            collection: "orders".to_owned(),
            inputs: vec!["orders.ndjson".to_owned()],
            strategy: "adaptive".to_owned(),
            total_items: Some(batches * items),
            ..RunStarted::default()
        })),
        Event::PlanChosen {
            batch: 0,
            batch_size: items,
            lanes: 2,
            batches_in_flight: 3,
            old_batch_size: None,
            old_lanes: None,
            old_batches_in_flight: None,
            inputs: Box::default(),
            reason: "the first".to_owned(),
        },
        Event::LanesInUse { lanes: 2 },
    ];
    let mut counts = Counts::default();
    for number in 0..batches {
        let first = number * items;
        events.push(Event::BatchStarted {
            batch: number,
            first_ordinal: first,
            last_ordinal: first + items - 1,
            items,
            batch_size: items,
            lanes: 2,
            slots: vec!["price".to_owned()],
        });
        events.push(Event::TransactionCommitted { group: number, duration_us: 2_000 });
        let committed = batch(number, items, 1);
        if let Event::BatchCommitted(batch) = &committed {
            counts.add(&batch.counts);
        }
        events.push(committed);
        events.push(failure(number, first, if number % 10 == 0 { "PRICE_RARE" } else { "PRICE_LOW" }));
    }
    events.push(Event::RunEnded(Box::new(RunEnded {
        status: RunStatus::Partial,
        success: false,
        counts,
        blank_lines: 2,
        batches,
        duration_ms: events.len() as u64 * 10,
        error: None,
    })));
    stream(events)
}
