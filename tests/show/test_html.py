"""What a notebook shows: well formed, escaped, with the numbers that the objects have; and showing changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure
from optuna.trial import TrialState
from support.notebook import Page, page, picture
from support.small_studies import Crash, Quiet, small

import search
from search import Study, compare_studies
from search.compare.pairs import Arm, Shared
from search.compare.scoring import Accuracy
from search.compare.verdict import Comparison
from search.replay.result import Difference, Replay
from search.show import html
from search.show.sheet import Sheet
from search.study.chosen import decided
from search.study.progress import Progress

EVIL = "<script>alert('1')</script> & \"co\""


def content(file: Path) -> list[str]:
    """All that a database holds."""
    connection = sqlite3.connect(file)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a study that is finished."""
    folder = tmp_path_factory.mktemp("shown")
    small(folder).run(observers=())
    return folder


def test_a_study_that_has_not_run_is_shown_and_nothing_is_written(tmp_path: Path) -> None:
    study = small(tmp_path)
    shown = page(study)
    assert shown.facts["trials"] == "none yet, of 12"
    assert shown.facts["techniques"] == "l2"
    assert "106 + 36 + 36 rows" in shown.facts["data"]
    assert page(study.data).facts["data"] == shown.facts["data"]
    assert shown.facts["searched"] == "lr 0.0001:0.1:log, l2 1e-06:0.1:log"
    assert "small-wine" in shown.words
    assert list(tmp_path.iterdir()) == []
    assert repr(study).startswith("<Study small-wine: small on wine, sqlite:///")
    assert "\n" not in repr(study)


