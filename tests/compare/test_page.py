"""A comparison's first line, and its page in a browser, against tables made by hand."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.browser import Browser, chromium, texts

from search import RequestError
from search.compare.page import validate_page
from search.compare.pairs import Arm, Shared
from search.compare.scoring import Accuracy
from search.compare.verdict import Comparison

RNG = np.random.default_rng(0)


def right(share: float) -> NDArray[np.float64]:
    """Which of 400 test examples five replicates predict rightly: the same ones, but for a few."""
    rows = np.tile(np.arange(400) < 400 * share, (5, 1)).astype(np.float64)
    for replicate in rows:
        flipped = RNG.choice(400, 4, replace=False)
        replicate[flipped] = 1 - replicate[flipped]
    return rows


def compared(**shares: float) -> Comparison:
    arms = [Arm(name, 3, {}, name, 9, 0.1, right(share), right(share), 1) for name, share in shares.items()]
    shared = {(a, b): Shared([]) for a, b in combinations(shares, 2)}
    return Comparison.of(Accuracy(), arms, shared, [], same_loss=True)


@pytest.mark.parametrize(
    ("shares", "line"),
    [
        ({"a": 0.8, "b": 0.8}, "the two cannot be told apart in test accuracy"),
        ({"a": 0.8, "b": 0.8, "c": 0.8, "d": 0.8}, "none of the 4 can be told apart in test accuracy"),
        ({"a": 0.6, "b": 0.9}, "b beats a in test accuracy"),
        ({"a": 0.6, "b": 0.9, "c": 0.6}, "b beats all others in test accuracy"),
        ({"a": 0.9, "b": 0.6, "c": 0.9}, "a beats b; c beats b in test accuracy"),
    ],
)
def test_it_begins_with_one_line(shares: dict[str, float], line: str) -> None:
    found = compared(**shares)
    first = str(found).splitlines()[0]
    assert first.startswith(line)
    assert found.outcome()["headline"] == found.headline() == first
    assert first in found._repr_html_()


@pytest.mark.skipif(chromium() is None, reason="no chromium on PATH")
def test_the_page_shows_every_difference_with_its_interval(tmp_path: Path) -> None:
    found = compared(a=0.6, b=0.9, c=0.6)
    file = tmp_path / "compare.html"
    found.page(file)
    with Browser(tmp_path / "profile") as page:
        page.go_offline()
        page.open(file.as_uri())
        page.until("document.querySelectorAll('#differences svg g[aria-label=dot] circle').length === 3")
        assert page.evaluate("document.querySelector('.answer').innerText") == found.headline()
        drawn: Any = page.evaluate("JSON.parse(document.getElementById('data').textContent).pairs")
        assert [(one["name"], one["low"], one["high"]) for one in drawn] == [
            (f"{pair.first.study} minus {pair.second.study}", pair.score.interval.low, pair.score.interval.high)
            for pair in found.pairs
        ]
        assert [one["significant"] for one in drawn] == [True, False, True]
        filled = "document.querySelectorAll('#differences circle[fill=\"var(--best)\"]').length"
        assert page.evaluate(filled) == 2
        sentences = page.evaluate(texts(".statements li"))
        assert all(found.sentence(pair) in said for pair, said in zip(found.pairs, sentences, strict=True))
        assert page.errors == []
    validate_page(file, force=False)  # it may be written again


def test_no_other_file_is_overwritten(tmp_path: Path) -> None:
    other = tmp_path / "mine.html"
    other.write_text("<p>mine</p>")
    for file, told in [
        (other, "already exists and holds something else"),
        (tmp_path / "page.pdf", r"html takes a file that ends in \.html"),
        (tmp_path / "none/page.html", "there is no folder"),
    ]:
        with pytest.raises(RequestError, match=told):
            validate_page(file, force=False)
    validate_page(other, force=True)
