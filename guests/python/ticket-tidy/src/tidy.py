"""What tidying does to a ticket."""

import re
from json.encoder import encode_basestring as text_of

from ticket import Ticket, float_text

_BETWEEN = re.compile("[^A-Za-z0-9]+")
_ASCII_LOWER = {ord(letter): ord(letter) + 32 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def tidied(ticket: Ticket) -> str:
    """The tidied ticket as compact JSON, its fields in a fixed order.

    `slug` is the title in ASCII lower case with `-` for every run of other characters, `tags` are in ASCII lower case,
    sorted, without repeats, `score` is the priority over one plus the number of tags left.
    """
    slug = _BETWEEN.sub("-", ticket.title).lower()
    tags = sorted({tag.translate(_ASCII_LOWER) for tag in ticket.tags})
    score = ticket.priority / (1 + len(tags))
    # By hand: the digits of `created` are kept as they are, and a score of 1 is written 1.0.
    return (
        f'{{"id":{text_of(ticket.id)},"path":{text_of(ticket.path)},"title":{text_of(ticket.title)},'
        f'"status":{text_of(ticket.status)},"priority":{ticket.priority},"tags":[{",".join(map(text_of, tags))}],'
        f'"created":{ticket.created},"notes":{text_of(ticket.notes)},"slug":"{slug}","score":{float_text(score)}}}'
    )
