"""The studies on whose full curves `pruning.py` judges pruners.

Each of eleven data sets has studies of 64 trials, none of which is pruned, with random search and with TPE in its
default cohorts of 8. Techniques go round from data set to data set, so that each is searched on several.

The studies have three parts. The first two were fixed before a rule was tried, by data set: in alphabetical order the
first, the third ... are for tuning, the others are held out. After the first rule had failed on the held-out data sets,
both parts were used to find the next one. So it was judged on a third part, which was trained after it was fixed: all
data sets with other splits, seeds and techniques.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from search import Study
from search.record.curves import CURVES, Curves

TRIALS = 64
TPE_COHORT = 8

TECHNIQUES = (
    "l2",
    "dropout",
    "l1",
    "weight_decay",
    "max_norm",
    "l2+dropout",
    "momentum",
    "lr_schedule",
    "input_dropout",
    "elastic_net",
    "optimizer",
    "baseline",
)
SAMPLERS = ("random", "random", "tpe", "random", "tpe")
FRESH_SAMPLERS = ("random", "tpe")
Portion = Literal["tuning", "held out", "fresh"]


@dataclass(frozen=True)
class Table:
    """A data set; a target marks a CSV file. The split leaves about 1,000 rows for training."""

    target: str | None = None
    epochs: int = 60
    split: tuple[float, float, float] = (0.6, 0.2, 0.2)


TABLES = {
    "abalone": Table("rings", split=(0.25, 0.2, 0.55)),
    "breast-cancer": Table(epochs=100),
    "california": Table("median_house_value", split=(0.05, 0.05, 0.9)),
    "car": Table("class"),
    "credit-g": Table("class", epochs=100),
    "diabetes": Table(epochs=100),
    "digits": Table(),
    "mfeat-factors": Table("class", split=(0.4, 0.2, 0.4)),
    "phoneme": Table("class", split=(0.2, 0.1, 0.7)),
    "segment": Table("class", split=(0.4, 0.2, 0.4)),
    "wine": Table(epochs=100),
}


@dataclass(frozen=True)
class JudgedStudy:
    """A study whose curves are judged; `lr` says whether the learning rate is searched too."""

    techniques: str
    dataset: str
    sampler: str
    lr: bool
    seed: int
    fresh: bool = False

    @property
    def portion(self) -> Portion:
        """The part of the studies that this one belongs to."""
        if self.fresh:
            return "fresh"
        return "held out" if sorted(TABLES).index(self.dataset) % 2 else "tuning"

    @property
    def epochs(self) -> int:
        return TABLES[self.dataset].epochs

    def described(self) -> dict[str, Any]:
        """Return the fields of the study, for the results."""
        return asdict(self) | {"epochs": self.epochs, "portion": self.portion}

    def curves(self, storage: str, tables: Path) -> np.ndarray:
        """Return the objective so far, ``trials x epochs``, infinite where never finite; train what is not stored."""
        table = TABLES[self.dataset]
        learns = self.sampler == "tpe"
        data = {"dataset": self.dataset if table.target is None else str(tables / f"{self.dataset}.csv")}
        study = Study(
            self.techniques,
            data=data | {"target": table.target, "split": table.split, "seed": int(self.fresh)},
            storage=storage,
            tracking_uri=None,
            trials=TRIALS,
            seed=self.seed,
            sampler=self.sampler,
            ask_batch=TPE_COHORT if learns else 32,
            pruner={"name": "none"},
            set={"epochs": table.epochs},
            space={"lr": {"low": 1e-4, "high": 1e-1, "log": True}} if self.lr else {},
        ).run()
        found = np.full((TRIALS, table.epochs), np.inf)
        for row, trial in zip(found, study.optuna_study.get_trials(deepcopy=False), strict=True):
            loss = Curves.decode(trial.user_attrs[CURVES]).of("val_loss")
            loss = np.minimum.accumulate(np.where(np.isfinite(loss), loss, np.inf), axis=1).mean(axis=0)
            row[: len(loss)] = loss
            row[len(loss) :] = loss[-1]
        return found


def _all() -> dict[str, JudgedStudy]:
    studies = {}
    for place, dataset in enumerate(sorted(TABLES)):
        turns = [*enumerate(SAMPLERS), *enumerate(FRESH_SAMPLERS * (2 if TABLES[dataset].epochs == 100 else 1))]
        for number, (turn, sampler) in enumerate(turns):
            fresh = number >= len(SAMPLERS)
            techniques = TECHNIQUES[(len(SAMPLERS) * place + turn + 6 * fresh) % len(TECHNIQUES)]
            # The recipes of these search the learning rate themselves.
            lr = turn % 2 == 1 and techniques not in ("lr_schedule", "optimizer", "baseline")
            study = JudgedStudy(techniques, dataset, sampler, lr, seed=place + 100 * fresh, fresh=fresh)
            studies[f"{techniques}{'+lr' if lr else ''}-{dataset}-{sampler}{'-fresh' if fresh else ''}"] = study
    return studies


STUDIES = _all()
