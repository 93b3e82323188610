"""Compare a search that asks in cohorts with a search that asks one trial at a time.

A is a plain Optuna study with `TPESampler(seed=S)`, which asks and tells one trial after another. B is the package's
`Asker` on a study in memory, which asks, trains and tells `ask_batch` trials together. Both search the same five
hyperparameters (l2, dropout, label_smoothing, lr, beta1) of a small network that the package trains. A trial depends on
its hyperparameters alone, so seeds differ in the search only, and no trial is trained twice. Random search is the
control.

    python benchmarks/asking.py [--seeds 20] [--trials 64] [--most 96] [--ask-batch 4 8 16 32] [--tpe JSON ...]
                                [--dataset digits] [--epochs 15] [--techniques l2] [--json FILE]

    --seeds      the number of searches of each kind; seed S of A sets the target of seed S of B
    --trials     the length of A; its best value after so many trials is the target
    --most       the most trials that B may take to reach the target; A goes on to as many for comparison
    --ask-batch  the sizes of a cohort
    --tpe        options of TPESampler to try instead of the package's, as a JSON object: {"multivariate": true}
    --dataset    one or more data sets, such as digits and wine
    --epochs     the epochs of each trial; nothing is pruned
    --techniques the techniques to search instead of the five hyperparameters
    --json       write the result to this file

Prints for each search the median and quartiles over seeds of the trials that it needs to reach the target, the share of
seeds that reach it, and the median best values. The requirement is a median of at most 96 trials. Which A a B is paired
with is luck, so every B is compared with every A too (the columns "any"). A against every other A shows how demanding
the requirement is: a search that is as good as A needs about 64 trials.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import measure
import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search import Study
from search.choose.asking import Asker
from search.choose.claims import FileClaims
from search.recipe import Recipe
from search.recipe.space import Space
from search.record.curves import Curves
from search.record.feasible import INFEASIBLE
from search.record.observer import Asked
from search.record.summary import objective
from search.technique import Value
from search.train import streams
from search.train.cohort import Cohort
from search.train.member import Member
from search.train.metrics.objective import VAL_LOSS

TECHNIQUES = ("l2", "dropout", "label_smoothing")
SPACE = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "beta1": {"low": 0.5, "high": 0.99}}
MODEL = {"hidden": "32", "batch_size": 128}
AT_ONCE = 64


class Searcher(Protocol):
    """A search with one seed; it asks for the trials to train next and reads results from its Optuna study."""

    study: optuna.Study

    def ask(self) -> Sequence[Asked]: ...


class Single:
    """A: Optuna alone, one trial at a time."""

    def __init__(self, space: Space, seed: int) -> None:
        self.study, self._space = optuna.create_study(sampler=TPESampler(seed=seed)), space

    def ask(self) -> Sequence[Asked]:
        trial = self.study.ask()
        return [Asked(trial, self._space.suggest(trial))]


class Packaged:
    """B: the package's asker as a study uses it, with a storage in memory."""

    def __init__(self, recipe: Recipe, space: Space, budget: int) -> None:
        storage = InMemoryStorage()
        self.study = optuna.create_study(storage=storage)
        claims = FileClaims("memory", self.study.study_name)
        self._asker = Asker(self.study, storage, recipe, space, budget, claims)  # type: ignore[arg-type]

    def ask(self) -> Sequence[Asked]:
        following = self._asker.next_cohort()
        return following[1] if following is not None else []


class Tried:
    """B with other options of TPESampler, which is rebuilt for each ask from the package's seeds."""

    def __init__(self, recipe: Recipe, space: Space, options: Mapping[str, Any]) -> None:
        self.study = optuna.create_study()
        self._recipe, self._space, self._options, self._tickets = recipe, space, options, itertools.count()

    def ask(self) -> Sequence[Asked]:
        return [self._one(next(self._tickets)) for _ in range(self._recipe.ask_batch)]

    def _one(self, ticket: int) -> Asked:
        drawn = streams.key(self._recipe.seed, "sampler", ticket) % 2**31
        self.study.sampler = TPESampler(seed=drawn, **self._options)
        trial = self.study.ask()
        return Asked(trial, self._space.suggest(trial))


