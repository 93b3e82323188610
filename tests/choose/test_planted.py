"""A planted optimum: the strength of L2 that is best is known in closed form, and the search has to find it.

A linear network with squared error and an L2 penalty is ridge regression: of each strength the weights that training
converges to, and their validation loss, are a few lines of numpy. Its initial weights are large, so that stopping early
is no substitute for the penalty: what is forgotten of them, only the penalty forgets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_studies import Quiet

from search import Study
from search.choose import extending
from search.choose.extending import EXTENSIONS
from search.recipe import Recipe
from search.report.record import read
from search.report.statistics import edges

RATE = 0.015
SAMPLERS = ("tpe", "grid", "random")
FAST, MORE = range(1), range(1, 6)


@dataclass(frozen=True)
class Planted:
    """The data's file, and of the ridge path on them the best strength and its validation loss."""

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
    # It is worth finding: a decade to either side costs more than the tests below allow.
    assert min(losses[best - 100], losses[best + 100]) > 1.15 * losses[best]
    return Planted(file, float(strengths[best]), float(losses[best]))


def ridge(study: Study, strength: float) -> float:
    """The validation loss of the weights that minimise ``mean (x w + b - y)^2 + strength w^2``."""
    x, y, x_val, y_val = (
        np.asarray(one, np.float64)
        for one in (study.data.x_train, study.data.y_train, study.data.x_val, study.data.y_val)
    )
    middle, level = x.mean(0), y.mean(0)
    x, y = x - middle, y - level
    weights = np.linalg.solve(x.T @ x / len(x) + strength * np.eye(x.shape[1]), x.T @ y / len(x))
    return float(np.mean(((x_val - middle) @ weights + level - y_val) ** 2))


def study(file: Path, folder: Path, ends: Sequence[float], sampler: str = "random", seed: int = 0) -> Study:
    """Twelve strengths a decade between two ends, at least ten and at most 24."""
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
        # A step an epoch, so small that the largest strength does not overshoot: what is best is where it ends.
        "set": {"hidden": "0", "batch_size": 96, "epochs": 160, "optimizer": "sgd", "lr": RATE}
        | {"initialization": "kaiming_normal", "gain": 6.0},
        "space": {"l2": {"low": ends[0], "high": ends[1], "log": True}},
    }
    url = f"sqlite:///{folder / 'study.db'}"
    return Study(Recipe.parse(fields, "test"), storage=url, tracking_uri=None, device="cpu")


def seeds() -> list[Any]:
    """Of each sampler one seed, and more where there is time."""
    fast = [pytest.param(sampler, seed) for sampler in SAMPLERS for seed in FAST]
    return fast + [pytest.param(sampler, seed, marks=pytest.mark.slow) for sampler in SAMPLERS for seed in MORE]


def warned(of: Study) -> list[str]:
    """At which ends the report, and the run, say that the best lies."""
    found = [edge.end for edge in edges(read(of))]
    trials = of.optuna_study.get_trials(deepcopy=False)
    assert len(extending.warnings(of.recipe, of.space, trials)) == len(found)
    return list(found)


def assert_found(of: Study, planted: Planted) -> None:
    assert of.best is not None
    assert of.best.value is not None
    assert abs(math.log10(of.best.params["l2"] / planted.strength)) < 0.5
    assert of.best.value < 1.03 * planted.loss


def test_training_comes_to_the_closed_form(planted: Planted, tmp_path: Path) -> None:
    """From the best strength on; weaker ones do not forget their initial weights, and are the worse for it."""
    ends = planted.strength, planted.strength * 10
    of = study(planted.file, tmp_path, ends, "grid").run(observers=[Quiet()])
    for trial in of.optuna_study.trials:
        assert trial.value == pytest.approx(ridge(of, trial.params["l2"]), rel=0.03)


@pytest.mark.parametrize(("sampler", "seed"), seeds())
def test_it_is_found_and_nothing_warned_of(planted: Planted, tmp_path: Path, sampler: str, seed: int) -> None:
    ends = planted.strength / 100, planted.strength * 30
    of = study(planted.file, tmp_path, ends, sampler, seed).run(observers=[Quiet()])
    assert_found(of, planted)
    assert warned(of) == []


@pytest.mark.parametrize("end", ["lower", pytest.param("upper", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("sampler", "seed"), seeds())
def test_a_range_that_excludes_it_is_warned_of_and_extended_to_it(
    planted: Planted, tmp_path: Path, sampler: str, seed: int, end: str
) -> None:
    """By more than a decade."""
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
