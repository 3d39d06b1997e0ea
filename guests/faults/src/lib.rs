//! Fault directives: how a sample guest is told to misbehave, and the kinds
//! of misbehaviour that do not depend on what the guest answers.

use std::hint::black_box;

/// Rounds of the idle loop that take a slow machine about a millisecond, and a fast one a quarter of it.
const ROUNDS_PER_MS: u64 = 500_000;
const BOMB_STEP_BYTES: usize = 1 << 20;

/// A directive as written in an item: a name, and a number in parentheses
/// where there is one, such as `trap` or `transient(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive<'a> {
    /// What to do.
    pub name: &'a str,
    /// How often, how many or how long.
    pub number: Option<u64>,
}

impl<'a> Directive<'a> {
    /// Read a directive. What has no well-formed number is a name as a whole.
    pub fn parse(text: &'a str) -> Directive<'a> {
        let numbered = text
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .and_then(|(name, number)| Some((name, number.parse().ok()?)));
        match numbered {
            Some((name, number)) => Directive { name, number: Some(number) },
            None => Directive { name: text, number: None },
        }
    }
}

/// Do what `directive` says if it is a fault of the call as a whole: `trap`,
/// `spin`, `alloc`, `recurse` never return, `slow(MS)` returns late, and any
/// other returns at once. Gives back whether the directive was one of these.
pub fn act(directive: Directive) -> bool {
    match directive.name {
        "trap" => panic!("a fault directive asked for a trap"),
        "spin" => spin(),
        "alloc" => allocate(),
        "recurse" => {
            black_box(recurse(u64::MAX));
        }
        "slow" => idle(directive.number.unwrap_or(1)),
        _ => return false,
    }
    true
}

/// Keep busy for a number of rounds in proportion to `ms`, see
/// [`ROUNDS_PER_MS`]: there is no clock in a sandbox whose answers repeat.
fn idle(ms: u64) {
    let mut state = 1_u64;
    for _ in 0..ms.saturating_mul(ROUNDS_PER_MS) {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005));
    }
}

fn spin() -> ! {
    loop {
        idle(1);
    }
}

/// Take memory, and touch it, until there is none.
fn allocate() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; BOMB_STEP_BYTES]));
    }
}

/// A small frame, so that the stack of calls ends before the stack of data
/// does; and work after the call, so that it cannot become a loop.
fn recurse(left: u64) -> u64 {
    if left == 0 {
        return 0;
    }
    recurse(left - 1).rotate_left(3) ^ black_box(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_have_a_name_and_perhaps_a_number() {
        let read = |text| {
            let directive = Directive::parse(text);
            (directive.name, directive.number)
        };
        assert_eq!(read("trap"), ("trap", None));
        assert_eq!(read("slow(20)"), ("slow", Some(20)));
        assert_eq!(read("slow(-1)"), ("slow(-1)", None));
        assert_eq!(read("slow(1"), ("slow(1", None));
        assert_eq!(read(""), ("", None));
    }

    #[test]
    fn only_faults_of_the_call_are_acted_out() {
        assert!(act(Directive::parse("slow(0)")));
        assert!(!act(Directive::parse("drop")));
    }
}
