"""Measure how often the intervals of `search.compare` contain the truth, and how often they tell equal settings apart.

Simulated data: pairs of settings whose true difference is known (`benchmarks/crossed.py`), on discrete, skewed and
crossed data with a shared test set; and families of 2 to 5 equal settings, in which no pair should be told apart.

Real data: each redraw of MNIST takes 1,257 training rows, 180 validation rows and 360 test rows, and trains settings on
R fresh replicates; as in `search.compare`, a network is taken at its best validation epoch. The true difference between
l2 = 0 and l2 = 0.01 comes from 2 R further replicates on 50,000 rows that were not drawn. So training and validation
rows are part of what is compared, while replicates and test rows are a sample. Three pairs have no difference:

    l2 1e-12      against l2 = 0
    max_norm 1e6  against no bound
    replicates    the same setting on other replicates, which have only the rows in common

    python benchmarks/intervals.py [--comparisons 30000] [--redraws 200] [--minutes 15] [--replicates 10]
                                  [--data-dir data] [--offline] [--json FILE]

    --comparisons  the number of simulated comparisons of each kind; 0 for none
    --redraws      the most redraws of MNIST; 0 for none
    --minutes      the time after which no redraw begins
    --json         write the result to this file, and keep the part of it that is not measured now

Prints for each kind the share of intervals that contain the truth (95% is right), or that tell equal settings apart (5%
is right). "replicates alone" is the paired t test over replicates, which takes the test rows as given. "truth_se" is
the standard error of the truth itself; compare it with the half width of the intervals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from crossed import DESIGNS, contains, equal_arms, held
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search.data import Data, load
from search.recipe import Recipe
from search.recipe.discovery import discover
from search.recipe.space import Space
from search.statistics.crossed import Floats, crossed
from search.technique import Value
from search.train.batches import Batches
from search.train.pack import Pack, Slot
from search.train.program import Program
from search.train.sampling import best_networks

FRESH = 1000
ROWS = (1257, 180, 360)
UNSEEN = 50_000
TECHNIQUES = ("l2", "max_norm")
FREE = {"l2": 0.0, "max_norm": float("inf")}
ARMS = {
    "free": FREE,
    "l2": FREE | {"l2": 0.01},
    "l2 1e-12": FREE | {"l2": 1e-12},
    "max_norm": FREE | {"max_norm": 1e6},
}
MODEL = {"hidden": "16", "epochs": 6, "batch_size": 64, "lr": 0.005, "activation": "relu"}


def simulated(comparisons: int) -> dict[str, Any]:
    """Return the shares of the simulations, for each design and each family at several sizes."""
    found: dict[str, Any] = {"comparisons": comparisons, "intervals": [], "equal": []}
    for replicates, examples in ((2, 360), (3, 360), (5, 360), (10, 114), (10, 360)):
        for design in DESIGNS:
            size = {"replicates": replicates, "examples": examples}
            share = held(design, comparisons=comparisons, seed=0, **size)
            found["intervals"].append({"design": design.name, **size, **asdict(share)})
    for arms in (2, 3, 5):
        for examples in (114, 360):
            size = {"replicates": 10, "examples": examples}
            told = equal_arms(arms, comparisons=comparisons, seed=1, **size)
            found["equal"].append({"arms": arms, **size, "any_pair_told_apart": told})
    return found


class Redraws:
    """Settings that are trained on rows drawn anew each time."""

    def __init__(self, data: Data, replicates: int) -> None:
        self._data = data
        self._x = torch.cat([data.x_train, data.x_val, data.x_test])
        self._y = torch.cat([data.y_train, data.y_val, data.y_test])
        self._replicates = replicates
        recipe = Recipe.parse({"name": "coverage", "techniques": TECHNIQUES, "set": MODEL}, "coverage")
        self._techniques = [discover()[name] for name in TECHNIQUES]
        self._space = Space.resolve(recipe, self._techniques)

    def draw(self, number: int) -> dict[str, Any]:
        """Return for each pair of one redraw whether its interval holds the truth or tells the two apart."""
        order = torch.from_numpy(np.random.default_rng(number).permutation(len(self._x)))
        *parts, rest = torch.split(order, [*ROWS, len(order) - sum(ROWS)])
        networks = self._trained(parts)
        unseen = rest[:UNSEEN]
        tested = [self._measure(networks, parts[2], FRESH, FRESH + self._replicates)]
        known = [self._measure(networks, unseen, FRESH + self._replicates, FRESH + 3 * self._replicates)]
        apart = self._measure(networks, parts[2], FRESH + self._replicates, FRESH + 2 * self._replicates)["free"]
        found: dict[str, Any] = {}
        for at, metric in enumerate(("accuracy", "loss")):
            arm = {name: table[at] for name, table in tested[0].items()}
            truth = {name: table[at].mean(1) for name, table in known[0].items() if name in ("free", "l2")}
            gap = truth["l2"] - truth["free"]
            table = arm["l2"] - arm["free"]
            low, high = crossed(table).interval()
            found[metric] = {
                "truth": float(gap.mean()),
                "truth_se": float(gap.std(ddof=1) / len(gap) ** 0.5),
                "estimate": float(table.mean()),
                "half_width": float(high - low) / 2,
                "holds": bool(contains(table, float(gap.mean()))),
                "replicates_alone": bool(contains(np.repeat(table.mean(1)[:, None], 2, 1), float(gap.mean()))),
                "told_l2 1e-12": not contains(arm["l2 1e-12"] - arm["free"], 0.0),
                "told_max_norm 1e6": not contains(arm["max_norm"] - arm["free"], 0.0),
                "told_replicates": not contains(arm["free"] - apart[at], 0.0),
            }
        return found

    def _trained(self, parts: Sequence[Tensor]) -> list[Pack]:
        """Train every setting on its replicates; the pair with a known difference has three times as many."""
        (x, y), (x_val, y_val), (x_test, y_test) = ((self._x[rows], self._y[rows]) for rows in parts)
        names = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
        data = Data(**vars(self._data) | dict(zip(names, (x, y, x_val, y_val, x_test, y_test), strict=True)))
        slots = []
        structure: dict[str, Value] = {}
        for trial, (name, params) in enumerate(ARMS.items()):
            values = self._space.complete(params)
            assert values is not None
            structure = self._space.structure(values)
            count = self._replicates * (3 if name in ("free", "l2") else 1)
            slots += [Slot(trial, FRESH + number, self._space.numeric(values)) for number in range(count)]
        batches = Batches(data)
        numeric = tuple(slots[0].values)
        program = Program.build(structure, numeric, self._techniques, batches, loss="cross_entropy", seed=0)
        trained = best_networks(program, batches, slots)
        return [found[0] for found in trained if found is not None]  # it yields None after each epoch

    @torch.no_grad()
    def _measure(
        self, networks: Sequence[Pack], rows: Tensor, first: int, last: int
    ) -> Mapping[str, tuple[Floats, Floats]]:
        """Return each setting's correctness and loss, ``replicates x rows``, in plain torch from the best weights."""
        x, y = self._x[rows], self._y[rows]
        found: dict[str, tuple[Floats, Floats]] = {}
        for trial, name in enumerate(ARMS):
            chosen = [one for one in networks if one.slots[0].trial == trial]
            chosen = [one for one in chosen if first <= one.slots[0].replicate < last]
            if not chosen:
                continue
            weights = [one.weights(0) for one in chosen]
            # One wide product instead of a narrow one for each network.
            wide = torch.cat([one["0.weight"] for one in weights]), torch.cat([one["0.bias"] for one in weights])
            hidden = F.relu(F.linear(x, *wide)).view(len(x), len(chosen), -1)
            right, losses = [], []
            for at, one in enumerate(weights):
                out = F.linear(hidden[:, at], one["2.weight"], one["2.bias"])
                right.append((out.argmax(1) == y).double().numpy())
                losses.append(F.cross_entropy(out, y, reduction="none").double().numpy())
            found[name] = np.stack(right), np.stack(losses)
        return found


