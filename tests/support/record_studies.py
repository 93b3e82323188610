"""Studies with known curves, and what MLflow must show of them, worked out without `search.tracking.plan`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from search.record import curves as record
from search.record.own import TICKET
from search.tracking.live import Live
from search.tracking.sync import StudySync

METRICS = ("train_loss", "val_loss", "val_accuracy", "sparsity", "weight_norm")
SPACE: dict[str, BaseDistribution] = {"l2": FloatDistribution(1e-6, 1.0, log=True)}


@dataclass
class Bench:
    """A study, its two stores, and its curves: trial number -> array ``metrics x replicates x epochs``."""

    folder: Path
    template: Path
    name: str = "l2-digits"
    planned: int = 60
    replicates: int = 3
    values: dict[int, np.ndarray] = field(default_factory=dict)
    times: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.storage = f"sqlite:///{self.folder}/optuna.db"
        self.uri = f"sqlite:///{self.folder}/mlflow.db"
        shutil.copy(self.template, self.folder / "mlflow.db")
        self.study = optuna.create_study(study_name=self.name, storage=self.storage)
        self.study.set_user_attr(record.RECIPE, {"seed": 7, "trials": 4, "model": {"hidden": [128, 64]}})
        self.study.set_user_attr(record.ENVIRONMENT, {"device": "cpu", "precision": "fp32"})
        self.rng = np.random.default_rng(0)

    def ask(self) -> optuna.Trial:
        trial = self.study.ask(SPACE)
        trial.set_user_attr(record.EPOCHS, self.planned)
        trial.set_user_attr(TICKET, trial.number)
        shape = (len(METRICS), self.replicates, self.planned)
        self.values[trial.number] = self.rng.random(shape, dtype=np.float32)
        self.times[trial.number] = 1_700_000_000_000 + 10_000 * trial.number + 37 * np.arange(1, self.planned + 1)
        return trial

    def tell(self, trial: optuna.Trial, state: TrialState, epochs: int | None = None) -> None:
        """Record the first `epochs` epochs of a trial and tell its state; a failed trial leaves no record."""
        number = trial.number
        self.values[number] = self.values[number][:, :, :epochs]
        if state != TrialState.FAIL:
            trial.set_user_attr(record.CURVES, record.Curves(METRICS, self.values[number]).encode())
            trial.set_user_attr(record.TIMES, record.encode_times(self.times[number][:epochs]))
            trial.set_user_attr(record.SUMMARY, {"best_val_loss": 0.25, "best_epoch": 3, "final_val_loss": 0.5})
        self.study.tell(trial, 0.25 + number if state == TrialState.COMPLETE else None, state=state)

    def sync(self, live: Live | None = None, *, ended: bool = True) -> StudySync:
        """Do in this process what a writer does: bring MLflow up to date once, or (`ended`) for the last time."""
        sync = StudySync(self.name, self.storage, self.uri, "regsearch")
        assert sync.go(live or Live(), ended=ended)
        return sync

    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def runs(self) -> dict[str, Run]:
        """Return every run of the experiment by its key, and assert that no two runs share a key."""
        client = self.client()
        experiment = client.get_experiment_by_name("regsearch")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        found = {run.data.tags["regsearch.key"]: run for run in runs}
        assert len(found) == len(runs), "two runs with one key"
        return found

    def run(self, number: int) -> Run:
        return self.runs()[f"{self.name}/{number}"]

    def history(self, number: int) -> dict[tuple[str, int], tuple[float, int]]:
        """Return MLflow's points, (key, step) -> (value, timestamp), and assert that none is there twice."""
        client, run = self.client(), self.run(number)
        points = [point for key in run.data.metrics for point in client.get_metric_history(run.info.run_id, key)]
        found = {(point.key, point.step): (point.value, point.timestamp) for point in points}
        assert len(found) == len(points), f"a (key, step) of trial {number} is there twice"
        return found

    def expected(self, number: int) -> dict[tuple[str, int], float]:
        """Return the points that MLflow must hold, (key, step) -> value.

        They are every epoch of the first four metrics, at most 25 epochs of the others, and the summary. The made-up
        summary's `best_val_loss` gives way to its curve.
        """
        values = self.values[number].astype(np.float64)
        reached = values.shape[2]
        thin = {int(epoch) for epoch in np.floor(np.linspace(1, self.planned, min(self.planned, 25)) + 0.5)}
        thin = {epoch for epoch in thin if epoch < reached} | {reached}
        series: dict[str, Any] = {name: values[place].mean(axis=0) for place, name in enumerate(METRICS)}
        series["generalization_gap"] = series["val_loss"] - series["train_loss"]
        series["best_val_loss"] = np.array([values[1, :, : e + 1].min(axis=1).mean() for e in range(reached)])
        if self.replicates > 1:
            series["val_loss_sd"] = values[1].std(axis=0, ddof=1)
        points: dict[tuple[str, int], float] = {}
        for name, curve in series.items():
            every = name in METRICS[:4]
            points |= {(name, e): curve[e - 1] for e in range(1, reached + 1) if every or e in thin}
        return points | {("best_epoch", 0): 3.0, ("final_val_loss", 0): 0.5}

    def assert_equal(self, number: int) -> None:
        """Assert that a trial's run holds exactly the expected points, each once."""
        found, expected = self.history(number), self.expected(number)
        assert found.keys() == expected.keys()
        keys = list(expected)
        np.testing.assert_allclose([found[key][0] for key in keys], [expected[key] for key in keys], rtol=1e-6)

    def lines(self, trial: optuna.Trial, epochs: range) -> list[dict[str, Any]]:
        """Return the live lines of a trial: that it has started, and these epochs."""
        number = trial.number
        params, start = trial.params, round(trial.datetime_start.timestamp() * 1000)  # type: ignore[union-attr]
        lines: list[dict[str, Any]] = [
            {"event": "started", "trial": number, "name": f"trial-{number}", "params": params}
            | {"epochs": self.planned, "start": start}
        ]
        for epoch in epochs:
            values = self.values[number]
            means = {"best_val_loss": [float(values[1, :, :epoch].min(axis=1).mean())]}
            means |= {name: [float(values[m, :, epoch - 1].mean())] for m, name in enumerate(METRICS)}
            time = int(self.times[number][epoch - 1])
            lines.append({"event": "epoch", "trials": [number], "epochs": [epoch], "time": time, "metrics": means})
        return lines

    def live(self, trial: optuna.Trial, epochs: range) -> Live:
        """Return the trials in training after the live lines of this one."""
        live = Live()
        for line in self.lines(trial, epochs):
            live.take(json.dumps(line).encode())
        return live
