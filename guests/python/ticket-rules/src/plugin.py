"""Judges benchmark tickets: what the contract asks of a validator."""

from rules import Broken, broken_rules
from ticket import JsonError, read_ticket
from wit_world import exports
from wit_world.imports.types import Item, Problem, Verdict, Verdict_Accept, Verdict_Reject


class Validator(exports.Validator):
    def validate(self, items: list[Item]) -> list[Verdict]:
        return [verdict(item.body) for item in items]


def verdict(body: str) -> Verdict:
    try:
        broken = broken_rules(read_ticket(body, "a list of strings"))
    except JsonError as error:
        broken = [Broken("TICKET_SHAPE", "", f"not a ticket: {error}")]
    if not broken:
        return Verdict_Accept()
    return Verdict_Reject([Problem(rule.code, rule.message, rule.pointer, []) for rule in broken])
