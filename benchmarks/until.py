"""Measure what ending a study early (`run --until`) saves and loses, and which bound of Optuna's is the better one.

Committed recipes are searched to 64 trials, with several seeds. Then the rule is applied after each cohort, as it would
have been before the next one was asked. It does not change any trial, so the study would have ended with those so far.

    python benchmarks/until.py [--folder DIR] [--seeds 10 11 12] [--json FILE]

    --folder  the folder of the studies; a study that is there is not trained again (all take 6 minutes on one core)
    --seeds   the seeds of each study; what the package takes was chosen by 0, 1 and 2

The bounds:

    regret        that of the package: Optuna's RegretBoundEvaluator on the best half of the trials, at least 8
    plain regret  the same with Optuna's defaults: the best half, at least 20
    EMMR          Optuna's EMMREvaluator, whose standard deviations are turned into units of the objective
    best EMMR     the same on the best half of the trials

Prints, for each bound and share, over the studies whose trials have one network and those with several:

    saved    the share of the trials that would not have been trained
    ended    the share of the studies that would have ended early
    worse    how much worse the best value would have been, by the best one after all trials: mean and largest
    errors   the same in standard errors of the best trial, for studies with at least three networks a trial
    passed   the share of the asks at which more than the bound was gained later; for several shares it is the same
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.terminator import EMMREvaluator, RegretBoundEvaluator
from optuna.terminator.improvement.evaluator import BaseImprovementEvaluator
from optuna.trial import FrozenTrial

from search import Study
from search.choose.until import Outlook, Until, in_one_space, regret_bound
from search.recipe.space import Space
from search.record.feasible import feasible
from search.record.own import COHORT, own_trials
from search.record.recorder import Recorder

TRIALS = 64
SHARES = (0.01, 0.001, 0.0001)
STUDIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("l2", "digits", {}),
    ("momentum", "digits", {}),
    ("l2+dropout", "breast-cancer", {}),
    ("lr_schedule", "breast-cancer", {}),
    ("baseline", "diabetes", {}),
    ("optimizer", "diabetes", {}),
    ("weight_decay", "wine", {}),
    ("dropout", "wine", {"folds": 5}),
    ("baseline", "diabetes", {"replicates": 3}),
    ("l2+dropout", "breast-cancer", {"replicates": 3}),
)


@dataclass(frozen=True)
class Ask:
    """A time at which a study might have ended: the outlook by the rule, and each bound."""

    outlook: Outlook
    bounds: dict[str, float]

    def described(self) -> dict[str, Any]:
        one = self.outlook
        found = {"trials": one.trials, "complete": one.complete, "best": one.best, "error": one.error}
        return {**found, "bounds": self.bounds}


@dataclass(frozen=True)
class Replayed:
    """A study: its name, whether its trials have several networks, its best value after all trials, and its asks."""

    name: str
    several: bool
    best: float
    asks: list[Ask]

    def end(self, bound: str, share: float) -> Ask | None:
        """Return the ask at which the study would have ended; None if it would have spent its budget."""
        return next((ask for ask in self.asks if ask.bounds[bound] <= ask.outlook.matters(share)), None)


def by_optuna(evaluator: BaseImprovementEvaluator, trials: Sequence[FrozenTrial]) -> float:
    """Return the value of an evaluator in units of the objective."""
    losses = np.array([trial.value for trial in trials], dtype=np.float64)
    unit = float(losses.std()) if isinstance(evaluator, EMMREvaluator) else 1.0
    return unit * evaluator.evaluate(list(trials), StudyDirection.MINIMIZE)


def bounds(complete: Sequence[FrozenTrial], space: Space, study: Study) -> dict[str, float]:
    """Return each bound by its name."""
    aim = study.objectives.first
    # In the order of the trials, because EMMR compares the process with and without the last one.
    shown = [in_one_space([trial], space, aim)[0] for trial in complete]
    level = sorted(trial.value or 0.0 for trial in shown)[max(8, len(shown) // 2) - 1]
    half = [trial for trial in shown if (trial.value or 0.0) <= level]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        plain, emmr, best_emmr = RegretBoundEvaluator(seed=0), EMMREvaluator(seed=0), EMMREvaluator(seed=0)
    return {
        "regret": regret_bound(complete, space, aim, 0),
        "plain regret": by_optuna(plain, shown),
        "EMMR": by_optuna(emmr, shown),
        "best EMMR": by_optuna(best_emmr, half),
    }


def replayed(name: str, study: Study) -> Replayed:
    """Apply the rule after each cohort of a finished study."""
    opened, space = study.optuna_study, study.space
    assert study.backend is not None
    until = Until.of(study.recipe.but(study.name, until=SHARES[0]), study.objectives, study.data)
    assert until is not None
    recorder, trials = Recorder(opened, study.backend), own_trials(opened)
    asks = []
    for cohort in range(max(trial.user_attrs[COHORT] for trial in trials)):
        so_far = [trial for trial in trials if trial.user_attrs[COHORT] <= cohort]
        outlook = until.outlook(space, so_far, recorder)
        if outlook is not None:
            asks.append(Ask(outlook, bounds(feasible(so_far), space, study)))
    best = study.best
    assert best is not None
    return Replayed(name, study.recipe.networks > 1, best.values[0], asks)


def searched(folder: Path, seeds: Sequence[int]) -> Iterator[Replayed]:
    """Search each study that is not in the folder, and replay it."""
    for recipe, dataset, changes in STUDIES:
        for seed in seeds:
            name = "-".join([recipe, dataset, *(f"{key}{value}" for key, value in changes.items()), str(seed)])
            study = Study(
                recipe,
                dataset=dataset,
                seed=seed,
                study_name=name,
                storage=f"sqlite:///{folder / 'until.db'}",
                tracking_uri=None,
                device="cpu",
                **changes,
            )
            yield replayed(name, study.run(TRIALS, observers=[]))


def figures(studies: Sequence[Replayed], bound: str, share: float) -> dict[str, float | None]:
    """Return saved, ended, worse, errors and passed; the module's docstring defines them."""
    saved, worse, errors = [], [], []
    for study in studies:
        end = study.end(bound, share)
        loss = 0.0 if end is None else end.outlook.best - study.best
        saved.append(0.0 if end is None else 1 - end.outlook.trials / TRIALS)
        worse.append(loss / abs(study.best))
        if (error := study.asks[-1].outlook.error) is not None:
            errors.append(loss / error)
    passed = [ask.outlook.best - study.best > ask.bounds[bound] for study in studies for ask in study.asks]
    return {
        "saved": float(np.mean(saved)),
        "ended": float(np.mean(np.array(saved) > 0)),
        "worse": float(np.mean(worse)),
        "worst": max(worse),
        "errors": float(np.mean(errors)) if errors else None,
        "most_errors": max(errors) if errors else None,
        "passed": float(np.mean(passed)),
    }


