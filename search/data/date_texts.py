"""How a column writes its dates and times: the format that all of its cells have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

ISO, MIXED = "ISO8601", "mixed"
_NUMERIC = ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d/%m/%y", "%m/%d/%y", "%m/%Y", "%Y/%m")
_WORDED = (
    *("%b %d, %Y", "%b %d %Y", "%d %b %Y", "%d %b, %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d. %b %Y", "%d.%b.%Y"),
    *("%a, %d %b %Y", "%a %d %b %Y", "%a, %b %d, %Y", "%a %b %d, %Y", "%a %b %d %Y", "%b %Y", "%b-%Y", "%b-%y"),
)
_DATES = (
    *(form.replace("/", sign) for form in _NUMERIC for sign in "/-."),
    *(
        form.replace("%a", day).replace("%b", month)
        for form in _WORDED
        for day in ("%a", "%A")
        for month in ("%b", "%B")
    ),
)
_PATTERNS = {
    "%d": r"\d\d?",
    "%m": r"\d\d?",
    "%Y": r"\d{4}",
    "%y": r"\d\d",
    "%a": "[A-Za-z]{3}",
    "%A": "[A-Za-z]{6,9}",
} | {
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
}
_CLOCK = re.compile(
    r"(?P<gap>,? |T)(?P<clock>\d\d?:\d\d)(?P<seconds>:\d\d)?(?P<part>\.\d{1,9})?(?P<half>(?P<blank> ?)[AaPp][Mm])?"
    r"(?P<zone>(?P<space> ?)([+-]\d\d:?\d\d|Z|UTC|GMT))?$"
)
_ISO = re.compile(
    r"\d{4}-\d\d(-\d\d([T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,9})?)?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?)?)?", re.IGNORECASE
)
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?:\s*([AaPp])\.?[Mm]\.?)?")
_COMPACT = re.compile(r"(1[89]|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_AS_WRITTEN = re.compile(r"\d.*[-/. ,]|[-/. ,].*\d")
_UNIX = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_FIRST, _LAST = 946_684_800, 2_208_988_800  # the years 2000 to 2039
_WHEN = re.compile(
    r"(^|[^a-z])(ts|time|date|datetime|timestamp|epoch|unix|when|created|updated|modified|start|started|end|ended|at|on)"
    r"([^a-z]|$)"
)


@dataclass(frozen=True)
class DateFormat:
    """How dates are written.

    Attributes:
        format: a format of `strptime`, "ISO8601", or "mixed" for cells that differ.
        day_first: whether 01/02/2024 is the first of February.
        either: whether day first and month first would both fit.
    """

    format: str
    day_first: bool = False
    either: bool = False


def recognise_dates(texts: Sequence[str], day_first: bool | None = None) -> DateFormat | None:
    """Return the format that all texts have, or None.

    Args:
        texts: the different cells of a column in the order of its rows, without missing ones.
        day_first: whether the day comes before the month; None to decide by the column as a whole.
    """
    if not texts or not all(any(sign.isdigit() for sign in text) for text in texts):
        return None
    if all(map(_ISO.fullmatch, texts)) and not np.isnan(seconds(texts, ISO)).any():
        return DateFormat(ISO)
    if not all(map(_AS_WRITTEN.search, texts)):
        return None
    fitting = [form for form in _possible(texts[0]) if not np.isnan(seconds(texts, form)).any()]
    if not fitting:
        return _mixed(texts, bool(day_first))
    months_first = [form for form in fitting if form.startswith("%m") and "%d" in form]
    days_first = [form for form in fitting if form.startswith("%d") and "%m" in form]
    if not (months_first and days_first):
        return DateFormat(fitting[0], day_first=bool(days_first))
    chosen = _goes_on(texts, days_first[0], months_first[0]) if day_first is None else day_first
    return DateFormat((days_first if chosen else months_first)[0], chosen, either=day_first is None)


def seconds(texts: Sequence[str], form: str, *, day_first: bool = False) -> NDArray[np.float64]:
    """Return the seconds since 1970 (UTC) of each text; NaN for a text that is not of the format."""
    import pandas as pd

    if form == MIXED:
        texts = [text if _AS_WRITTEN.search(text) else "" for text in texts]
        found = pd.to_datetime(
            pd.Series(texts, dtype=object), format=MIXED, dayfirst=day_first, errors="coerce", utc=True
        )
    else:
        found = pd.to_datetime(pd.Series(texts, dtype=object), format=form, errors="coerce", utc=True)
    return of_datetimes(found.dt.tz_localize(None).to_numpy())


def of_datetimes(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return seconds since 1970; NaN for NaT."""
    found = times.astype("datetime64[us]").astype(np.int64) / 1e6
    found[np.isnat(times)] = np.nan
    return found


