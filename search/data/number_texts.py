"""How a column writes its numbers: the decimal point, thousands separators, a currency or a percent sign."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

_CURRENCY = (
    r"(?:US\$|CA?\$|AU?\$|R\$|[$€£¥₹₩₽฿₺₪₫₴₦¢]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|Fr\.|kr\.?|zł)"
)
# Blanks that people write between thousands: a space, one that does not break, a thin one and a narrow one.
_BLANKS = " \u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[+-])?\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[+-])?"
    rf"(?P<body>[\d.,'\N{{RIGHT SINGLE QUOTATION MARK}}{_BLANKS}]*\d[.,]?(?:[eE][+-]?\d+)?|[iI]nf(?:inity)?|INF)"
    rf"\s*(?P<after>{_CURRENCY}|%)?\s*(?P<close>\))?"
)
_THOUSANDS = {",": ",", ".": ".", " ": _BLANKS, "'": "'\N{RIGHT SINGLE QUOTATION MARK}"}
_WITH_POINT, _WITH_COMMA = ((".", ","), (".", " "), (".", "'")), ((",", ""), (",", "."), (",", " "), (",", "'"))


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written; `parse` reads one.

    Attributes:
        decimal: the sign before decimals, "." or ",".
        thousands: the sign between thousands, "" for none.
        currency: the currency sign or word of some cells, "" for none.
        percent: whether the cells end with "%".
    """

    decimal: str = "."
    thousands: str = ""
    currency: str = ""
    percent: bool = False

    def parse(self, text: str) -> float | None:
        """Return the number that a text without blanks around it stands for, or None if it is not of this format."""
        parts = _parts(text)
        if parts is None or parts.unit not in ("", self.currency, "%" if self.percent else ""):
            return None
        return parts.sign * _value(parts.body, self) if _pattern(self.decimal, self.thousands)(parts.body) else None


@dataclass(frozen=True)
class _Parts:
    sign: int
    body: str
    unit: str


def recognise(texts: Sequence[str], decimal: str = "", likely: str = "") -> NumberFormat | None:
    """Return the format that all texts have, or None.

    Args:
        texts: the different cells of a column, without blanks around them and without missing ones.
        decimal: the sign before decimals, if the file is known to have one; "" for any.
        likely: the sign before decimals where ``1,500`` may be either.
    """
    parts = [_parts(text) for text in texts]
    known = [part for part in parts if part is not None]
    units = {part.unit for part in known} - {""}
    if not known or len(known) < len(parts) or len(units) > 1:
        return None
    unit = units.pop() if units else ""
    # 5% and 0.05 in one column may mean the same or not.
    if unit == "%" and any(part.unit != "%" and part.body.strip("0.,") for part in known):
        return None
    bodies = {part.body for part in known}
    for point, thousands in _candidates(bodies, decimal, likely):
        fits = _pattern(point, thousands)
        if all(map(fits, bodies)):
            percent = unit == "%"
            return NumberFormat(point, thousands, "" if percent else unit, percent)
    return None


def looks_like_number(text: str) -> bool:
    """Return whether a text is a number in some format."""
    return recognise([text]) is not None


def could_be_either(texts: Sequence[str]) -> bool:
    """Return whether each comma in the texts may stand before decimals as well as between thousands."""
    with_comma = [text for text in texts if "," in text]
    return bool(with_comma) and all(len(re.findall("[.,]", text)) == 1 for text in with_comma)


def _candidates(bodies: set[str], decimal: str, likely: str) -> Iterator[tuple[str, str]]:
    if decimal == "," and any("." in body for body in bodies):
        yield ",", "."
    if decimal != "," or not any("." in body for body in bodies):
        yield ".", ""
    comma_first = "," in (decimal, likely)
    for candidates in (_WITH_COMMA, _WITH_POINT) if comma_first else (_WITH_POINT, _WITH_COMMA):
        yield from (one for one in candidates if decimal in ("", one[0]))
    if decimal == ",":
        yield ".", ""  # a column that a program wrote, in a file that a person wrote


@cache
def _pattern(decimal: str, thousands: str) -> Callable[[str], object]:
    """Return the function that says whether a body, such as ``1,500.5``, has this format."""
    point = re.escape(decimal)
    decimals = rf"(?:{point}\d*)?(?:[eE][+-]?\d+)?"
    whole = r"\d+"
    if thousands:
        whole += rf"|[1-9]\d{{0,2}}(?:[{_THOUSANDS[thousands]}]\d{{3}})+"
        if thousands == ",":
            whole += r"|[1-9]\d?(?:,\d{2})+,\d{3}"  # as in India: 12,34,567
    return re.compile(
        rf"(?:{whole}){decimals}|{point}\d+(?:[eE][+-]?\d+)?|inf(?:inity)?", re.IGNORECASE | re.ASCII
    ).fullmatch


def _parts(text: str) -> _Parts | None:
    match = _NUMBER.fullmatch(text.replace("\N{MINUS SIGN}", "-"))
    if match is None:
        return None
    signs = [sign for sign in (match["sign"], match["inner"]) if sign]
    units = [unit for unit in (match["before"], match["after"]) if unit]
    brackets = (match["open"] is not None, match["close"] is not None)
    if len(signs) > 1 or len(units) > 1 or brackets[0] != brackets[1] or (brackets[0] and signs):
        return None
    negative = brackets[0] or signs == ["-"]  # accountants write (5) for -5
    return _Parts(-1 if negative else 1, match["body"].strip(_BLANKS), units[0] if units else "")


def _value(body: str, form: NumberFormat) -> float:
    for sign in _THOUSANDS.get(form.thousands, ""):
        body = body.replace(sign, "")
    return float(body.replace(form.decimal, "."))
