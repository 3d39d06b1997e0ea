"""Numbers of JSON as texts: a float cannot tell 1.0 from 1, nor 2^64 - 1 from 2^64."""

import math
import re

U64_MAX = "18446744073709551615"
S64_MIN = "-9223372036854775808"
S32_MAX = 2**31 - 1

_UNSIGNED = re.compile(r"[0-9]+")
_SIGNED = re.compile(r"-[1-9][0-9]*")


def is_unsigned(number: str) -> bool:
    """Whether it is a whole number from 0 to 2^64 - 1."""
    return _UNSIGNED.fullmatch(number) is not None and _is_up_to(number, U64_MAX)


def is_signed(number: str) -> bool:
    """Whether it is a whole number from -2^63 to -1."""
    return _SIGNED.fullmatch(number) is not None and _is_up_to(number, S64_MIN)


def _is_up_to(number: str, bound: str) -> bool:
    return len(number) < len(bound) or len(number) == len(bound) and number <= bound


def is_within_double(number: str) -> bool:
    """Whether a double comes near it."""
    return not math.isinf(float(number))


def exponent_bound(number: str) -> int:
    """How much of a number it takes to see that it is too large: all of it, or so much that the exponent alone is."""
    start = max(number.find("e"), number.find("E")) + 1
    exponent = 0
    for at in range(start, len(number)) if start else ():
        if number[at] == "+":
            continue
        exponent = exponent * 10 + int(number[at])
        if exponent > S32_MAX:
            return at + 1
    return len(number)


def float_text(double: float) -> str:
    """The shortest text that reads back as this double: with a fraction, or with an exponent below -5 and above 15."""
    text = repr(double)
    digits, e, exponent = text.partition("e")
    if not e:
        return text
    if int(exponent) == -5:
        minus, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
        return f"{minus}0.0000{digits.replace('.', '')}"
    return f"{digits}e{int(exponent):+d}"


def described(number: str) -> str:
    """A number in words."""
    if is_unsigned(number) or is_signed(number):
        return f"integer `{number}`"
    return f"floating point `{float_text(float(number))}`"
