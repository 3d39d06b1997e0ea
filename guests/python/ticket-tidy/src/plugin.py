"""Tidies benchmark tickets: what the contract asks of an operation."""

from ticket import JsonError, read_ticket
from tidy import tidied
from wit_world import exports
from wit_world.imports.types import Item, Outcome, Outcome_Reject, Outcome_Replace, Problem


class Operation(exports.Operation):
    def apply(self, items: list[Item]) -> list[Outcome]:
        return [outcome(item.body) for item in items]


def outcome(body: str) -> Outcome:
    try:
        ticket = read_ticket(body, "a sequence")
    except JsonError as error:
        return Outcome_Reject(Problem("TICKET_SHAPE", f"not a ticket: {error}", "", []))
    return Outcome_Replace(tidied(ticket))
