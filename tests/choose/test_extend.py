"""`--extend`: a study whose best trial lies at an edge goes on beyond it, interrupted or not, and readers see that."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.marks import slow
from support.small_studies import Crash, Quiet, copy_study, outcome, small

from search import Study, run
from search.record.extensions import EXTENSIONS
from search.replay import __main__ as replay
from search.report import __main__ as report
from search.report.record import read

# The best learning rate lies beyond this range.
SPACE = {"lr": {"low": 1e-5, "high": 1e-4, "log": True}}
SET = {"l2": 1e-4, "epochs": 3, "hidden": "16", "batch_size": 50}
CHANGES: dict[str, Any] = {"trials": 8, "seed": 1, "set": SET, "space": SPACE}


def extending(folder: Path, **changes: Any) -> Study:
    return small(folder, **CHANGES | changes)


def decided(study: Study) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = study.optuna_study.user_attrs.get(EXTENSIONS, [])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the database of a study that has been extended three times."""
    folder = tmp_path_factory.mktemp("extended")
    study = extending(folder).run(extend=True, observers=[Quiet()])
    assert [(one["name"], one["high"]) for one in decided(study)] == [("lr", 1e-3), ("lr", 1e-2), ("lr", 1e-1)]
    return folder


@pytest.fixture
def extended(folder: Path) -> Study:
    return extending(folder)


def test_the_study_stays_the_study(folder: Path, tmp_path: Path, extended: Study) -> None:
    """The same command opens it with or without --extend, finds nothing to do, and goes on in the wider range."""
    count = len(extended.optuna_study.trials)
    assert extended.budget() == count == sum(one["trials"] for one in decided(extended)) + 8
    for extend in (False, True):
        watcher = Quiet()
        extending(folder).run(extend=extend, observers=[watcher])
        assert watcher.epochs == 0
    copy_study(folder, tmp_path)
    more = extending(tmp_path).run(count + 4, observers=[Quiet()])
    assert len(more.optuna_study.trials) == count + 4
    assert decided(more) == decided(extended)
    assert more.optuna_study.trials[-1].distributions["lr"].high == 1e-1


def test_without_the_option_nothing_is_extended(tmp_path: Path) -> None:
    study = extending(tmp_path).run(observers=[Quiet()])
    assert len(study.optuna_study.trials) == 8
    assert decided(study) == []
    assert study.space.searched["lr"].high == 1e-4


@pytest.mark.parametrize("told", [8, *slow(7, 9, 17)])
def test_a_crash_between_two_results_changes_nothing(tmp_path: Path, extended: Study, told: int) -> None:
    with pytest.raises(Crash):
        extending(tmp_path).run(extend=True, observers=[Quiet(fail_after_told=told)])
    again = extending(tmp_path).run(extend=True, observers=[Quiet()])
    assert (outcome(again), decided(again)) == (outcome(extended), decided(extended))


@pytest.mark.parametrize(("which", "after"), [(1, False), (2, True), *slow((1, True), (2, False))])
def test_a_crash_as_it_is_decided_changes_nothing(
    tmp_path: Path, extended: Study, monkeypatch: pytest.MonkeyPatch, which: int, after: bool
) -> None:
    import optuna

    write, count = optuna.Study.set_user_attr, [0]

    def dies(self: optuna.Study, key: str, value: Any) -> None:
        count[0] += key == EXTENSIONS
        dying = key == EXTENSIONS and count[0] == which
        if not dying or after:
            write(self, key, value)
        if dying:
            raise Crash

    monkeypatch.setattr(optuna.Study, "set_user_attr", dies)
    with pytest.raises(Crash):
        extending(tmp_path).run(extend=True, observers=[Quiet()])
    monkeypatch.undo()
    # Stored extensions are obeyed without the option too, but only with it are more decided.
    halfway = extending(tmp_path).run(observers=[Quiet()])
    assert len(decided(halfway)) == which - 1 + after
    again = extending(tmp_path).run(extend=True, observers=[Quiet()])
    assert (outcome(again), decided(again)) == (outcome(extended), decided(extended))


@pytest.mark.parametrize("sampler", ["random", "grid", *slow("qmc", "gp")])
def test_slots_and_crashes_change_no_extended_study(tmp_path: Path, sampler: str) -> None:
    changes: dict[str, Any] = {"sampler": sampler, "grid_points": 3, "set": SET | {"epochs": 2}}
    whole = extending(tmp_path, storage="whole.db", **changes).run(extend=True, observers=[Quiet()])
    assert len(decided(whole)) >= 2
    changes["slots"] = 2
    with pytest.raises(Crash):
        extending(tmp_path, **changes).run(
            extend=True, observers=[Quiet(fail_after_told=4 if sampler == "grid" else 10)]
        )
    again = extending(tmp_path, **changes).run(extend=True, observers=[Quiet()])
    assert (outcome(again), decided(again)) == (outcome(whole), decided(whole))


