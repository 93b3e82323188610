"""Measure how often `regsearch ablate` finds an effect that is there, and how often it claims one that is not.

Each run draws a regression anew: 40 training rows of 30 inputs, of which 5 matter, so that a network without an L2
penalty overfits. A study searches three techniques in a grid of 16 trials, and `ablate` is asked around the best trial:

    l2        an L2 penalty of 0, 0.03, 0.1 or 0.3
    negated   initial weights with the other sign
    reversed  initial weights in the reverse order of their units

The last two do nothing in expectation: the weights have the same distribution, and each network is another one. So the
trial is chosen by its luck in them, as real trials are. Whether it uses them varies from run to run.

With `--fixed`, no trial is searched: on each of some data sets, 400 replicates of one trial with and without each of
the techniques that do nothing are 40 ablations of ten replicates each. This shows with less noise how often one is
claimed.

    python benchmarks/ablation.py [--runs 100] [--seed 0] [--replicates N] [--validation 600] [--fixed DATASETS]
        [--json FILE]

    --seed        the first run's; each run has the next one, so other seeds draw other data
    --validation  the number of validation rows
    --fixed       the number of data sets on which one trial is ablated 40 times; without it, runs as above
    --json        write the result to this file

Prints the share of runs in which L2 is found to help (at least 90% is wanted), in which a technique that does nothing
is claimed to matter (at most 5% may be), and in which an interaction with one of them is claimed (at most 5%); and the
share of the 95% intervals of their effects that hold 0.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measure
import numpy as np
from torch import Tensor

from search import Structural, Study, Technique
from search.ablate.effects import SELF, holm
from search.ablate.measure import USUAL, Plan
from search.compare.pairs import Arm
from search.record.ablation import HELPS, LEVEL, UNDECIDED, WOULD_HELP
from search.statistics.crossed import crossed
from search.technique import Field, Values

INPUTS, RELEVANT, TRAINING = 30, 5, 40
NOISE = 0.5
ABLATIONS = 40
STRENGTHS = [0.0, 0.03, 0.1, 0.3]
SET = {"epochs": 60, "hidden": "8", "batch_size": 64, "lr": 0.02}


def negated(current: Tensor, _unit: Tensor, _field: Field, _values: Values) -> Tensor:
    """Return initial weights with the other sign: they are drawn from a law that is symmetrical about 0."""
    return -current


def in_reverse(current: Tensor, _unit: Tensor, _field: Field, _values: Values) -> Tensor:
    """Return initial weights in the reverse order of the units that they lead to: all are drawn alike."""
    return current.flip(-1)


NULLS = [
    Technique(
        name=name, hyperparameters={name: Structural(False, (False, True), neutral=False, searched=True)}, init=init
    )
    for name, init in (("negated", negated), ("reversed", in_reverse))
]


def drawn(seed: int, rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return inputs ``rows x 30`` and targets ``(rows,)`` that depend linearly on five of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, INPUTS))
    slopes = rng.normal(size=RELEVANT)
    y = x[:, :RELEVANT] @ slopes / np.sqrt(RELEVANT) + NOISE * rng.normal(size=rows)
    return x.astype(np.float32), y.astype(np.float32)


def opened(seed: int, folder: Path, validation: int, strengths: list[float]) -> Study:
    """Return the study of a run."""
    return Study(
        "l2",
        data=drawn(seed, TRAINING + validation),
        test=0,
        val=validation / (TRAINING + validation),
        storage=f"sqlite:///{folder / f'{seed}.db'}",
        tracking_uri=None,
        device="cpu",
        seed=seed,
        sampler="grid",
        pruner={"name": "none"},
        set=SET,
        space={"l2": {"choices": strengths}},
        techniques=NULLS,
    )


def run(seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Search, ablate, and return the effects and the interactions of one run."""
    study = opened(seed, folder, options.validation, STRENGTHS)
    found = study.run(observers=()).ablate(replicates=options.replicates).result
    return {
        "trial": found.trial,
        "objective": found.objective,
        "effects": {
            one.technique: {"used": one.used, "verdict": one.verdict, **asdict(one.difference)}
            for one in found.effects
            if one.difference
        },
        "interactions": {
            "-".join(sorted(one.techniques)): asdict(one.difference) for one in found.interactions if one.difference
        },
    }


def fixed(seed: int, folder: Path, validation: int) -> dict[str, Any]:
    """Return for 40 ablations of one trial the p values of the two techniques that do nothing."""
    study = opened(seed, folder, validation, [0.1])
    values = study.space.complete({"l2": 0.1} | {one.name: False for one in NULLS})
    assert values is not None
    variants = {frozenset({one.name}): values | {one.name: True} for one in NULLS}
    trained = Plan(study, 0, ABLATIONS * USUAL).train({SELF: values, **variants}, log=lambda _line: None)
    own = trained[SELF]
    found: dict[str, Any] = {"data": seed}
    for one in NULLS:
        arm = trained[frozenset({one.name})]
        assert isinstance(own, Arm)
        assert isinstance(arm, Arm)
        tables = (arm.losses - own.losses).reshape(ABLATIONS, USUAL, -1)
        found[one.name] = crossed(tables).p().tolist()
    return found


def summarised_fixed(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the shares of the ablations in which something is claimed, beside an effect that is found."""
    pairs = [holm(pair) for one in runs for pair in zip(*(one[name.name] for name in NULLS), strict=True)]
    alone = np.array([one[name.name] for one in runs for name in NULLS])
    return {
        "ablations": len(pairs),
        "a null effect claimed": float(np.mean([min(pair) < LEVEL for pair in pairs])),
        "intervals of null effects that hold 0": float(np.mean(alone >= LEVEL)),
    }


def summarised(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the shares of the runs."""
    names = [one.name for one in NULLS]
    nulls = [one["effects"][name] for one in runs for name in names]
    claimed = [any(one["effects"][name]["verdict"] != UNDECIDED for name in names) for one in runs]
    together = [any(pair["adjusted"] < LEVEL for pair in one["interactions"].values()) for one in runs]
    return {
        "planted effect found": float(
            np.mean([one["effects"]["l2"]["verdict"] in (HELPS, WOULD_HELP) for one in runs])
        ),
        "trial uses l2": float(np.mean([one["effects"]["l2"]["used"] for one in runs])),
        "a null effect claimed": float(np.mean(claimed)),
        "an interaction claimed": float(np.mean(together)),
        "intervals of null effects that hold 0": float(np.mean([one["low"] <= 0 <= one["high"] for one in nulls])),
        "mean planted effect": float(np.mean([abs(one["effects"]["l2"]["value"]) for one in runs])),
        "mean size of null effects": float(np.mean([abs(one["value"]) for one in nulls])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replicates", type=int)
    parser.add_argument("--validation", type=int, default=600)
    parser.add_argument("--fixed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    first = options.seed + (1000 if options.fixed else 0)
    seeds = range(first, first + (options.fixed or options.runs))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.fixed:
            runs = [fixed(seed, folder, options.validation) for seed in seeds]
            shares = summarised_fixed(runs)
        else:
            runs = [run(seed, folder, options) for seed in seeds]
            shares = summarised(runs)
    for what, share in shares.items():
        print(f"{what}: {share:.3g}")
    if options.json:
        given = {"seed": options.seed, "replicates": options.replicates, "validation": options.validation}
        kind = "ablation_fixed" if options.fixed else "ablation"
        measure.write(options.json, kind, {"options": given, "shares": shares, "runs": runs})


if __name__ == "__main__":
    main()
