"""From the text of an item to a ticket."""

import json
import math
from dataclasses import dataclass

from ticket.cursor import NUMBER_START, Cursor
from ticket.numbers import described, is_signed, is_unsigned

U32_MAX = 2**32 - 1
# In the order in which a list gives them; the last two may be missing.
FIELDS = ("id", "path", "title", "status", "priority", "tags", "created", "notes", "slug", "score")
REQUIRED = FIELDS[:8]
# A whole number of that many characters is below 2^63.
_SURE_DIGITS = 18


@dataclass(slots=True)
class Ticket:
    """What is read of a ticket. Slug and score are computed: of those only the types count."""

    id: str
    path: str
    title: str
    status: str
    priority: int
    tags: list[str]
    created: int
    notes: str


def read_ticket(text: str, tags_are: str) -> Ticket:
    """Reads a ticket: an object, or a list of the fields' values in their order. Other members are left out.

    `tags_are` says in an error what `tags` was to be. Raises a JsonError if a field is missing, doubled or of another type.
    """
    return _plain_ticket(text) or _read_carefully(text, tags_are)


def _whole_or_nan(digits: str) -> int | float:
    """What int() would lose something of, as of -0, or take long for, becomes no whole number."""
    return int(digits) if len(digits) <= _SURE_DIGITS and digits != "-0" else math.nan


# An object becomes a tuple of its members, which shows those that are there twice.
_decode = json.JSONDecoder(object_pairs_hook=tuple, parse_int=_whole_or_nan).decode


def _plain_ticket(text: str) -> Ticket | None:
    """The ticket, if json, which is fast, can be trusted with it: an object with each member once and of its type."""
    members = _decode(text)
    if type(members) is not tuple:
        return None
    fields = dict(members)
    if len(fields) != len(members):
        return None
    try:
        ticket = Ticket(*[fields[name] for name in REQUIRED])
    except KeyError:
        return None
    if type(ticket.tags) is not list:
        return None
    texts = (ticket.id, ticket.path, ticket.title, ticket.status, ticket.notes, fields.get("slug", ""), *ticket.tags)
    score = fields.get("score", 0)
    is_plain = (
        {type(text) for text in texts} == {str}
        and type(ticket.priority) is int
        and 0 <= ticket.priority <= U32_MAX
        and type(ticket.created) is int
        and ticket.created >= 0
        and type(score) in (int, float)
        and math.isfinite(score)
    )
    return ticket if is_plain else None


def _read_carefully(text: str, tags_are: str) -> Ticket:
    cursor = Cursor(text)
    char = cursor.peek()
    if char == "{":
        fields = _from_object(cursor, tags_are)
    elif char == "[":
        fields = _from_list(cursor, tags_are)
    else:
        raise cursor.unexpected("struct Ticket")
    return Ticket(*(fields[name] for name in REQUIRED))


def _from_object(cursor: Cursor, tags_are: str) -> dict:
    fields = {}
    cursor.at += 1
    if not cursor.take("}"):
        while True:
            cursor.peek()
            name = cursor.string()
            cursor.peek()
            if name in fields:
                raise cursor.error(f"duplicate field `{name}`")
            cursor.take(":")
            read = _READERS.get(name)
            if read is None:
                cursor.skip()
            else:
                fields[name] = read(cursor, tags_are)
            if not cursor.take(","):
                break
        cursor.take("}")
    for name in REQUIRED:
        if name not in fields:
            raise cursor.error(f"missing field `{name}`")
    return fields


def _from_list(cursor: Cursor, tags_are: str) -> dict:
    fields = {}
    cursor.at += 1
    if not cursor.take("]"):
        while True:
            cursor.peek()
            if len(fields) == len(FIELDS):
                cursor.at += 1
                raise cursor.error("trailing characters")
            name = FIELDS[len(fields)]
            fields[name] = _READERS[name](cursor, tags_are)
            if not cursor.take(","):
                break
        cursor.take("]")
    if len(fields) < len(REQUIRED):
        raise cursor.error(f"invalid length {len(fields)}, expected struct Ticket with {len(FIELDS)} elements")
    return fields


def _text(cursor: Cursor, _: str) -> str:
    if cursor.peek() != '"':
        raise cursor.unexpected("a string")
    return cursor.string()


def _texts(cursor: Cursor, list_is: str) -> list[str]:
    if cursor.peek() != "[":
        raise cursor.unexpected(list_is)
    cursor.at += 1
    texts = []
    if cursor.take("]"):
        return texts
    while True:
        texts.append(_text(cursor, list_is))
        if not cursor.take(","):
            break
    cursor.take("]")
    return texts


def _priority(cursor: Cursor, _: str) -> int:
    return int(_whole(cursor, "u32", lambda number: is_unsigned(number) and int(number) <= U32_MAX))


def _created(cursor: Cursor, _: str) -> int:
    return int(_whole(cursor, "u64", is_unsigned))


def _score(cursor: Cursor, _: str) -> str:
    if cursor.peek() not in NUMBER_START:
        raise cursor.unexpected("f64")
    return cursor.number()


def _whole(cursor: Cursor, kind: str, fits) -> str:
    """The digits of a whole number for which `fits` is true."""
    if cursor.peek() not in NUMBER_START:
        raise cursor.unexpected(kind)
    number = cursor.number()
    if fits(number):
        return number
    what = "value" if is_unsigned(number) or is_signed(number) else "type"
    raise cursor.error(f"invalid {what}: {described(number)}, expected {kind}")


_READERS = {
    "id": _text,
    "path": _text,
    "title": _text,
    "status": _text,
    "priority": _priority,
    "tags": _texts,
    "created": _created,
    "notes": _text,
    "slug": _text,
    "score": _score,
}
