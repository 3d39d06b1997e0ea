"""%DESCRIPTION%"""

import json

from wit_world import exports
from wit_world.imports.types import Item, Problem, Verdict, Verdict_Accept, Verdict_Reject


class Refused(Exception):
    """Says that an item cannot pass, and why. Any other exception is a mistake in here, and ends the call."""

    def __init__(self, code: str, message: str, pointer: str) -> None:
        self.problem = Problem(code, message, pointer, [])


class Validator(exports.Validator):
    def validate(self, items: list[Item]) -> list[Verdict]:
        """One verdict for each item, in the same order."""
        return [verdict(item.body) for item in items]


def verdict(body: str) -> Verdict:
    try:
        email = email_of(contact_in(body))
        name, _, domain = email.strip().partition("@")
        if not name or not domain or "@" in domain:
            raise Refused("EMAIL_FORM", f'"{email}" is no e-mail address', "/email")
    except Refused as refused:
        return Verdict_Reject([refused.problem])
    return Verdict_Accept()


def contact_in(body: str) -> dict:
    # No rule here is about numbers: floats do, of whatever size.
    contact = json.loads(body, parse_int=float)
    if not isinstance(contact, dict):
        raise Refused("CONTACT_SHAPE", "a contact is a JSON object", "")
    return contact


def email_of(contact: dict) -> str:
    email = contact.get("email")
    if not isinstance(email, str):
        raise Refused("EMAIL_MISSING", "a contact needs an e-mail address", "/email")
    return email