def show(title: str, found: dict[str, dict[str, dict[str, float | None]]]) -> None:
    print(f"{title:24}{'saved':>8}{'ended':>8}{'worse':>9}{'worst':>9}{'errors':>9}{'passed':>8}")
    for bound, by_share in found.items():
        for share, one in by_share.items():
            errors = "" if one["errors"] is None else f"{one['errors']:9.3f}"
            print(
                f"{bound:16}{share:>8}{one['saved']:8.1%}{one['ended']:8.0%}{one['worse']:9.3%}{one['worst']:9.3%}"
                f"{errors:>9}{one['passed']:8.0%}"
            )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        studies = list(searched(folder.absolute(), args.seeds))
    result: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for title, several in (("one network a trial", False), ("several networks", True)):
        of_these = [study for study in studies if study.several == several]
        result[title] = {
            bound: {f"{share:.2%}": figures(of_these, bound, share) for share in SHARES}
            for bound in studies[0].asks[0].bounds
        }
        show(title, result[title])
    if args.json is not None:
        each: dict[str, Any] = {
            study.name: {
                "best": study.best,
                "asks": [ask.described() for ask in study.asks],
            }
            for study in studies
        }
        measure.write(args.json, "until", {"trials": TRIALS, "seeds": args.seeds, "figures": result, "studies": each})


if __name__ == "__main__":
    main()