def test_a_finished_study_shows_its_best_trials_as_optuna_has_them(folder: Path) -> None:
    study = small(folder)
    before = content(folder / "study.db")
    shown = page(study)
    assert content(folder / "study.db") == before
    trials = study.optuna_study.get_trials()
    complete, pruned = (sum(t.state == state for t in trials) for state in (TrialState.COMPLETE, TrialState.PRUNED))
    assert shown.facts["trials"] == f"12 of 12: {complete} complete, {pruned} pruned"
    rows = [row for row in shown.rows if len(row) > 2]
    assert rows[0] == ["trial", "val_loss", "val_accuracy", "lr", "l2", "best epoch", "state"]
    ranked = sorted((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.value or 0.0)
    assert len(rows) > 4
    for trial, row in zip(ranked, rows[1:], strict=False):
        expected = (trial.value, trial.params["lr"], trial.params["l2"])
        assert (row[0], row[1], row[3], row[4]) == (str(trial.number), *(f"{value:.4g}" for value in expected))
    decision = decided(study)
    assert decision is not None
    assert len(decision.sentences) > 2
    assert set(decision.sentences) <= set(shown.words)
    assert page(study).rows == shown.rows  # opened by now


def test_a_study_that_was_interrupted_shows_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(Crash):
        small(tmp_path).run(observers=[Quiet(fail_after_epochs=30)])
    before = content(tmp_path / "study.db")
    shown = page(small(tmp_path))
    # A thread writes the results, so that the number of trials that are stored as finished is not fixed.
    finished = sum(trial.state.is_finished() for trial in small(tmp_path).optuna_study.trials)
    assert finished < 12
    assert shown.facts["trials"].startswith(f"{finished} of 12: ")
    assert "running" in shown.facts["trials"]
    assert content(tmp_path / "study.db") == before


def test_showing_a_study_loads_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small(folder)
    for name in ("recipe.compose.load", "study.study.Batches"):
        monkeypatch.setattr(f"search.{name}", lambda *_args, **_named: pytest.fail("loaded again"))
    assert len(page(study).rows) > 5


def test_another_study_of_the_name_is_not_shown_as_this_one(folder: Path) -> None:
    shown = page(small(folder, seed=1))
    assert shown.facts["trials"] == "study 'small-wine' exists and differs in seed: 0 there, 1 here"
    assert all(len(row) == 2 for row in shown.rows)


@pytest.mark.parametrize("kind", ["no database", "another's", "empty", "a server"])
def test_a_storage_that_holds_no_study_is_told_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "study.db"
    if kind == "no database":
        file.write_bytes(b"not a database, but of some length" * 40)
    elif kind == "another's":
        sqlite3.connect(file).execute("CREATE TABLE mine (x)").connection.close()
    elif kind == "empty":
        file.touch()
    study = small(tmp_path)
    if kind == "a server":
        study = Study(study.recipe, storage="postgresql://me:secret@nowhere.invalid/db", tracking_uri=None)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    told = page(study).facts["trials"]
    said = {"no database": "cannot be read", "a server": "not read yet from postgresql://me@nowhere.invalid/db"}
    assert said.get(kind, "none yet, of 12") in told
    assert "secret" not in told + repr(study)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_whatever_names_are_made_of_is_shown_as_it_is(tmp_path: Path) -> None:
    settings = [{"name": EVIL, "set": {"lr": 0.01}}, {"name": "[bold]", "set": {"lr": 0.02}}]
    fixed = {"epochs": 2, "hidden": "16", "l2": 0.0}
    study = small(tmp_path, title=EVIL, space={}, settings=settings, set=fixed, name=EVIL, sampler="grid")
    shown = page(study.run(observers=()))
    assert shown.facts["question"] == EVIL
    assert f"{EVIL}-wine" in shown.words
    assert {row[1] for row in shown.rows if len(row) > 2} == {"setting", EVIL, "[bold]"}
    differs = Difference(EVIL, 3, float("inf"), 0.25, 2, 0, 0.25)
    replay = page(Replay(EVIL, 0, "complete", 5, 1, 6, True, None, [], [EVIL], 6, [differs]))
    assert [EVIL, "3", "inf", "0.25", "2", "0"] in replay.rows
    assert (
        f"trial 0 of {EVIL} (complete): not all numbers of 5 metrics x 1 replicate x 6 epochs are the same"
        in replay.words
    )
    arms = [Arm(name, 0, {"activation": EVIL}, name, 1, 0.5, np.eye(3), np.eye(3), 1) for name in (EVIL, "$\\frac{1$")]
    compared = Comparison.of(Accuracy(), arms, {(EVIL, "$\\frac{1$"): Shared([EVIL], EVIL)}, [EVIL], same_loss=True)
    assert EVIL in [cell for row in page(compared).rows for cell in row]


def test_results_show_what_they_say(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    study = small(folder)
    check = study.check()
    shown = page(check)
    assert shown.rows[1][:3] == ["data", "fitted" if check.data.fitted else "not fitted", f"{check.data.loss:.3g}"]
    assert check.meaning in shown.words
    assert page(study.replay(0)).words == str(study.replay(0)).splitlines()
    exported = study.export("model.safetensors")
    assert "\n".join(exported.lines) in page(exported).words
    assert exported.description.name in str(exported)
    report = study.report(training=False)
    told = page(report)
    assert "report-small-wine/report.html" in told.sources
    assert any(report.statements[0].text in words for words in told.words)
    assert Path("report-small-wine/report.html").exists()
    for thing in (check, exported, report):
        assert repr(thing) == str(thing)


def test_a_comparison_shows_its_figure_and_its_sentence(folder: Path) -> None:
    other = small(folder, name="other", space={"lr": {"low": 1e-6, "high": 2e-6}}, trials=2).run(observers=())
    found = compare_studies(small(folder), other, replicates=3, log=lambda _: None)
    shown = page(found)
    sentence = found.sentence(found.pairs[0])
    assert sentence in shown.words
    assert sentence in str(found)
    assert picture(shown).size[0] == 960
    assert shown.rows[1][0] == "small-wine"
    found.draw(folder / "compare.svg")
    assert (folder / "compare.svg").stat().st_size > 1000


def test_an_uncertainty_shows_its_band_where_there_is_one(tmp_path: Path) -> None:
    dropout: dict[str, Any] = {
        "techniques": ["dropout"],
        "space": {"dropout": {"low": 0.1, "high": 0.5}},
        "trials": 1,
        "set": {"epochs": 4, "hidden": "16"},
    }
    line = small(tmp_path, name="line", data={"dataset": "line"}, **dropout).run(observers=())
    found = line.uncertainty(passes=5)
    shown = page(found)
    assert picture(shown).size[1] > 200
    (network,) = found.networks
    assert f"{network.figures['monte_carlo']['coverage']:.4g}" in shown.rows[2]
    wine = small(tmp_path, name="wine", **dropout).run(observers=())
    assert page(wine.uncertainty(passes=5)).sources == []


def test_the_space_leaves_out_what_cannot_exist(tmp_path: Path) -> None:
    shown = page(small(tmp_path).space)
    values = {row[0]: row[1] for row in shown.rows}
    assert values["l2"] == "searched: 1e-06:0.1:log"
    assert values["epochs"] == "6"
    assert "momentum" not in values  # of SGD only
    assert "momentum" in {row[0] for row in page(small(tmp_path, set={"optimizer": "sgd"}).space).rows}


def test_each_command_has_a_twin_in_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose name is the command's; the package's docstring lists them."""
    package = Path(search.__file__).parent
    places = [*package.glob("*.py"), *package.glob("*/__main__.py")]
    commands = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in places
        if "= application()" in path.read_text()
    }
    assert commands == {
        *("data", "run", "report", "ablate", "export", "predict", "compare", "replay", "uncertainty", "sync", "ui")
    }
    for name in commands - {"ui"}:  # which shows the pages of other programs
        twins = getattr(Study, name, None), *(getattr(search, f, None) for f in (f"{name}_studies", f"describe_{name}"))
        assert any(callable(twin) for twin in twins), name
        assert f"regsearch {name} " in (search.__doc__ or "")
    monkeypatch.chdir(folder)
    loaded = search.load_study("small-wine", storage="sqlite:///study.db")
    assert len(loaded.trials()) == 12


def test_pieces_escape_every_text_and_keep_other_pieces_as_they_are() -> None:
    sheet = Sheet((EVIL, "n"), [(EVIL, "1")], (EVIL,), title=EVIL)
    pieces = {
        "facts": html.facts(EVIL, {EVIL: EVIL, "empty": ""}),
        "table": html.table(sheet),
        "lines": html.lines([EVIL, "", EVIL]),
        "bullets": html.bullets(line for line in [EVIL]),
        "detailed": html.detailed(EVIL, EVIL),
        "code": html.code([EVIL, EVIL]),
        "file_link": html.file_link(Path(EVIL), EVIL),
        "picture": html.picture(Figure((1, 1)), EVIL),
    }
    tags = {name: Page(piece).tags for name, piece in pieces.items()}
    assert tags == {
        "facts": ["p", "strong", "table", "tr", "th", "td"],
        "table": ["table", "caption", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"],
        "lines": ["p", "p"],
        "bullets": ["ul", "li"],
        "detailed": ["p", "br", "small"],
        "code": ["pre"],
        "file_link": ["p", "a"],
        "picture": ["img"],
    }
    assert all("alert" in piece for piece in pieces.values())
    assert html.block(*pieces.values()) == f"<div>{''.join(pieces.values())}</div>"
    assert Page(html.block(EVIL)).words == [EVIL]
    assert html.bullets([]) == html.lines([""]) == ""


def test_pieces_that_are_given_too_little_are_refused() -> None:
    with pytest.raises(UndefinedError, match="headings"):
        html.table("no sheet")  # type: ignore[arg-type]


@pytest.fixture
def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let libraries believe that they run in a notebook: they know it by the class of IPython's shell."""
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr("builtins.get_ipython", shell, raising=False)


@pytest.mark.usefixtures("in_a_notebook")
def test_a_table_is_text_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose kernel asks for colours, and where rich would print to the page."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    sheet = Sheet(("name", "[n]"), [("[red]x", "1")], ("name",), title="[a] title")
    assert next(filter(None, map(str.strip, str(sheet).splitlines()))) == "[a] title"
    assert "│ [red]x │   1 │" in str(sheet)
    assert "\x1b" not in str(sheet)


@pytest.mark.usefixtures("in_a_notebook")
def test_a_notebook_has_one_line_of_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, text: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown[-1] = text["text/plain"]

    def display(text: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        shown.append(text["text/plain"])
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    study = small(tmp_path)
    with Progress(study.optuna_study, 12, 6, 4) as progress:
        study.run(observers=[progress])
    (line,) = shown
    assert line.startswith("12 of 12 trials done, best ")
