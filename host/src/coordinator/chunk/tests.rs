use super::*;
use crate::model::Ordinal;
use crate::source::MissingId;

/// A chunk of no items, for a chain of one operation that keeps what it is given.
fn chunk() -> Chunk {
    let keep = |_: &Call, _: Item<'_>| Outcome::Keep;
    let slot = Slot::of_operation(Name::parse("work").unwrap(), Arc::new(keep));
    let run = RunShared {
        uuid: "run".into(),
        deadline: limits::DEADLINE,
        now_ms: 0,
        seed: 0,
        target: Name::parse("items").unwrap(),
        body_decoder: Decoder::new(None, MissingId::Ordinal),
        view: None,
    };
    let chain = Chain::new(Vec::new(), vec![Arc::new(slot)]);
    Chunk {
        run: Arc::new(run),
        logs: chain.slots().map(|_| Arc::default()).collect(),
        chain: Arc::new(chain),
        number: 0,
        batch: Arc::new(Batch::default()),
        indices: Vec::new(),
        attempt: 1,
        shadows: Arc::from([]),
        over: Arc::default(),
    }
}

/// What halving eight items comes to if calls with the last one fail like this, the calls it took, and the error of the run.
fn halved(fault: &Fault) -> (Vec<Result<u64, Fault>>, Vec<usize>, Option<Error>) {
    let (chunk, runtime) = (chunk(), CallRuntime::new().unwrap());
    let mut work = ChunkWork::new(&chunk, &runtime, None);
    let items: Vec<Item<'_>> = (0..8).map(|n| Item { ordinal: Ordinal(n), id: "a", body: "{}" }).collect();
    let mut calls = Vec::new();
    let results = work.halve(
        0,
        &items,
        |_| 0,
        |_, _, items, _| {
            calls.push(items.len());
            match items.iter().any(|item| item.ordinal == Ordinal(7)) {
                true => Err(fault.clone()),
                false => Ok(items.iter().map(|item| item.ordinal.0).collect()),
            }
        },
    );
    (results, calls, work.no_room)
}

#[test]
fn a_fault_costs_its_item_and_no_room_costs_none_but_ends_the_run() {
    let trap = Fault::new(Code::GuestTrap, "unreachable");
    let (results, calls, error) = halved(&trap);
    let wanted: Vec<Result<u64, Fault>> = (0..7).map(Ok).chain([Err(trap)]).collect();
    assert_eq!((results, calls, error.is_none()), (wanted, vec![8, 4, 4, 2, 2, 1, 1], true));

    let (results, calls, error) = halved(&Fault::no_room("all are in use"));
    let error = error.expect("the run ends");
    assert_eq!((results.len(), calls, error.code()), (8, vec![8], Code::GuestStart));
    assert!(error.to_string().contains("slot work") && error.hint_text().contains("--lanes"), "{error}");
}

#[test]
fn a_lone_item_gets_one_more_chance_in_a_fresh_sandbox() {
    let (chunk, runtime) = (chunk(), CallRuntime::new().unwrap());
    let item = [Item { ordinal: Ordinal(0), id: "a", body: "{}" }];
    for (code, wanted) in [(Code::GuestTrap, vec![false, true]), (Code::GuestDeadline, vec![false])] {
        let mut fresh = Vec::new();
        let results = ChunkWork::new(&chunk, &runtime, None).halve(
            0,
            &item,
            |()| 0,
            |_, _, _, as_new| {
                fresh.push(as_new);
                Err::<Vec<()>, Fault>(Fault::new(code, "again"))
            },
        );
        assert_eq!((results.len(), fresh), (1, wanted), "{code}");
    }
}

/// Each part may answer as much as one call may, and there are many parts.
#[test]
fn halves_are_asked_until_their_answers_come_to_the_bound() {
    let (chunk, runtime) = (chunk(), CallRuntime::new().unwrap());
    let items: Vec<Item<'_>> = (0..16).map(|n| Item { ordinal: Ordinal(n), id: "a", body: "{}" }).collect();
    let mut work = ChunkWork::new(&chunk, &runtime, None);
    for answered in [6, 0] {
        let bytes = |_: &u64| limits::ANSWER_BYTES_MAX / 5;
        let results = work.halve(0, &items, bytes, |_, _, items, _| match items.len() {
            0..=2 => Ok(items.iter().map(|item| item.ordinal.0).collect()),
            _ => Err(Fault::new(Code::GuestOutput, "too much for one call")),
        });
        assert_eq!(results, (0..answered).map(Ok).collect::<Vec<_>>());
    }
    let judged = |items| (0..items).map(|_| Ok(Verdict::Accept)).collect();
    let slots = [Arc::clone(&chunk.chain.operations[0]), Arc::clone(&chunk.chain.operations[0])];
    assert_eq!(merge(&slots, vec![judged(5), judged(3)], 5, 1).len(), 3, "no item passes without all verdicts");
}