def real(redraws: int, minutes: float, replicates: int, data_dir: Path, offline: bool) -> dict[str, Any]:
    """Return the shares over redraws of MNIST, and every single redraw."""
    drawn: list[dict[str, Any]] = []
    started = time.monotonic()
    trainer = Redraws(load("mnist", scale="unit", data_dir=data_dir, offline=offline), replicates)
    while len(drawn) < redraws and time.monotonic() - started < 60 * minutes:
        drawn.append(trainer.draw(len(drawn)))
        print(f"redraw {len(drawn)}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    found: dict[str, Any] = {"redraws": len(drawn), "replicates": replicates, "rows": ROWS, "unseen_rows": UNSEEN}
    found |= {"model": MODEL, "seconds": time.monotonic() - started}
    for metric in ("accuracy", "loss"):
        columns: dict[str, NDArray[Any]] = {
            name: np.array([one[metric][name] for one in drawn], dtype=float) for name in drawn[0][metric]
        }
        found[metric] = {name: float(values.mean()) for name, values in columns.items()}
    return found | {"single": drawn}


def main() -> None:
    """Measure and print, and write the result if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=30_000)
    parser.add_argument("--redraws", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    result: dict[str, Any] = {}
    if words.json and words.json.is_file():
        there = json.loads(words.json.read_text(encoding="utf-8"))
        result = {name: there[name] for name in ("mnist", "simulated") if name in there}
    if words.redraws:
        result["mnist"] = real(words.redraws, words.minutes, words.replicates, words.data_dir, words.offline)
        for metric in ("accuracy", "loss"):
            print(f"mnist, {metric}, {result['mnist']['redraws']} redraws:", result["mnist"][metric])
    if words.comparisons:
        result["simulated"] = simulated(words.comparisons)
        for one in (*result["simulated"]["intervals"], *result["simulated"]["equal"]):
            print(one)
    if words.json:
        measure.write(words.json, "coverage", result)


if __name__ == "__main__":
    main()
