"""The rules of a ticket."""

from dataclasses import dataclass

from ticket import Ticket, quoted

TITLE_BYTES_MAX = 200
PRIORITY_MAX = 9
TAGS_MAX = 10
STATUSES = ("pending", "in_progress", "completed", "failed", "blocked")


@dataclass
class Broken:
    """One rule that a ticket breaks."""

    code: str
    pointer: str
    message: str


def broken_rules(ticket: Ticket) -> list[Broken]:
    """All rules that the ticket breaks, in the order of the fields."""
    broken = []
    title_bytes = len(ticket.title.encode())
    if not 1 <= title_bytes <= TITLE_BYTES_MAX:
        message = f"title has {title_bytes} bytes, wanted 1 to {TITLE_BYTES_MAX}"
        broken.append(Broken("TICKET_TITLE", "/title", message))
    if ticket.status not in STATUSES:
        message = f"status is {quoted(ticket.status)}, wanted one of {', '.join(STATUSES)}"
        broken.append(Broken("TICKET_STATUS", "/status", message))
    if ticket.priority > PRIORITY_MAX:
        message = f"priority is {ticket.priority}, wanted 0 to {PRIORITY_MAX}"
        broken.append(Broken("TICKET_PRIORITY", "/priority", message))
    if len(ticket.tags) > TAGS_MAX:
        message = f"{len(ticket.tags)} tags, wanted at most {TAGS_MAX}"
        broken.append(Broken("TICKET_TAGS", "/tags", message))
    return broken