def time_of_day(text: str) -> float | None:
    """Return the seconds since midnight of ``9:30``, ``21:30:15.5`` or ``9:30 PM``, or None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, second = int(match[1]), int(match[2]), float((match[3] or "0").replace(",", "."))
    if match[4]:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if match[4] in "Pp" else 0)
    return hours * 3600 + minutes * 60 + second if hours < 24 and minutes < 60 and second < 60 else None


def unix_unit(name: str, values: NDArray[np.float64], *, certain: bool = False) -> str:
    """Return the unit (s, ms, us or ns) in which numbers count from 1970, or "" if they do not look like times.

    They do if all of them are in the years 2000 to 2039 and the column is called something like a time. Amounts and
    telephone numbers may be in the same range.

    Args:
        name: the name of the column.
        values: its numbers, without missing ones.
        certain: whether the name does not matter, because somebody has said that the column holds dates.
    """
    if not len(values):
        return ""
    lowest, highest = float(values.min()), float(values.max())
    for unit, scale in _UNIX.items():
        if lowest / scale >= _FIRST and highest / scale <= _LAST:
            called = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
            return unit if certain or _WHEN.search(called) else ""
    return ""


def of_unix(values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Return seconds since 1970."""
    return values / _UNIX[unit]


def are_dates(texts: Sequence[str]) -> list[bool]:
    """Return which texts are dates in some format."""
    looks = [bool(_ISO.fullmatch(text) or (_AS_WRITTEN.search(text) and _possible(text))) for text in texts]
    if not any(looks):
        return looks
    read = seconds([text if look else "" for text, look in zip(texts, looks, strict=True)], MIXED)
    return [look and not np.isnan(value) for look, value in zip(looks, read, strict=True)]


def are_compact(texts: Sequence[str], least: int = 10) -> bool:
    """Return whether the texts are dates such as 20240131, at least `least` different ones."""
    return (
        len(texts) >= least
        and all(map(_COMPACT.fullmatch, texts))
        and not bool(np.isnan(seconds(texts, "%Y%m%d")).any())
    )


def _possible(text: str) -> list[str]:
    """Return the formats that a text may have by its looks."""
    clock = _CLOCK.search(text)
    date, form = (text, "") if clock is None else (text[: clock.start()], _clock_format(clock))
    return [candidate + form for candidate, looks in _looks().items() if looks.fullmatch(date)]


def _clock_format(clock: re.Match[str]) -> str:
    half = clock["half"] is not None
    form = clock["gap"] + ("%I:%M" if half else "%H:%M") + (":%S" if clock["seconds"] else "")
    form += ".%f" if clock["part"] else ""
    form += f"{clock['blank']}%p" if half else ""
    zone = clock["zone"] or ""
    return form + (clock["space"] + ("%Z" if zone.strip() in ("UTC", "GMT") else "%z") if zone else "")


@cache
def _looks() -> dict[str, re.Pattern[str]]:
    """Return a pattern for each format of a date."""
    found = {}
    for form in dict.fromkeys(_DATES):
        pattern = re.escape(form)
        for sign, looks in _PATTERNS.items():
            pattern = pattern.replace(sign, looks)
        found[form] = re.compile(pattern)
    return found


def _mixed(texts: Sequence[str], day_first: bool) -> DateFormat | None:
    if (
        not all(_ISO.fullmatch(text) or _possible(text) for text in texts)
        or np.isnan(seconds(texts, MIXED, day_first=day_first)).any()
    ):
        return None
    return DateFormat(MIXED, day_first)


def _goes_on(texts: Sequence[str], day_first: str, month_first: str) -> bool:
    """Return whether rows follow each other more closely with the day first; if neither does, ``/`` means month first.

    Rows are often in the order of time, so the right reading has the smaller steps.
    """
    steps = [np.abs(np.diff(seconds(texts, form))).sum() for form in (day_first, month_first)]
    return bool(steps[0] < steps[1]) if steps[0] != steps[1] else "/" not in texts[0]