class Objective:
    """The best validation loss of a trial that the package trains; results are kept by hyperparameters."""

    def __init__(self, dataset: str, epochs: int, techniques: Sequence[str]) -> None:
        space = SPACE if tuple(techniques) == TECHNIQUES else {}
        fields = {"techniques": tuple(techniques), "space": space, "set": MODEL | {"epochs": epochs}}
        recipe = Recipe.parse(fields | {"name": "asking", "pruner": {"name": "none"}}, "asking")
        self.made = Study(recipe, dataset=dataset, tracking_uri=None, device="cpu")
        self.recipe, self.space = self.made.recipe, self.made.space
        self._epochs = epochs
        self._known: dict[tuple[tuple[str, float], ...], float] = {}

    @property
    def trained(self) -> int:
        """The number of different trials that have been trained."""
        return len(self._known)

    def __call__(self, trials: Sequence[Mapping[str, Value]]) -> list[float]:
        """Return each trial's objective; new trials train together, as many at a time as fill packs."""
        numbers = [self.made.numeric(values) for values in trials]
        keys = [tuple(sorted(each.items())) for each in numbers]
        new = {key: dict(key) for key in keys if key not in self._known}
        program = self.made.program(trials[0])
        waiting = list(new.items())
        for chosen in (waiting[at : at + AT_ONCE] for at in range(0, len(waiting), AT_ONCE)):
            members = [Member(number, program, values, 1) for number, (_, values) in enumerate(chosen)]
            for _ in Cohort(members, self.made.batches, self.made.width).advance(self._epochs):
                pass
            for (key, _), member in zip(chosen, members, strict=True):
                self._known[key] = objective(Curves(*member.table()), VAL_LOSS)
        return [self._known[key] for key in keys]


def search(searchers: Sequence[Searcher], train: Objective, most: int) -> list[list[float]]:
    """Run all searches side by side to `most` trials, and return each one's best value after 1, 2 ... trials."""
    found: list[list[float]] = [[] for _ in searchers]
    while len(found[0]) < most:
        asked = [one.ask() for one in searchers]
        values = iter(train([trial.values for cohort in asked for trial in cohort]))
        for one, cohort, mine in zip(searchers, asked, found, strict=True):
            for trial in cohort:
                value = next(values)
                mine.append(value)
                tell(one.study, trial.trial, value)
    return [np.minimum.accumulate(mine)[:most].tolist() for mine in found]


def tell(study: optuna.Study, trial: optuna.Trial, value: float) -> None:
    """Tell a result as the package's loop does: a value that is not finite is pruned and infeasible."""
    if math.isfinite(value):
        study.tell(trial, value)
    else:
        trial.set_constraint(INFEASIBLE, 1.0)
        study.tell(trial, state=TrialState.PRUNED)


def needed(bests: Sequence[float], target: float) -> float:
    """Return the number of trials that reach the target, or infinity if none does."""
    return next((number for number, best in enumerate(bests, 1) if best <= target), math.inf)


def quantiles(values: Sequence[float]) -> list[float | None]:
    """Return the quartiles and the median; infinite values count as the largest and are given as None."""
    ranked = sorted(values)
    found = []
    for share in (0.25, 0.5, 0.75):
        at = share * (len(ranked) - 1)
        below, above = ranked[math.floor(at)], ranked[math.ceil(at)]
        found.append(below if below == above else below + (above - below) * (at - math.floor(at)))
    return [value if math.isfinite(value) else None for value in found]


@dataclass(frozen=True)
class Target:
    """The best values of A after each trial, seed by seed, and the number of trials that set the target."""

    bests: Sequence[Sequence[float]]
    trials: int

    def judge(self, bests: Sequence[Sequence[float]]) -> dict[str, Any]:
        """Return the figures of one search."""
        targets = [one[self.trials - 1] for one in self.bests]
        mine = bests is self.bests
        own = [needed(one, target) for one, target in zip(bests, targets, strict=True)]
        every = [
            needed(one, target) for i, one in enumerate(bests) for j, target in enumerate(targets) if not mine or i != j
        ]
        most = len(bests[0])
        return {
            "needed": [value if math.isfinite(value) else None for value in own],
            "needed_quartiles": quantiles(own),
            "share": sum(map(math.isfinite, own)) / len(own),
            "needed_quartiles_any": quantiles(every),
            "share_any": sum(map(math.isfinite, every)) / len(every) if every else None,
            f"best_after_{self.trials}": float(np.median([one[self.trials - 1] for one in bests])),
            f"best_after_{most}": float(np.median([one[most - 1] for one in bests])),
            "bests": [[one[at - 1] for at in sorted({self.trials, most})] for one in bests],
        }


