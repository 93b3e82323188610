"""A planted optimum: the best strength of L2 is known in closed form, and the search has to find it.

A linear network with squared error and an L2 penalty is ridge regression: the weights that training converges to, and
their validation loss, take a few lines of numpy for each strength. The initial weights are large, so that early
stopping cannot replace the penalty: only the penalty makes these weights decay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.marks import slow
from support.small_studies import Quiet

from search import Study
from search.recipe import Recipe
from search.record.extensions import EXTENSIONS
from search.report.record import read
from search.report.statistics import edges

RATE = 0.015
SAMPLERS = ("tpe", "grid", "random")
ONCE = [(sampler, 0) for sampler in SAMPLERS]
AGAIN = [(sampler, seed) for sampler in SAMPLERS for seed in range(1, 6)]


@dataclass(frozen=True)
class Planted:
    """The file of the data, and the best strength of ridge regression on them with its validation loss."""

    file: Path
    strength: float
    loss: float


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    rng = np.random.default_rng(6)
    rows, inputs = 320, 48
    x = rng.standard_normal((rows, inputs))
    y = x @ rng.standard_normal(inputs) / math.sqrt(inputs) + math.sqrt(2) * rng.standard_normal(rows)
    file = tmp_path_factory.mktemp("planted") / "planted.npz"
    np.savez(file, x=x.astype(np.float32), y=y.astype(np.float32))
    strengths = np.geomspace(1e-4, 1e4, 801)
    of = study(file, file.parent, (1e-4, 1e4))
    losses = [ridge(of, one) for one in strengths]
    best = int(np.argmin(losses))
    # A decade away on either side, the loss is higher than the tests below allow.
    assert min(losses[best - 100], losses[best + 100]) > 1.15 * losses[best]
    return Planted(file, float(strengths[best]), float(losses[best]))


def ridge(study: Study, strength: float) -> float:
    """Return the validation loss of the weights that minimise ``mean (x w + b - y)^2 + strength w^2``."""
    x, y, x_val, y_val = (
        np.asarray(one, np.float64)
        for one in (study.data.x_train, study.data.y_train, study.data.x_val, study.data.y_val)
    )
    middle, level = x.mean(0), y.mean(0)
    x, y = x - middle, y - level
    weights = np.linalg.solve(x.T @ x / len(x) + strength * np.eye(x.shape[1]), x.T @ y / len(x))
    return float(np.mean(((x_val - middle) @ weights + level - y_val) ** 2))


def study(file: Path, folder: Path, ends: Sequence[float], sampler: str = "random", seed: int = 0) -> Study:
    """Return a study of twelve strengths a decade between two ends, but at least ten and at most 24 strengths."""
    trials = round(min(24, max(10, 12 * math.log10(ends[1] / ends[0]))))
    fields: dict[str, Any] = {
        "name": "planted",
        "techniques": ["l2", "initialization"],
        "trials": trials,
        "grid_points": min(16, trials),
        "sampler": sampler,
        "seed": seed,
        "pruner": {"name": "none"},
        "data": {"dataset": str(file), "split": [0.3, 0.5, 0.2]},
        # One step an epoch, so small that the largest strength does not overshoot: the last epoch is the best one.
        "set": {"hidden": "0", "batch_size": 96, "epochs": 160, "optimizer": "sgd", "lr": RATE}
        | {"initialization": "kaiming_normal", "gain": 6.0},
        "space": {"l2": {"low": ends[0], "high": ends[1], "log": True}},
    }
    url = f"sqlite:///{folder / 'study.db'}"
    return Study(Recipe.parse(fields, "test"), storage=url, tracking_uri=None, device="cpu")


def warned(of: Study) -> list[str]:
    """Return the ends at which the best lies according to the report; the run gives as many warnings."""
    found = [edge.end for edge in edges(read(of))]
    trials = of.optuna_study.get_trials(deepcopy=False)
    assert len(of.extended.warnings(trials)) == len(found)
    return list(found)


def assert_found(of: Study, planted: Planted) -> None:
    assert of.best is not None
    assert of.best.value is not None
    assert abs(math.log10(of.best.params["l2"] / planted.strength)) < 0.5
    assert of.best.value < 1.03 * planted.loss


def test_training_comes_to_the_closed_form(planted: Planted, tmp_path: Path) -> None:
    """This holds from the best strength on: with weaker ones the initial weights do not decay in time."""
    ends = planted.strength, planted.strength * 10
    of = study(planted.file, tmp_path, ends, "grid").run(observers=[Quiet()])
    for trial in of.optuna_study.trials:
        assert trial.value == pytest.approx(ridge(of, trial.params["l2"]), rel=0.03)


@pytest.mark.parametrize(("sampler", "seed"), [*ONCE, *slow(*AGAIN)])
def test_it_is_found_and_nothing_warned_of(planted: Planted, tmp_path: Path, sampler: str, seed: int) -> None:
    ends = planted.strength / 100, planted.strength * 30
    of = study(planted.file, tmp_path, ends, sampler, seed).run(observers=[Quiet()])
    assert_found(of, planted)
    assert warned(of) == []


@pytest.mark.parametrize("end", ["lower", *slow("upper")])
@pytest.mark.parametrize(("sampler", "seed"), [ONCE[0], *slow(*ONCE[1:], *AGAIN)])
def test_a_range_that_excludes_it_is_warned_of_and_extended_to_it(
    planted: Planted, tmp_path: Path, sampler: str, seed: int, end: str
) -> None:
    """The range ends more than a decade before the best strength."""
    low, high = (1 / 1200, 1 / 12) if end == "upper" else (12, 30)
    ends = planted.strength * low, planted.strength * high
    of = study(planted.file, tmp_path, ends, sampler, seed).run(observers=[Quiet()])
    assert warned(of) == [end]
    of = study(planted.file, tmp_path, ends, sampler, seed).run(extend=True, observers=[Quiet()])
    assert_found(of, planted)
    assert warned(of) == []
    moved = of.optuna_study.user_attrs[EXTENSIONS]
    assert 1 <= len(moved) <= 3
    assert all((one["low"] < ends[0]) == (end == "lower") for one in moved)
