"""Does what its items say, with all that the contract has, for tests of languages."""

from reads import learned, read
from wit_world import exports
from wit_world.imports import config, context, log
from wit_world.imports.types import (
    Change_Delete,
    Change_Put,
    DeleteChange,
    Item,
    Outcome,
    Outcome_Drop,
    Outcome_Emit,
    Outcome_Keep,
    Outcome_Reject,
    Outcome_Replace,
    Outcome_Retry,
    Problem,
    PutChange,
    RetryRequest,
    Verdict,
    Verdict_Accept,
    Verdict_Reject,
)

OTHER = "other"
"""The collection beside the run's own."""


class Validator(exports.Validator):
    def validate(self, items: list[Item]) -> list[Verdict]:
        return [verdict(words(item)) for item in items]


class Operation(exports.Operation):
    def apply(self, items: list[Item]) -> list[Outcome]:
        return [outcome(item, *words(item)) for item in items]


def words(item: Item) -> list[str]:
    return item.body[1:-1].split(" ")


def verdict(said: list[str]) -> Verdict:
    """`refuse N` breaks N rules."""
    if said[0] != "refuse":
        return Verdict_Accept()
    return Verdict_Reject([Problem("PROBE_RULE", str(n), "/", [("rule", str(n))]) for n in range(int(said[1]))])


def outcome(item: Item, word: str, *rest: str) -> Outcome:
    match word:
        case "keep":
            return Outcome_Keep()
        case "drop":
            return Outcome_Drop()
        case "replace":
            return Outcome_Replace('["replaced"]')
        case "emit":
            return Outcome_Emit(
                [
                    Change_Put(PutChange(OTHER, f"{item.id}-other", item.body)),
                    Change_Put(PutChange(None, f"{item.id}-own", '{"emitted":true}')),
                    Change_Delete(DeleteChange(OTHER, "gone")),
                    Change_Delete(DeleteChange(None, "gone")),
                ]
            )
        case "nothing":
            return Outcome_Emit([])
        case "retry":
            if context.attempt() == 1:
                return retry(int(rest[0]))
            return Outcome_Replace(f'{{"attempt":{context.attempt()}}}')
        case "never":
            return retry(None)
        case "reject":
            return Outcome_Reject(Problem("PROBE_REJECT", "asked to refuse", "/a~1b/0", [("k", ""), ("", "v")]))
        case "bare":
            return Outcome_Reject(Problem("", "", "", []))
        case "log":
            log.write(log.Level[rest[0].upper()], " ".join(rest[1:]))
            return Outcome_Keep()
        case "config":
            value = config.get(rest[0])
            return learned("none", []) if value is None else learned("some", [(rest[0], value)])
        case "configs":
            return learned("all", config.get_all())
        case "context":
            return learned("context", told(item.ordinal))
        case _:
            return read(word, *rest)


def told(ordinal: int) -> list[tuple[str, str]]:
    fixed = context.now_ms() == context.now_ms() and context.now_ms() > 1_700_000_000_000
    return [
        ("run", str(len(context.run()))),
        ("batch", str(context.batch())),
        ("attempt", str(context.attempt())),
        ("deadline", str(context.deadline_ms())),
        ("now", "fixed" if fixed else "moves"),
        ("seed", str(context.seed(ordinal))),
        ("other-seed", str(context.seed(2**53 - 1))),
    ]


def retry(delay_ms: int | None) -> Outcome:
    problem = Problem("PROBE_RETRY", "asked to fail for now", "/retry", [("why", "asked")])
    return Outcome_Retry(RetryRequest(problem, delay_ms))