def contenders(
    train: Objective, seeds: int, most: int, batches: Sequence[int], options: Sequence[Mapping[str, Any]]
) -> dict[str, Callable[[], list[Searcher]]]:
    """Return for each search, in the table's order, a function that makes the searchers of all seeds."""

    def recipe(seed: int, **changes: Any) -> Recipe:
        return train.recipe.but("asking", seed=seed, **changes)

    def packaged(**changes: Any) -> list[Searcher]:
        return [Packaged(recipe(seed, **changes), train.space, most) for seed in range(seeds)]

    def tried(batch: int, option: Mapping[str, Any]) -> list[Searcher]:
        return [Tried(recipe(seed, ask_batch=batch), train.space, option) for seed in range(seeds)]

    made: dict[str, Callable[[], list[Searcher]]] = {
        "one at a time": lambda: [Single(train.space, seed) for seed in range(seeds)],
        "random": partial(packaged, sampler="random"),
    }
    made |= {f"ask_batch {batch}": partial(packaged, ask_batch=batch) for batch in batches}
    for option, batch in itertools.product(options, batches):
        made[f"ask_batch {batch} {json.dumps(option)}"] = partial(tried, batch, option)
    return made


def run(train: Objective, trials: int, made: Mapping[str, Callable[[], list[Searcher]]], most: int) -> dict[str, Any]:
    """Run every search, and return its figures."""
    bests: dict[str, list[list[float]]] = {}
    for name, searchers in made.items():
        started = time.perf_counter()
        bests[name] = search(searchers(), train, most)
        seconds = time.perf_counter() - started
        print(f"{name}: {seconds:.0f} s, {train.trained} trials trained so far", file=sys.stderr)
    target = Target(bests["one at a time"], trials)
    return {name: target.judge(each) for name, each in bests.items()}


def show(results: Mapping[str, Mapping[str, Any]], trials: int, most: int) -> None:
    """Print the trials that each search needs, as median (quartiles), for its own seed's target and for any."""

    def cell(figures: Sequence[float | None], share: float) -> str:
        low, middle, high = (f">{most}" if value is None else f"{value:.0f}" for value in figures)
        return f"{middle} ({low} to {high}) {share:4.0%}"

    wide = max(map(len, results)) + 2
    print(f"{'':{wide}}{'needed, got there':>24}{'the same, any':>24}{f'best of {trials}':>12}{f'best of {most}':>12}")
    for name, found in results.items():
        cells = cell(found["needed_quartiles"], found["share"]) if name != "one at a time" else "-"
        every = cell(found["needed_quartiles_any"], found["share_any"])
        values = [found[f"best_after_{count}"] for count in (trials, most)]
        print(f"{name:{wide}}{cells:>24}{every:>24}{values[0]:12.4f}{values[1]:12.4f}")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--most", type=int, default=96)
    parser.add_argument("--ask-batch", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--tpe", type=json.loads, nargs="+", default=[], metavar="JSON")
    parser.add_argument("--dataset", nargs="+", default=["digits"])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--techniques", nargs="+", default=list(TECHNIQUES))
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args(words)
    if args.seeds < 2 or not 1 <= args.trials <= args.most or min(args.ask_batch) < 1 or args.epochs < 1:
        parser.error("takes two seeds or more, 1 <= trials <= most, and at least one trial and epoch")
    results = {}
    for dataset in args.dataset:
        train = Objective(dataset, args.epochs, args.techniques)
        made = contenders(train, args.seeds, args.most, args.ask_batch, args.tpe)
        results[dataset] = run(train, args.trials, made, args.most)
        print(f"{dataset}, {args.seeds} seeds: trials needed to reach the best of {args.trials} one at a time")
        show(results[dataset], args.trials, args.most)
    if args.json is not None:
        settings = {"techniques": args.techniques, "space": list(train.space.searched), "model": MODEL}
        settings |= {name: value for name, value in vars(args).items() if name != "json"}
        measure.write(args.json, "asking", {"settings": settings, "results": results})


if __name__ == "__main__":
    main()
