"""A cursor over JSON text that is known to be strict, escapes included.

json.loads loses what the rules ask for: members that are there twice, 1.0 against 1, and the place of a mistake.
"""

import re
from json.decoder import scanstring

from ticket.numbers import described, exponent_bound, is_within_double
from ticket.texts import quoted

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_LITERAL = {"n": "null", "t": "true", "f": "false"}
NUMBER_START = frozenset("-0123456789")


class JsonError(Exception):
    """The text is not what was asked for; the message says what and where."""


class Cursor:
    """A place in a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.has_escapes = "\\" in text

    def peek(self) -> str:
        """Skips white space; the character that follows."""
        self.at = _SPACE.match(self.text, self.at).end()
        return self.text[self.at : self.at + 1]

    def take(self, char: str) -> bool:
        """Steps over the character that follows, if it is this one."""
        if self.peek() != char:
            return False
        self.at += 1
        return True

    def string(self) -> str:
        """The string that begins here."""
        start = self.at
        if not self.has_escapes:
            self.at = self.text.index('"', start + 1) + 1
            return self.text[start + 1 : self.at - 1]
        text, self.at = scanstring(self.text, start + 1)
        return text

    def number(self) -> str:
        """The text of the number that begins here, within the range of a double."""
        number = _NUMBER.match(self.text, self.at)[0]
        if not is_within_double(number):
            self.at += exponent_bound(number)
            raise self.error("number out of range")
        self.at += len(number)
        return number

    def skip(self) -> None:
        """Steps over one value of any kind."""
        depth = 0
        while True:
            char = self.peek()
            if char == '"':
                self.at = _STRING.match(self.text, self.at).end()
            elif char in NUMBER_START:
                self.at = _NUMBER.match(self.text, self.at).end()
            elif char in _LITERAL:
                self.at += len(_LITERAL[char])
            else:
                depth += (char in "[{") - (char in "]}")
                self.at += 1
            if depth == 0:
                return

    def unexpected(self, expected: str) -> JsonError:
        """The error that the value which begins here is none of the kind expected."""
        return self.error(f"invalid type: {self._found()}, expected {expected}")

    def _found(self) -> str:
        """What the value is that begins here. Steps over it, unless it is a list or an object."""
        char = self.peek()
        if char == '"':
            return f"string {quoted(self.string())}"
        if char == "[":
            return "sequence"
        if char == "{":
            return "map"
        if char in NUMBER_START:
            return described(self.number())
        literal = _LITERAL[char]
        self.at += len(literal)
        return literal if literal == "null" else f"boolean `{literal}`"

    def error(self, what: str) -> JsonError:
        """An error here: the line counted from 1, and the bytes of UTF-8 before in that line."""
        before = self.text[: self.at]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode())
        return JsonError(f"{what} at line {line} column {column}")
