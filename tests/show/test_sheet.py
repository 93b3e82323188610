"""Tables of text: as wide as the terminal, and never a number cut."""

from __future__ import annotations

import re

import pytest

from search.show.sheet import Sheet

HEADINGS = ("trial", "row", *(f"metric {number}" for number in range(12)), "best epoch", "state")
NUMBERS = [f"{column:04}e-05" for column in range(12)]
ROWS = [
    (f"{row}", "a label of many words that need not stand on one line", *NUMBERS, "100", "complete (diverged)")
    for row in range(3)
]
SHEET = Sheet(HEADINGS, ROWS, ("row", "state"), "best of [3]")


@pytest.mark.parametrize("width", [40, 80, 200, 400])
def test_a_table_fits_and_keeps_every_number(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = str(SHEET)
    assert max(map(len, text.splitlines())) <= width
    assert text.startswith("best of [3]\n")
    for row in ROWS:
        for number in row[2:-1]:
            assert number in text
    words = " ".join(re.sub(r"[^\w()]", " ", text).split())
    for heading in ("metric 11", "best epoch"):
        assert all(word in words for word in heading.split())
    assert "…" not in text


def test_columns_that_do_not_fit_follow_below_with_the_first_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tables = str(SHEET).split("┏")[1:]
    assert len(tables) > 1
    assert all("trial" in "".join(table.splitlines()[1:3]) for table in tables)
    monkeypatch.setenv("COLUMNS", "300")
    assert str(SHEET).count("┏") == 1


def test_without_a_terminal_it_has_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.get_terminal_size", lambda *_: (_ for _ in ()).throw(OSError))
    assert max(map(len, str(SHEET).splitlines())) <= 80


def test_a_table_without_rows_has_its_headings() -> None:
    assert "val_loss" in str(Sheet(("trial", "val_loss"), []))
