"""A report's page in a browser: it answers to the pointer, marks a trial everywhere, and needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from support.browser import Browser, chromium, texts
from support.records import L2, entry, record
from support.small_studies import small

from search.report import build, page
from search.report.record import Record
from search.report.statements import summarise

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium on PATH")

_ROWS = "[...document.querySelectorAll('#table tbody tr')].map(row => Number(row.dataset.trial))"
_MARKED = "[stroke='var(--marked)']"


@pytest.fixture(scope="module")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    folder = tmp_path_factory.mktemp("page")
    study = small(folder, trials=16, replicates=2).run(observers=())
    written = build.write(study, folder / "report", training=True)
    return build.read(study), written.page


@pytest.fixture
def opened(study_page: tuple[Record, Path], tmp_path: Path) -> Iterator[tuple[Record, Browser]]:
    of, file = study_page
    with Browser(tmp_path / "profile") as browser:
        browser.go_offline()
        browser.open(file.as_uri())
        browser.until(f"{_ROWS}.length > 0")
        yield of, browser
        assert browser.errors == []


def middle(browser: Browser, found: str) -> tuple[float, float]:
    """Scroll to an element, and return its middle in the window."""
    x, y = browser.until(
        f"(() => {{ const e = {found}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
        " return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : null; })()"
    )
    return x, y


def marks(browser: Browser, name: str) -> int:
    """The elements of a figure that stand for the marked trial."""
    found: int = browser.evaluate(f"document.querySelectorAll(`#figure-{name} svg {_MARKED}`).length")
    return found


def test_it_begins_with_the_answer(opened: tuple[Record, Browser]) -> None:
    of, browser = opened
    first = browser.evaluate(texts(".first span"))
    assert of.decision is not None
    rank = "the best" if of.chosen is of.best else "chosen"
    assert first[0].startswith(f"trial {of.chosen.number}, {rank}: lr = ")
    assert first[1].startswith(f"validation loss {of.chosen.objective:.4g} (SD ")
    assert "on the 36 validation rows that chose it; " in first[1]
    assert "a regularised linear model has" in first[1]
    assert "a constant prediction has 1.0" in first[1]
    assert "test rows: accuracy" in first[1]
    assert browser.evaluate("document.querySelectorAll('svg').length") > 8


def test_the_strengths_that_are_as_good_are_shaded(opened: tuple[Record, Browser]) -> None:
    """From the lower to the upper end of the stored range, on an axis of five decades."""
    of, browser = opened
    assert of.decision is not None
    (strength,) = of.decision.strengths
    left, right = browser.evaluate(
        "(() => { const band = document.querySelector('#figure-slices [aria-description] rect');"
        " const [x, width] = ['x', 'width'].map(name => Number(band.getAttribute(name)));"
        " return [x, x + width].map(band.closest('.panels > *').scale('x').invert); })()"
    )
    assert (left, right) == pytest.approx((strength.low, strength.high), rel=1e-3)
    assert browser.evaluate("document.querySelectorAll('#figure-path [aria-description] rect').length") == 2


def test_the_pointer_shows_the_trial_beside_it(opened: tuple[Record, Browser]) -> None:
    of, browser = opened
    x, y = middle(browser, "document.querySelector('#figure-history svg g[fill=\"var(--best)\"] path')")
    browser.point(x + 3, y)
    browser.until("!document.getElementById('card').hidden")
    told = browser.evaluate("document.getElementById('card').innerText")
    assert told.startswith(f"trial {of.best.number}, complete")
    assert f"{of.best.params['l2']:.4g}"[:5] in told
    assert browser.evaluate("document.querySelectorAll('#card path[d^=M]').length") == 2, "its two curves"
    browser.point(5, 5)
    browser.until("document.getElementById('card').hidden")


def test_a_click_marks_a_trial_in_every_figure(opened: tuple[Record, Browser]) -> None:
    of, browser = opened
    figures = ("history", "slices", "curves", "path", "parallel", "pruning")
    assert [marks(browser, name) for name in figures] == [0] * len(figures)
    other = of.complete[1]
    browser.click(f"document.querySelector('#table tr[data-trial=\"{other.number}\"] td')")
    browser.until(f"document.getElementById('chosen').innerText === 'Trial {other.number} is marked.'")
    assert all(marks(browser, name) > 0 for name in figures)
    assert f"Trial {other.number}: training" in browser.evaluate("document.querySelector('#figure-curves').innerText")
    x, y = middle(browser, f"document.querySelector(`#figure-history svg {_MARKED} circle`)")
    browser.drag(x + 2, y, x + 2, y)  # a click, on the ring that the pointer draws around the nearest trial
    browser.until("document.getElementById('chosen').innerText === ''")
    assert [marks(browser, name) for name in figures] == [0] * len(figures), "a second click takes the mark away"


def test_a_range_on_an_axis_chooses_trials(opened: tuple[Record, Browser]) -> None:
    of, browser = opened
    axis = "document.querySelector('#figure-parallel .brush[data-axis=l2] .overlay')"
    x, _ = middle(browser, axis)
    top, height = browser.evaluate(f"(() => {{ const r = {axis}.getBoundingClientRect(); return [r.y, r.height]; }})()")
    browser.drag(x, top + 1, x, top + height / 2)
    browser.until("document.getElementById('chosen').innerText.includes('are chosen by ranges')")
    # The upper half of a logarithmic axis from 1e-6 to 1e-1.
    chosen = {one.number for one in of.finished if one.params["l2"] > 10**-3.5}
    assert set(browser.evaluate(_ROWS)) == chosen
    assert 0 < len(chosen) < len(of.finished)
    browser.click("document.getElementById('reset')")
    browser.until(f"{_ROWS}.length === {len(of.entries)}")


def test_the_table_sorts_and_filters(opened: tuple[Record, Browser]) -> None:
    of, browser = opened
    complete = [one.number for one in of.complete]
    pruned = sorted(of.pruned, key=lambda one: (-one.epochs, one.loss, one.number))
    assert browser.evaluate(_ROWS) == [*complete, *(one.number for one in pruned)]
    browser.click("[...document.querySelectorAll('th button')].find(e => e.innerText === 'l2')")
    by_l2 = [one.number for one in sorted(of.entries, key=lambda one: float(one.params["l2"]))]
    browser.until(f"String({_ROWS}) === '{','.join(map(str, by_l2))}'")
    browser.click("[...document.querySelectorAll('th button')].find(e => e.innerText === 'l2')")
    browser.until(f"String({_ROWS}) === '{','.join(map(str, reversed(by_l2)))}'")
    browser.click("document.querySelector('input[type=search]')")
    browser.type("pruned")
    browser.until(f"{_ROWS}.length === {len(of.pruned)}")


def many(trials: int = 1000, epochs: int = 200) -> Record:
    """A study of many trials, of which some lie far off."""
    rng = np.random.default_rng(0)
    entries = []
    for number in range(trials):
        loss = float(rng.lognormal(-1, 0.4)) + (1e4 if number % 250 == 7 else 0)
        params = {"l2": float(10 ** rng.uniform(-6, -1)), "dropout": float(rng.uniform(0, 0.8))}
        made = entry(number, [loss], params=params, epochs=epochs, planned=epochs)
        entries.append(replace(made, state="pruned") if number % 3 else made)
    return record(entries, {"l2": L2, "dropout": FloatDistribution(0.0, 0.8)})


def test_a_thousand_trials_are_dense_and_fit(tmp_path: Path) -> None:
    of = many()
    drawn = {name: draw(of) for name, draw in build.DRAWN_FROM_THE_RECORD.items()}
    sections = [
        page.Section(name, name, one.caption, None if one.figure is None else build.pictures(one)[0])
        for name, one in drawn.items()
    ]
    file = tmp_path / "page.html"
    file.write_text(page.render(of, summarise(of), sections), encoding="utf-8")
    assert file.stat().st_size < 5_000_000
    with Browser(tmp_path / "profile") as browser:
        browser.open(file.as_uri())
        browser.until(f"{_ROWS}.length === 100")
        assert "100 of 1000 trials" in browser.text()
        assert "4 trials lie beyond the axis" in browser.text()
        assert browser.evaluate("document.querySelectorAll('#figure-history [aria-label=density] path').length") > 0
        assert "the middle 80%" in browser.text()
        assert json.loads(browser.evaluate("document.getElementById('data').textContent"))["study"] == "a study"
        assert browser.errors == []