@pytest.mark.usefixtures("in_an_empty_folder")
def test_whoever_reads_the_study_sees_the_wider_range(
    folder: Path, extended: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    beyond = next(one for one in extended.optuna_study.trials if one.params["lr"] > 1e-2)
    where = ["small-wine", "--storage", f"sqlite:///{folder / 'study.db'}", "--device", "cpu"]
    assert replay.main([where[0], str(beyond.number), *where[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"]
    assert read(extended).searched["lr"].high == 1e-1
    assert report.main([*where, "--no-training", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"slices", "history"} <= said["figures"].keys()
    warned = [one["text"] for one in said["statements"] if one["about"] == "edge of lr"]
    # No end is moved more than three times, so the warning names another remedy.
    assert all("--space lr=1e-05:1:log" in text for text in warned)


RECIPE = """
name = "small"
techniques = ["l2"]
sampler = "{sampler}"
trials = 8
seed = 1
ask_batch = 4
grid_points = 3
pruner = {{ name = "none" }}
data = {{ dataset = "wine" }}
set = {{ epochs = 3, hidden = "16", batch_size = 50, l2 = 1e-4 }}
space = {{ lr = {{ low = 1e-5, high = 1e-4, log = true }} }}
"""
WORDS = ["small.toml", "--device", "cpu", "--json", "--extend"]


@pytest.mark.slow
@pytest.mark.usefixtures("in_an_empty_folder")
def test_mlflow_has_the_trials_beyond(capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.toml").write_text(RECIPE.format(sampler="random"))
    assert run.main(WORDS) == 0
    out, err = capsys.readouterr()
    assert "searching 1e-05 to 0.001" in err
    count = json.loads(out)["trials"]["complete"]
    rows = sqlite3.connect("mlflow.db").execute("select value from params where key = 'lr'").fetchall()
    assert len(rows) == count > 6
    assert max(float(value) for (value,) in rows) > 1e-3
    assert run.main(WORDS) == 0
    err = capsys.readouterr().err
    assert f"already has its {count} trials: nothing to train" in err
    assert run.main(WORDS[:-1]) == 0
    assert f"already has its {count} trials: nothing to train" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_two_commands_extend_once(tmp_path: Path, sampler: str) -> None:
    def start(folder: Path) -> subprocess.Popen[str]:
        folder.mkdir(exist_ok=True)
        (folder / "small.toml").write_text(RECIPE.format(sampler=sampler))
        words = [sys.executable, "-m", "search.run", *WORDS, "--tracking-uri", "none"]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, cwd=folder, env=os.environ.copy(), text=True, stdout=pipe, stderr=pipe)

    def study(folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
        import optuna

        found = optuna.load_study(study_name="small-wine", storage=f"sqlite:///{folder / 'optuna.db'}")
        return sorted(str((one.params, one.values)) for one in found.trials), found.user_attrs[EXTENSIONS]

    running = [start(tmp_path / "both"), start(tmp_path / "both"), start(tmp_path / "alone")]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert study(tmp_path / "both") == study(tmp_path / "alone")


@pytest.mark.usefixtures("in_an_empty_folder")
def test_a_run_that_ends_at_an_edge_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.toml").write_text(RECIPE.format(sampler="grid"))
    assert run.main([*WORDS[:-1], "--tracking-uri", "none"]) == 0
    out, err = capsys.readouterr()
    assert "warning: The best lr, 0.0001, lies at the upper end of its range (0.0001)" in err
    assert err.strip().endswith("Search further, to 0.001, with --extend.")
    json.loads(out)
    inside = ["--space", "lr=1e-3:1:log", "--study-name", "inside", "--tracking-uri", "none"]
    assert run.main([*WORDS[:-1], *inside]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["l2", "--set", "l2=0.1"], "nothing is searched"),
        (["l2", "--space", "l2=1e-3,1e-2"], "choices have no edge"),
        (["rows.toml"], "lists its settings"),
        (["l2+momentum", "--sampler", "cmaes"], "sampler 'cmaes' cannot go on in a wider range"),
    ],
)
def test_what_cannot_be_extended_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    Path("rows.toml").write_text("[[settings]]\nset = { lr = 0.1 }\n[[settings]]\nset = { lr = 0.01 }\n")
    assert run.main([*words, "--dataset", "wine", "--extend", "--device", "cpu"]) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""
    assert not list(Path().glob("*.db"))
