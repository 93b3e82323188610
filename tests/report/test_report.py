"""The page of a report is complete, safe and needs no other file; its figures are there, whatever the study."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from PIL import Image
from support.marks import slow
from support.records import DECLARED, L2, entry, record
from support.small_studies import small

from search import RequestError
from search.record.readings import readings
from search.report import __main__ as report
from search.report import build, heldout, page, weights
from search.report.networks import HeldOut, Networks
from search.report.record import Record, read
from search.report.statement import Statement
from search.technique import Numeric

RECORDED = ("history", "slices", "curves", "path", "parallel", "pruning")


class Page(HTMLParser):
    """Collects what a browser would fetch or run, and the text; fails if an element is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.anchors: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name == "id":
                self.anchors.add(value or "")
            if name in ("src", "href"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(path: Path) -> Page:
    found = Page(path.read_text(encoding="utf-8"))
    assert not found.open
    for link in found.links:
        assert link.startswith("data:image/png;base64,") or link.removeprefix("#") in found.anchors, link
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a study of L2 and learning rate, some trials pruned."""
    folder = tmp_path_factory.mktemp("report")
    small(folder, replicates=2).run(observers=())
    return folder


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def command(folder: Path, *words: str) -> int:
    return report.main(["small-wine", "--storage", f"sqlite:///{folder / 'study.db'}", "--device", "cpu", *words])


def test_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure is there as PNG, SVG and in the page, which needs nothing else; the reading is counted."""
    before = readings(small(folder, replicates=2).optuna_study)
    assert command(folder, "--json", "--training") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["page"] == "report-small-wine/report.html"
    assert set(told["figures"]) == {*RECORDED, "importance", "weights", "learning_curve", "test", "ranked"}
    assert set(told["left_out"]) == {"settings", "dropout"}
    assert told["test_readings"] == before + 1
    found = parsed(Path(told["page"]))
    assert found.tags.count("img") == len(set(told["figures"]) - set(page.DRAWN_BY_THE_PAGE)) == 3
    for name in told["figures"]:
        assert f"figure-{name}" in found.anchors
    for png, svg in told["figures"].values():
        with Image.open(png) as image:
            image.verify()
        assert Path(svg).read_text(encoding="utf-8").rstrip().endswith("</svg>")
    words = " ".join(found.words)
    best = small(folder, replicates=2).best
    assert best is not None
    assert f"Trial {best.number} (" in words
    assert f"has the lowest validation loss, {best.value:.4g}" in words
    assert f"test split has been read {'once' if not before else f'{before + 1} times'}" in words


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one figure of the record only."""
    monkeypatch.setattr(build, "DRAWN_FROM_THE_RECORD", {"history": build.DRAWN_FROM_THE_RECORD["history"]})


@pytest.mark.usefixtures("one_figure")
def test_without_training(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is trained and the test split not read; figures of an earlier report do not stay, other files do."""
    before = readings(small(folder, replicates=2).optuna_study)
    (tmp_path / "test.png").write_text("an earlier one")
    (tmp_path / "mine.txt").write_text("not yours")
    assert command(folder, "--no-training", "--output", str(tmp_path)) == 0
    assert "(1 figure)" in capsys.readouterr().out
    assert not (tmp_path / "test.png").exists()
    assert not (tmp_path / "weights.svg").exists()
    assert (tmp_path / "mine.txt").exists()
    assert readings(small(folder, replicates=2).optuna_study) == before
    assert "--no-training forbids it" in " ".join(parsed(tmp_path / "report.html").words)


@pytest.mark.usefixtures("one_figure")
def test_long_training_is_not_begun_unasked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "CHEAP", -1.0)
    study = small(folder, replicates=2)
    before = readings(study.optuna_study)
    written = build.write(study, tmp_path / "page")
    assert "--training" in written.left_out["test"]
    assert "--training" in written.left_out["weights"]
    assert written.test_readings == readings(study.optuna_study) == before


def test_retrained_networks_are_those_that_the_study_saw(folder: Path) -> None:
    """The best trial's networks, each alone, have the validation loss of the record, to the bit."""
    study = small(folder, replicates=2)
    of = read(study)
    from search.report.networks import train

    made = train(study, of)
    losses = [float(pack.score(study.batches.x_val, study.batches.validation)[0][0]) for pack in made.best]
    assert np.array_equal(np.float32(losses), np.float32(of.best.objectives))


