"""Tickets: what they are made of, and how one is read from the text of an item."""

from ticket.cursor import JsonError
from ticket.numbers import float_text
from ticket.reader import Ticket, read_ticket
from ticket.texts import quoted

__all__ = ["JsonError", "Ticket", "float_text", "quoted", "read_ticket"]
