"""The `Study` that users hold: a recipe with its data and its Optuna study, how it is run, and what can be asked of it.

study = Study("l2", dataset="digits")
study.run(trials=32)
study.best, study.trials(), study.curves()
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import RequestError
from search.record.observer import Observer
from search.storage import database
from search.study import lookup, overview
from search.study.identity import Mismatch
from search.study.runner import RunOptions, run_study
from search.study.study import BaseStudy

if TYPE_CHECKING:
    import pandas as pd

    from search.check.check import Check
    from search.export.network import ExportedNetwork
    from search.replay.replay import Replay
    from search.report.build import Report
    from search.uncertainty.monte_carlo import Uncertainty


class Study(BaseStudy):
    """A hyperparameter search: made from a recipe, run to a budget, read as tables.

    Args: see `search.study.study.BaseStudy`.
    """

    def _repr_html_(self) -> str:
        return overview.study_html(self)

    def check(self) -> Check:
        """Find out whether the study learns one batch, and one of noise, by heart, and if not, why not.

        Nothing is written.
        """
        from search.check.check import check

        return check(self)

    def run(
        self,
        trials: int | None = None,
        *,
        timeout: float | None = None,
        extend: bool = False,
        workers: int = 1,
        engine: str = "local",
        address: str | None = None,
        observers: Sequence[Observer] | None = None,
    ) -> Study:
        """Search until the study has `trials` trials in total; call it again to go on, with a larger total to extend.

        Args:
            trials: the total budget, failed trials not counted; by default the recipe's, or the whole grid.
            timeout, extend, workers, engine, address: see `search.study.runner.RunOptions`.
            observers: those who watch; by default a progress bar. The MLflow writer watches in any case.
        """
        run_study(self, trials, RunOptions(timeout, extend, workers, engine, address), observers)
        return self

    def trials(self) -> pd.DataFrame:
        """Return one row per trial: number, state, value, its hyperparameters, best and final metrics."""
        from search.study.frames import trials

        return trials(self)

    def curves(self) -> pd.DataFrame:
        """Return every trial's curves in long form: trial, replicate, epoch (from 1) and one column per metric."""
        from search.study.frames import curves

        return curves(self)

    def published(self) -> pd.DataFrame:
        """Return the published figures beside this study's own: row, metric, theirs, ours, sd, agrees."""
        from search.study.frames import published

        return published(self)

    def export(self, path: Path | str, trial: int | None = None, *, one_se: bool = False) -> ExportedNetwork:
        """Save the network of a trial, trained again: `search.export.network.export`.

        Args:
            path: the file to write, a name that ends in .safetensors.
            trial: the number of the trial; by default the best one.
            one_se: whether to take the most strongly regularised trial within one standard error of the best.
        """
        from search.export.network import export

        return export(self, Path(path), trial, one_se=one_se)

    def report(self, folder: Path | str | None = None, *, training: bool | None = None) -> Report:
        """Write a page of figures and what they say into a folder (report-NAME): `search.report.build.write`."""
        from search.report import build

        return build.write(self, folder, training=training)

    def replay(self, trial: int) -> Replay:
        """Train a finished trial again, alone, and compare every number with its record."""
        from search.replay.replay import replay

        return replay(self, trial)

    def uncertainty(
        self, trial: int | None = None, *, passes: int = 100, activations: Sequence[str] = ()
    ) -> Uncertainty:
        """Measure how uncertain the predictions of a trial for validation rows are, by Monte Carlo dropout.

        Args:
            trial: the number of the trial; by default the best one.
            passes: the number of Monte Carlo passes.
            activations: the activations to train it with instead of its own.
        """
        from search.uncertainty.monte_carlo import measure

        return measure(self, trial, passes=passes, activations=activations)


def load_study(
    study: str,
    *,
    study_name: str | None = None,
    dataset: str | None = None,
    storage: str = database.DEFAULT_STORAGE,
    **options: Any,
) -> Study:
    """Open a study that is in a storage already, with every change that it was run with, to be read: without MLflow.

    Args:
        study: its own name, ``l2-digits``, or what it was made of: a recipe's name, a path, techniques joined by '+'.
        study_name: its name where that is not made of recipe and data set.
        dataset: the data set of the recipe, for the name; a path says where the data are now.
        storage: the URL of the Optuna database.
        options: other arguments of `Study`, which say where it trains: device, data_dir, offline, techniques ...

    Raises:
        RequestError: there is none, or its data or techniques are not the ones that it was run with.
    """
    name, recipe = lookup.find(storage, study, study_name=study_name, dataset=dataset)
    opened = Study(recipe, study_name=name, storage=storage, tracking_uri=None, **options)
    try:
        _ = opened.optuna_study
    except Mismatch as mismatch:
        # Its recipe is the one it was run with: what is missing comes from outside.
        raise RequestError(f"{mismatch}: give the data, and the --technique files, that it was run with") from None
    return opened
