"""Cells that are not of the kind of the others in their column, which a person must decide about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from search.data import date_texts, number_texts
from search.data.column_spec import advice_on
from search.data.number_texts import NumberFormat
from search.data.targets import BadRow
from search.errors import clip

_NEARLY_ALL = 0.9
_SEVERAL = 10
_SHOWN = 40
_TOTALS = frozenset(
    {"total", "totals", "grand total", "subtotal", "sum", "average", "avg", "mean", "summe", "gesamt", "somme", "suma"}
)


def refuse_odd(name: str, texts: Sequence[str], rows: Mapping[str, Sequence[int]], count: int) -> None:
    """Refuse a column of text nearly all of whose cells are numbers, dates or times, at least 10 different ones.

    Args:
        name: the name of the column.
        texts: its different texts, without those that are missing.
        rows: the rows of each text.
        count: the number of rows of the table.

    Raises:
        BadRow: the column is such a one.
    """
    both, form = partial(zip, strict=True), commonest(texts, rows)
    kinds = {
        "numbers": [form.parse(text) is not None for text in texts],
        "times": [date_texts.time_of_day(text) is not None for text in texts],
        "dates": date_texts.are_dates(texts),
    }
    cells = sum(len(rows[text]) for text in texts)
    for kind, fits in kinds.items():
        # Numbers in several formats, such as two currencies, are no more words than numbers in one.
        looks = [fit or (kind == "numbers" and number_texts.looks_like_number(text)) for text, fit in both(texts, fits)]
        share = sum(len(rows[text]) for text, look in both(texts, looks) if look) / cells
        if share >= _NEARLY_ALL and sum(looks) >= _SEVERAL and not all(fits):
            odd = [text for text, fit in both(texts, fits) if not fit]
            first = min(odd, key=lambda text: rows[text][0])
            row = rows[first][0]
            last = ", the last row: delete it if it is a total" if row == count - 1 else ""
            what = f"column {clip(name)!r} holds {kind}, and {clip(first, _SHOWN)!r}"
            raise BadRow(what, row, f"{last}{advice_on(name, first)}")


def refuse_total(name: str, texts: Sequence[str], rows: Mapping[str, Sequence[int]], count: int) -> None:
    """Refuse a last cell such as Total, if no other row has it; the arguments are those of `refuse_odd`.

    Raises:
        BadRow: there is such a cell.
    """
    for text in texts:
        if text.casefold().rstrip(":") in _TOTALS and list(rows[text]) == [count - 1] and count > _SEVERAL:
            advice = f": it is a total, to be deleted, or --column {name}=category keeps it"
            raise BadRow(f"column {clip(name)!r} holds {clip(text, _SHOWN)!r}", count - 1, advice)


def commonest(texts: Sequence[str], rows: Mapping[str, Sequence[int]]) -> NumberFormat:
    """Return the format of numbers that most cells have, judged by the first 1,000 texts."""
    tally: dict[NumberFormat, int] = {}
    for text in texts[:1000]:
        form = number_texts.recognise([text])
        if form is not None:
            tally[form] = tally.get(form, 0) + len(rows[text])
    return max(tally, key=lambda form: tally[form]) if tally else NumberFormat()
