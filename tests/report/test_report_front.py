"""The Pareto front in the report: who is on it, what is said of it, and that the page has it where it belongs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.records import entry, record
from support.small_studies import small

from search.record.curves import Curves
from search.record.objectives import Objectives
from search.report import __main__ as report
from search.report import build, front
from search.report.record import Entry
from search.run import main

SPARSE = Objectives(("val_loss", "sparsity"))


def sparse(number: int, losses: list[float], sparsity: float, **more: Any) -> Entry:
    """A trial of four epochs with this sparsity at the last, its best."""
    made = entry(number, losses, **more)
    assert made.curves is not None
    values = made.curves.values.copy()
    values[made.curves.metrics.index("sparsity"), :, -1] = sparsity
    return Entry(**{**vars(made), "curves": Curves(made.curves.metrics, values)})


ENTRIES = [
    sparse(0, [0.5], 0.25),
    sparse(1, [1.0], 0.75),
    sparse(2, [0.75], 0.125),  # worse than 0 in both
    sparse(3, [0.25], 0.0),
    sparse(4, [0.125], 0.9, state="pruned"),  # not complete: not on the front
]


def test_the_front_is_of_complete_trials_and_goes_by_loss() -> None:
    made = record(ENTRIES, objectives=SPARSE, constant=2.0)
    assert [one.number for one in made.front] == [3, 0, 1]
    told = front.describe(made)
    assert "3 of 4 complete trials" in told
    assert "from trial 3 (val_loss 0.25, sparsity 0) to trial 1 (val_loss 1, sparsity 0.75)" in told
    # By hand: to the right of 1.0 three quarters, between 0.5 and 1.0 a quarter.
    assert f"hypervolume of the front is {1.0 * 0.75 + 0.5 * 0.25:.4g}" in told


def test_a_front_of_one_says_so() -> None:
    made = record([sparse(0, [0.5], 0.5), sparse(1, [0.75], 0.25)], objectives=SPARSE)
    assert front.describe(made).startswith("No complete trial is better in any objective than trial 0")
    assert front.draw(made).figure is not None


def test_the_figure_has_the_front_as_steps_and_every_trial() -> None:
    shown = front.draw(record(ENTRIES, objectives=SPARSE, constant=2.0))
    assert shown.figure is not None
    (panel,) = shown.figure.axes
    steps = next(line for line in panel.lines if line.get_drawstyle() == "steps-post")
    assert steps.get_xydata().tolist() == [[0.25, 0.0], [0.5, 0.25], [1.0, 0.75]]  # type: ignore[union-attr]
    points = [line.get_xydata() for line in panel.lines if line is not steps]
    assert len(np.concatenate([one for one in points if len(one)])) == len(ENTRIES)  # type: ignore[misc]


def test_a_pareto_study_has_the_figure_and_others_have_not_even_its_heading(tmp_path: Path) -> None:
    common: dict[str, Any] = {"techniques": ["l1_prox"], "space": {"l1_prox": {"low": 1e-4, "high": 1e-1, "log": True}}}
    several = small(
        tmp_path,
        **common | {"objective": ["val_loss", "sparsity", "weight_norm"], "trials": 6, "pruner": {"name": "none"}},
    ).run(observers=[])
    made = build.write(several, tmp_path / "several")
    assert made.figures["front"][0].stat().st_size > 5_000
    assert any(one.about == "Pareto front" for one in made.statements)
    single = small(tmp_path, storage="single.db", **common | {"trials": 4}).run(observers=[])
    made = build.write(single, tmp_path / "single")
    assert "front" not in {*made.figures, *made.left_out}
    assert "Pareto" not in made.page.read_text()


def test_from_the_command_line_to_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = f"sqlite:///{tmp_path / 'o.db'}"
    words = [
        *("l1_prox", "--dataset", "wine", "--trials", "6", "--epochs", "4", "--objective", "val_loss, sparsity"),
        *("--storage", storage, "--tracking-uri", "none", "--study-name", "p"),
    ]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["front"][0]["number"] == said["best"]["number"]
    assert said["front"][0]["values"]["val_loss"] == said["best"]["value"]
    assert [set(one["values"]) for one in said["front"]] == [{"val_loss", "sparsity"}] * len(said["front"])
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert f"the Pareto front of 6 trials, {len(said['front'])} of them" in shown
    assert shown.count("complete") >= len(said["front"])
    assert report.main(["p", "--storage", storage, "--output", str(tmp_path / "r")]) == 0
    assert "Pareto front:" in capsys.readouterr().out