def test_wrong_requests(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert command(folder, "--no-training", "--output", str(file)) == 2
    assert f"output takes a folder, but {str(file)!r} is a file" in capsys.readouterr().err
    assert command(folder, "--no-training", "--output", str(file / "below")) == 2
    with pytest.raises(RequestError, match="output"):
        build.write(small(folder, replicates=2), file)


@pytest.mark.parametrize("trials", [0, 1])
def test_too_few_trials(trials: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page of the study's facts is of use: why it has no figures is said in it and on the terminal; status 0."""
    study = small(tmp_path)
    if trials:
        study.run(trials=1, observers=())
    found = build.write(study, tmp_path / "page")
    assert not found.figures
    assert f"The study has {trials} complete" in " ".join(parsed(found.page).words)
    assert command(tmp_path) == 0
    assert f"The study has {trials} complete" in capsys.readouterr().out


HOSTILE = "<script>alert('$x_1$')</script> \"><img src=http://evil.example/x> & $"


def test_hostile_names(tmp_path: Path) -> None:
    """A study's name, a hyperparameter's and its choices are text, in the page and in figures (where $ means maths)."""
    searched = {HOSTILE: CategoricalDistribution((HOSTILE, "$\\frac{$")), "l2": L2}
    entries = [
        entry(n, [0.1 * n + 0.1], params={HOSTILE: (HOSTILE, "$\\frac{$")[n % 2], "l2": 10 ** -(n % 5 + 1.0)}, label="")
        for n in range(10)
    ]
    of = Record(HOSTILE, entries, searched, DECLARED | {HOSTILE: Numeric()}, facts={HOSTILE: HOSTILE})
    sections = []
    for name, draw in build.DRAWN_FROM_THE_RECORD.items():
        shown = draw(of)
        png = None
        if shown.figure is not None:
            png, svg = build.pictures(shown)
            assert b"<script>" not in svg
        sections.append(page.Section(name, HOSTILE, HOSTILE, png))
    html = page.render(of, [Statement(HOSTILE, HOSTILE)], sections)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    assert HOSTILE in " ".join(parsed(tmp_path / "page.html").words)


def odd_studies() -> dict[str, Record]:
    nan, inf = float("nan"), float("inf")
    two = [entry(0, [0.1]), entry(1, [0.2], params={"l2": 1e-2})]
    broken = entry(2, [nan, nan], state="pruned", epochs=2, diverged_at=1, params={"l2": 0.1})
    words = {"activation": CategoricalDistribution(("relu", "tanh"))}
    some = {"l2": CategoricalDistribution((0.0, 1e-3)), "max_norm": CategoricalDistribution((inf, 2.0))}
    listed = [
        entry(0, [0.1, 0.2], params={"l2": 0.0, "max_norm": inf}, label="plain"),
        entry(1, [0.2, 0.3], params={"l2": 1e-3, "max_norm": inf}, label="L2, $1e-3$"),
        entry(2, [0.2, 0.1], params={"l2": 0.0, "max_norm": 2.0}, label="max-norm"),
    ]
    noisy = {"dropout": FloatDistribution(0.0, 0.8), "l2": L2}
    drops = [entry(n, [0.1 + 0.1 * n], params={"dropout": 0.3 * n}, reported={2: 0.2}) for n in range(3)]
    return {
        "two": record(two),
        "alike": record([entry(0, [0.1]), entry(1, [0.1])]),
        "words": record([entry(n, [0.1], params={"activation": ("relu", "tanh")[n]}) for n in range(2)], words),
        "settings": record(listed, some, replicates=2),
        "diverged": record([*two, broken, entry(3, [0.3], diverged_at=2)], rungs=[1, 2]),
        "regression": record(two, metric="val_rmse", loss="mse"),
        "conditional": record(drops, noisy, noisy=["dropout"], rungs=[2]),
        "without curves": record([*two, entry(2, [0.1], state="running", params={})]),
        "huge": record([entry(0, [0.1]), entry(1, [1e30], params={"l2": 0.05}), entry(2, [5.0])]),
        "negative": record([entry(0, [-3.0]), entry(1, [0.0]), entry(2, [5.0])]),
    }


ALIKE = ("two", "alike", "regression", "without curves", "negative")


@pytest.mark.parametrize("kind", ["settings", "words", "diverged", "conditional", "huge", *slow(*ALIKE)])
def test_odd_studies(kind: str, tmp_path: Path) -> None:
    """Every figure is drawn, or its caption says why it is not."""
    of = odd_studies()[kind]
    drawn = set()
    for name, draw in build.DRAWN_FROM_THE_RECORD.items():
        shown = draw(of)
        assert shown.caption
        if shown.figure is not None:
            shown.figure.savefig(tmp_path / f"{name}.png", dpi=30)
            drawn.add(name)
    assert {"history", "slices", "curves"} <= drawn
    assert ("parallel" in drawn) == (len(of.searched) > 1)
    assert ("settings" in drawn) == (kind == "settings")
    assert ("dropout" in drawn) == (kind == "conditional")
    assert ("path" in drawn) == (kind != "words")


def test_test_split_of_classes_and_values() -> None:
    of = record([entry(0, [0.1]), entry(1, [0.2])])
    held = HeldOut(np.array([0.1]), np.array([0.5]), np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), readings=1)
    shown = heldout.draw(of, held, ["a", "$b", "c" * 40])
    assert "right for 3 of them" in shown.caption
    assert "has been read once;" in shown.caption
    build.pictures(shown)
    values = HeldOut(np.array([0.1]), np.array([0.5]), np.ones((3, 2)), np.zeros((3, 2)), readings=2)
    build.pictures(heldout.draw(of, values, ()))


def test_weights_that_are_zero_or_not_finite() -> None:
    of = record([entry(0, [0.1]), entry(1, [0.2])])
    drawn = weights.draw(of, Networks([("best", of.best, np.zeros(9))], []))
    build.pictures(drawn)
    assert weights.draw(of, Networks([("best", of.best, np.full(9, np.nan))], [])).figure is None


def test_importance_counts_what_all_trials_have() -> None:
    """Two hyperparameters matter as built: the objective follows one alone."""
    from search.report.importance import importances

    rng = np.random.default_rng(0)
    params = [{"l2": 10 ** rng.uniform(-6, -1), "dropout": rng.uniform(0, 0.8)} for _ in range(30)]
    entries = [entry(n, [1 + np.log10(one["l2"]) ** 2], params=one) for n, one in enumerate(params)]
    of = record(entries, {"l2": L2, "dropout": FloatDistribution(0.0, 0.8)})
    found = importances(of, of.complete)
    assert found["l2"] > 0.9
    assert importances(of, of.complete[:7]) == {}
    assert importances(record(entries), entries) == {}


def test_figures_are_not_imported_before_they_are_asked_for() -> None:
    import subprocess
    import sys

    code = "import search.report, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
