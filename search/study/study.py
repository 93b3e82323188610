"""The study below its facade: a recipe with its data, its Optuna study and its budget.

The `Study` that users hold (`search.api`) adds how to run it and what can be asked about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.trial import FrozenTrial

from search.choose import prior, pruners, samplers
from search.choose.claims import claims
from search.choose.extending.extended import Extended
from search.data import Data, dataset_name
from search.errors import RequestError, clip
from search.recipe import Recipe, compose
from search.recipe import metrics as own_metrics
from search.recipe.cautions import cautions
from search.recipe.discovery import select
from search.recipe.known import known_notes
from search.recipe.space import Space
from search.record import environment
from search.record.curves import ENVIRONMENT
from search.record.extensions import Extension
from search.record.objectives import Objectives
from search.record.own import own_trials
from search.storage import away, database, tracking
from search.study import arguments, begun, identity
from search.study.advice import few_validation_rows, idle_scale
from search.study.earlier import begin_from
from search.study.opened import About, opened
from search.study.progress import EpochCount
from search.study.width import largest_slot
from search.technique import Technique, Value
from search.train import losses, precision
from search.train.batches import Batches
from search.train.crew import one_thread
from search.train.device import auto_width, choose_device
from search.train.metrics.metric import Metric
from search.train.program import Program

if TYPE_CHECKING:
    from search.workers.team import Worker

T = TypeVar("T")

# The progress bar reports trials; a line of Optuna's for each would break it up.
optuna.logging.set_verbosity(optuna.logging.WARNING)


class BaseStudy:
    """A recipe with its data and its Optuna study, which is opened at first use.

    Args:
        recipe: a name in `studies/`, a path to a .toml file, techniques joined by '+', or a `Recipe`.
        dataset: a data set that replaces the recipe's: a name, or a path relative to the working directory.
        target: the column of a table to predict, or a list of columns.
        data: the data set itself: a data frame (with `target`), or a pair (x, y) of arrays, tensors or frames; see
            `search.data.memory`. A mapping is the recipe's table ``[data]``.
        data_dir: the folder of the data sets that torchvision downloads.
        offline: whether to download nothing.
        study_name: the name of the study; by default recipe and data set, ``l2-digits``.
        storage: the URL of the Optuna database, which holds the truth about the study.
        tracking_uri: MLflow's tracking URI, under which a view of the study is kept; None or "none" for no MLflow. By
            default it is MLflow's own, MLFLOW_TRACKING_URI, or else a file ``mlflow.db``.
        experiment: MLflow's experiment for the runs; by default MLFLOW_EXPERIMENT_NAME, or else ``regsearch``.
        device: "auto" (CUDA if it is available), "cpu", "cuda", or one of several GPUs, such as "cuda:1".
        slots: the largest number of slots that train together, or "auto". It changes the time that a study
            takes, not its results.
        checkpoint: whether to save the trials in training at each rung in `checkpoints/`, to continue there after a
            crash.
        techniques: techniques from outside the package, or paths of files that define one.
        metrics: metrics that are also measured each epoch: names, metrics of your own, or paths of files that define
            one. An objective of your own is given here too.
        from_studies: earlier studies in the same storage, by name, or by what they were made from. The search begins
            with their best settings, and TPE draws its first trials by theirs (`search.study.earlier`).
        loaded: the data of the study, if another process has loaded them; by default they are loaded here.
        changes: other fields of the recipe, such as ``trials=32``, ``set={"lr": 0.01}``, ``enqueue=[{...}]``, or of its
            table ``[data]``, such as ``folds=5``, ``test=0.1``, ``group="city"``, ``options={"drop": ["id"]}``. With
            `data`, `val` and `test` may be data in memory too.

    Raises:
        RequestError: the request is wrong. Then nothing has been written.
        EnvironmentFault: the machine can't do what is requested.
    """

    @one_thread()
    def __init__(
        self,
        recipe: str | Recipe,
        *,
        dataset: str | Path | None = None,
        target: str | int | Sequence[str] | None = None,
        data: Any = None,
        data_dir: Path | str = "data",
        offline: bool = False,
        study_name: str | None = None,
        storage: str = database.DEFAULT_STORAGE,
        tracking_uri: str | None = tracking.AUTO,
        experiment: str | None = None,
        device: str = "auto",
        slots: int | str = "auto",
        checkpoint: bool = False,
        techniques: Sequence[Technique | Path | str] = (),
        metrics: Sequence[Metric | Path | str] = (),
        from_studies: str | Sequence[str] = (),
        loaded: Data | None = None,
        **changes: Any,
    ) -> None:
        self.original = Recipe.load(recipe) if isinstance(recipe, str) else recipe
        self.recipe, self.memory = arguments.changed(self.original, dataset, target, data, changes)
        # All paths are resolved now, because the working directory may be another one when the study runs.
        self.storage, self.tracking_uri = database.absolute(storage), tracking.resolved_uri(tracking_uri)
        self.experiment, self._tracking_notes = tracking.resolved_experiment(experiment), tracking.note(tracking_uri)
        self.folder = Path.cwd()
        self.chosen = chosen = own_metrics.choose(self.recipe, metrics)
        self.recipe, self.metrics = chosen.recipe, chosen.measured
        self.objectives = Objectives.of_recipe(self.recipe, chosen.objectives)
        self.techniques = select(self.recipe.techniques, techniques)
        self.name = identity.checked_name(study_name or f"{self.recipe.name}-{dataset_name(self.recipe.data.dataset)}")
        self._from_notes: list[str] = []
        if words := [from_studies] if isinstance(from_studies, str) else [*from_studies]:
            self.recipe, self._from_notes = begin_from(self.recipe, self.techniques, words, self.storage, self.name)
        self.extended = Extended(self.recipe, Space.resolve(self.recipe, self.techniques), aim=self.objectives.first)
        prior.validate_earlier(self.recipe, self.extended.base)
        pruners.build(self.recipe.pruner, self.extended.base.longest(), objectives=self.objectives)
        self.device = choose_device(device)
        precision.validate_precision(self.recipe.precision, self.device)
        if slots != "auto" and (not isinstance(slots, int) or isinstance(slots, bool) or slots < 1):
            raise RequestError(f"slots takes a whole number >= 1 or auto, got {clip(repr(slots))}")
        self._slots = slots
        self.given: dict[str, Any] = {
            "device": device,
            "slots": slots,
            "checkpoint": checkpoint,
            "data_dir": str(Path(data_dir).absolute()),
            "offline": offline,
            "techniques": [_absolute(one) for one in techniques],
            "metrics": [_absolute(one) for one in metrics if not isinstance(one, str) or one.endswith(".py")],
        }
        self.data = loaded or compose.load_prepared_data(
            self.recipe, self.techniques, self.space, Path(data_dir), offline=offline, given=self.memory
        )
        self.loss = losses.named(self.recipe.loss, self.data)
        self._batches: Batches | None = None
        self._metric_notes = own_metrics.validate(chosen, self.data, self.batches) if self.metrics else []
        self._programs: dict[tuple[Any, ...], Program] = {}
        self._slot_bytes: int | None = None
        self._optuna: optuna.Study | None = None
        self.backend: optuna.storages.RDBStorage | None = None
        self.claims = claims(storage, self.name)
        self.trained = EpochCount()
        self.team: Sequence[Worker] = ()

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self.recipe.name} on {self.data.name}, {clip(database.shown(self.storage))}>"

    @property
    def space(self) -> Space:
        """The space as it is now, with every range that `--extend` has widened."""
        return self.extended.space

    @property
    def batches(self) -> Batches:
        """The data on the device."""
        if self._batches is None:
            self._batches = Batches(self.data, self.device)
            self.data = self._batches.shared(self.data)
        return self._batches

    def program(self, values: Mapping[str, Value]) -> Program:
        """Return the program of trials with these values: one object for all trials of a signature."""
        structure, numeric = self.space.structure(values), tuple(self.space.numeric(values))
        signature = (*sorted(structure.items()), numeric)
        if signature not in self._programs:
            self._programs[signature] = Program.build(
                structure,
                numeric,
                self.techniques,
                self.batches,
                loss=self.loss,
                seed=self.recipe.seed,
                watch=self.recipe.watch,
                precision=self.recipe.precision,
                metrics=self.metrics,
                objective=self.objectives.first,
            )
        return self._programs[signature]

    def numeric(self, values: Mapping[str, Value]) -> dict[str, float]:
        """Return the numeric hyperparameters of a trial that its training uses."""
        return self.space.numeric(values)

    @property
    def optuna_study(self) -> optuna.Study:
        """The Optuna study; it is opened, or created in its storage, at first use.

        Raises:
            EnvironmentFault: the storage can't be used.
            RequestError: nothing is searched, or the storage has another study of this name.
        """
        if self._optuna is None:
            samplers.validate_sampler(self.recipe.sampler, self.space)
            database.validate_databases(self.storage, self.tracking_uri)
            with database.faults(self.storage), self.claims.turn():
                self.backend = database.connect(self.storage)
                about = About(self.recipe, self.space, self.data, self.objectives, self.loss, self.folder)
                study = opened(self.name, about, self.backend)
            self.claims.release()  # a run opens its own connection, and a report needs none
            self.extended = self.extended_in(study)
            self._optuna = study
        return self._optuna

    @property
    def is_open(self) -> bool:
        """Whether the Optuna study has been read or created by this object."""
        return self._optuna is not None

    def budget(self, trials: int | None = None) -> int:
        """Return the total number of trials.

        Args:
            trials: the number that is asked for; by default the recipe's, or all cells of a grid. A grid has no more
                trials than cells.
        """
        if trials is not None and trials < 1:
            raise RequestError(f"trials must be >= 1, got {trials}")
        if self.recipe.sampler == "grid":
            cells = samplers.grid_size(self.space)
            trials = cells if trials is None else min(trials, cells)
        return max(self.recipe.trials if trials is None else trials, self.extended.budget)

    @property
    def width(self) -> int:
        """The largest number of slots in a pack on this device."""
        if isinstance(self._slots, int):
            return self._slots
        if self._slot_bytes is None:
            self._slot_bytes = largest_slot(self.space, self.program, self.batches)
        return auto_width(self._slot_bytes, self.device)

    def notes(self) -> list[str]:
        """Return what the user should know before the study runs, a line each."""
        advice = [*few_validation_rows(self.data, self.recipe.data), *idle_scale(self.space, self.recipe.data)]
        notes = [*self.data.notes, *advice, *samplers.notes(self.recipe, self.space), *cautions(self.recipe)]
        notes += [*begun.notes(self.recipe), *self._from_notes, *known_notes(self.recipe, self.space.first)]
        notes += [*self._metric_notes, *self._tracking_notes]
        if self._optuna is not None and ENVIRONMENT in self._optuna.user_attrs:
            there = self._optuna.user_attrs[ENVIRONMENT]
            notes += environment.changed_metrics(there, self.environment())
        return notes

    def environment(self) -> dict[str, str]:
        """Return the environment that is recorded with trials: device, CPU, precision, data and versions."""
        noted = self.optuna_study.user_attrs[identity.IDENTITY]  # compared at opening: no need to read large data again
        return environment.describe(self.device, self.recipe.precision, noted["data"], self.chosen.digests)

    def extended_in(self, stored: optuna.Study) -> Extended:
        """Return the space and the budget of this study as the storage has them now."""
        return self.extended.read(stored.user_attrs)

    def follow_extensions(self) -> Sequence[Extension]:
        """Read the extensions from the storage again, unless it is away, and return them."""
        with suppress(*away.FAULTS):
            self.extended = self.extended_in(self.optuna_study)
        return self.extended.extensions

    @property
    def epochs_trained(self) -> int:
        """The number of epochs that this object has trained, over all slots."""
        return self.trained.epochs

    @property
    def best(self) -> FrozenTrial | None:
        """The feasible trial with the best first objective, by default validation loss; None before there is one."""
        return next(iter(self.front), None)

    @property
    def front(self) -> list[FrozenTrial]:
        """The feasible trials that no other dominates, by the first objective; for one, the best trial alone."""
        return self.objectives.front(own_trials(self.optuna_study))


def _absolute(given: T) -> T | Path:
    """Return the path of a file as an absolute one, and anything else unchanged."""
    return Path(given).absolute() if isinstance(given, str | Path) else given
