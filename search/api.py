"""The `Study` that users hold: it runs the study below it and answers questions about it.

study = Study("l2", dataset="digits")
study.run(trials=32)
study.best, study.trials(), study.curves()
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import RequestError
from search.record.observer import Observer
from search.storage import database
from search.study import lookup, overview
from search.study.identity import Mismatch
from search.study.progress import Log
from search.study.runner import RunOptions, run_study
from search.study.study import BaseStudy
from search.workers import gpus

if TYPE_CHECKING:
    import pandas as pd

    from search.ablate.result import Ablation
    from search.check.check import Check
    from search.export.network import ExportedNetwork
    from search.predict.new_rows import Rows
    from search.predict.predictor import Predictor
    from search.record.decision import Decision
    from search.replay.result import Replay
    from search.report.build import Report
    from search.study.stopped import Stopped
    from search.technique import Value
    from search.uncertainty.result import Uncertainty


class Study(BaseStudy):
    """A hyperparameter search, made from a recipe and run to a budget; its results are tables and figures.

    Args: see `search.study.study.BaseStudy`.
    """

    def _repr_html_(self) -> str:
        return overview.study_html(self)

    def check(self) -> Check:
        """Find out whether the study can memorise a batch of its data and a batch of noise, and if not, why not.

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
        decide: bool = True,
    ) -> Study:
        """Search until the study has `trials` trials in total; a second call continues, to a larger total if asked.

        Args:
            trials: the total budget, failed trials not counted; by default the recipe's, or the whole grid.
            timeout: the seconds after which to stop. `search.study.runner.RunOptions` describes this option and the
                next four.
            extend: whether to widen a range if the best trial lies at its edge, and to continue.
            workers: the number of processes that share the work.
            engine: where they run, "local" or "ray".
            address: the address of the Ray cluster.
            observers: the observers of the run; by default a progress bar, and notes on the data and the search are
                printed. The MLflow writer observes in any case.
            decide: whether to decide at the end which trial is chosen, and what it is worth (`decide`).
        """
        if observers is None:
            of_workers = gpus.notes(workers, self.given["device"]) if engine == "local" else []
            for note in [*self.notes(), *of_workers]:
                print(f"note: {note}", file=sys.stderr)
        at_end = partial(self.decide, None if observers is None else _say_nothing) if decide else None
        run_study(self, trials, RunOptions(timeout, extend, workers, engine, address), observers, at_end)
        return self

    def decide(self, log: Log | None = None) -> Decision | None:
        """Decide which trial is chosen, what it is worth on new rows, and which strengths cannot be told from it.

        A run does this when it has its budget: `search.decide.decide.decide`.
        """
        from search.decide.decide import decide

        return decide(self, log)

    @property
    def stopped(self) -> Stopped | None:
        """How the study has ended before its budget, because nothing was left to gain (`until`); None if it has not."""
        from search.study.stopped import stopped

        return stopped(self)

    def trials(self) -> pd.DataFrame:
        """Return one row per trial: number, state, value, its hyperparameters, best and final metrics."""
        from search.study.frames import trials

        return trials(self)

    def curves(self) -> pd.DataFrame:
        """Return every trial's curves in long form: trial, replicate, epoch (from 1) and one column per metric."""
        from search.study.frames import curves

        return curves(self)

    def published(self) -> pd.DataFrame:
        """Return the published figures with this study's own: setting, metric, theirs, ours, sd, agrees."""
        from search.study.frames import published

        return published(self)

    def export(
        self,
        path: Path | str,
        trial: int | None = None,
        *,
        one_se: bool = False,
        ensemble: int | None = None,
        refit: bool = False,
        calibrate: bool = False,
        threshold: str | None = None,
    ) -> ExportedNetwork:
        """Train the network of a trial again and save it: `search.export.network.export`.

        Args:
            path: the file to write; its name ends in .safetensors or .onnx.
            trial: the number of the trial; by default the chosen one.
            one_se: whether to take the most strongly regularised trial within one standard error of the best.
            ensemble: the number of choices for an ensemble of the best trials' networks: `search.export.ensemble`.
            refit: whether to train on training and validation rows: `search.export.refit`.
            calibrate: whether to fit a temperature on the validation rows: `search.export.calibrate`.
            threshold: the metric for which to choose a threshold between two classes on the validation rows:
                `search.predict.threshold`.
        """
        from search.export.network import export
        from search.export.options import ExportOptions

        options = ExportOptions(Path(path), trial, one_se, ensemble, refit, calibrate, threshold=threshold)
        return export(self, options)

    def predictor(self, trial: int | None = None, *, one_se: bool = False, threshold: str | None = None) -> Predictor:
        """Train the network of a trial again, to predict new rows: `search.export.predictor.predictor`.

        Args:
            trial: the number of the trial; by default the chosen one.
            one_se: whether to take the most strongly regularised trial within one standard error of the best.
            threshold: the metric for which to choose a threshold between two classes: `search.predict.threshold`.
        """
        from search.export.predictor import predictor

        return predictor(self, trial, one_se=one_se, threshold=threshold)

    def predict(
        self,
        rows: Rows,
        trial: int | None = None,
        *,
        one_se: bool = False,
        interval: float | None = None,
        threshold: str | None = None,
    ) -> pd.DataFrame:
        """Train the network of a trial again and predict new rows: `search.predict.predictor.Predictor.predict`.

        Args:
            rows: a data frame or a path with the columns of the training data; for other data an array.
            trial: the number of the trial; by default the chosen one.
            one_se: whether to take the most strongly regularised trial within one standard error of the best.
            interval: the share of new rows whose truth the prediction intervals should hold; None for no intervals.
            threshold: the metric for which to choose a threshold between two classes: `search.predict.threshold`.
        """
        from search.predict import conformal, new_rows

        # Before a trial is trained again, everything that can be wrong with the rows is known.
        new = new_rows.read(rows, new_rows.Wanted.by_data(self.name, self.data))
        if interval is not None:
            conformal.rank(len(self.data.y_val), interval)
        return self.predictor(trial, one_se=one_se, threshold=threshold).predict(new, interval=interval)

    def report(self, folder: Path | str | None = None, *, training: bool | None = None) -> Report:
        """Write a page of figures with statements on them into a folder, report-NAME: `search.report.build.write`."""
        from search.report import build

        return build.write(self, folder, training=training)

    def replay(self, trial: int) -> Replay:
        """Train a finished trial again, alone, and compare every number with its record."""
        from search.replay.replay import replay

        return replay(self, trial)

    def ablate(
        self,
        trial: int | None = None,
        *,
        replicates: int | None = None,
        pairs: int = 3,
        values: Mapping[str, Value] | None = None,
    ) -> Ablation:
        """Find out which techniques mattered, by switching each one around a trial: `search.ablate.ablate`.

        Args:
            trial: the number of the trial; by default the chosen one.
            replicates: the number of fresh replicates of the trial and of each variant; by default 10.
            pairs: how many of the strongest techniques are switched in all combinations; 0 for none.
            values: hyperparameters at which techniques that the trial does not use are switched on.
        """
        from search.ablate.ablate import ablate

        return ablate(self, trial, replicates=replicates, pairs=pairs, values=values)

    def uncertainty(
        self, trial: int | None = None, *, passes: int = 100, activations: Sequence[str] = ()
    ) -> Uncertainty:
        """Measure how uncertain the predictions of a trial for validation rows are, by Monte Carlo dropout.

        Args:
            trial: the number of the trial; by default the chosen one.
            passes: the number of Monte Carlo passes.
            activations: the activations to train it with instead of its own.
        """
        from search.uncertainty.monte_carlo import measure

        return measure(self, trial, passes=passes, activations=activations)


