"""%DESCRIPTION%"""

import json
import re

from wit_world import exports
from wit_world.imports.types import Item, Outcome, Outcome_Drop, Outcome_Keep, Outcome_Reject, Outcome_Replace, Problem


class Refused(Exception):
    """Says that an item cannot pass, and why. Any other exception is a mistake in here, and ends the call."""

    def __init__(self, code: str, message: str, pointer: str) -> None:
        self.problem = Problem(code, message, pointer, [])


class Operation(exports.Operation):
    def apply(self, items: list[Item]) -> list[Outcome]:
        """One outcome for each item, in the same order."""
        return [outcome(item.body) for item in items]


def outcome(body: str) -> Outcome:
    try:
        contact = contact_in(body)
        if contact.get("deleted") is True:
            return Outcome_Drop()
        email = email_of(contact)
    except Refused as refused:
        return Outcome_Reject(refused.problem)
    tidy = email.strip().lower()
    if tidy == email:
        return Outcome_Keep()
    return Outcome_Replace(with_text(body, "email", tidy))


def contact_in(body: str) -> dict:
    # Numbers are neither looked at nor written: floats do, of whatever size.
    contact = json.loads(body, parse_int=float)
    if not isinstance(contact, dict):
        raise Refused("CONTACT_SHAPE", "a contact is a JSON object", "")
    return contact


TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},]')


def with_text(body: str, member: str, text: str) -> str:
    """The body with another text for one of its members, which is a text. All else stays as it is written: a float would
    lose digits."""
    depth, name, place = 0, None, (0, 0)
    for token in TOKEN.finditer(body):
        if token[0] in "{[":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        elif depth == 1 and token[0] == ",":
            name = None
        elif depth == 1 and name is None:
            name = json.loads(token[0])
        elif depth == 1 and name == member:
            place = token.span()
    return body[: place[0]] + json.dumps(text, ensure_ascii=False) + body[place[1] :]


def email_of(contact: dict) -> str:
    email = contact.get("email")
    if not isinstance(email, str):
        raise Refused("EMAIL_MISSING", "a contact needs an e-mail address", "/email")
    return email