def _say_nothing(line: str) -> None:
    del line


def load_study(
    study: str,
    *,
    study_name: str | None = None,
    dataset: str | None = None,
    storage: str = database.DEFAULT_STORAGE,
    **options: Any,
) -> Study:
    """Open a study from a storage for reading, with every change that it was run with, and without MLflow.

    Args:
        study: the study's own name, ``l2-digits``, or what it was made from: a recipe's name, a path, techniques
            joined by '+'.
        study_name: the study's name, if it is not the default (recipe and data set).
        dataset: the data set in the study's name, if not the recipe's; a path says where the data are now.
        storage: the URL of the Optuna database.
        options: other arguments of `Study` that say where it trains: device, data_dir, offline, techniques, metrics ...

    Raises:
        RequestError: there is no such study, or its data or techniques are not those that it was run with.
    """
    name, recipe = lookup.find(storage, study, study_name=study_name, dataset=dataset)
    opened = Study(recipe, study_name=name, storage=storage, tracking_uri=None, **options)
    try:
        _ = opened.optuna_study
    except Mismatch as mismatch:
        # The recipe is the stored one, so what differs comes from outside: the data or a technique.
        raise RequestError(
            f"{mismatch}: give the data, and the --technique and --metric files, that it was run with"
        ) from None
    return opened
