"""A study below its facade: a recipe with its data, its Optuna study and its budget.

The `Study` that users hold adds to it how it is run and what can be asked about it (`search.api`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial

from search.choose import asking, extending, samplers
from search.choose.claims import claims
from search.data import Data, dataset_name
from search.errors import RequestError, clip
from search.recipe import Recipe, compose
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record import environment
from search.record.curves import RECIPE
from search.record.objectives import Objectives
from search.storage import away, database
from search.study import identity
from search.study.lookup import kept
from search.study.progress import EpochCount
from search.technique import Technique, Value
from search.train import losses, precision
from search.train.batches import Batches
from search.train.device import auto_width, choose_device
from search.train.program import Program

if TYPE_CHECKING:
    from search.workers.team import Worker

# Trials are reported by the progress bar; Optuna's line for each would tear it apart.
optuna.logging.set_verbosity(optuna.logging.WARNING)


class BaseStudy:
    """A recipe with its data and its Optuna study, opened at first use.

    Args:
        recipe: a name in `studies/`, a path to a .toml, techniques joined by '+', or a `Recipe`.
        dataset: overrides the recipe's data set: a name, or a path relative to the working directory; `data_dir` and
            `offline` are for those that torchvision fetches.
        target: the column of a table that is predicted.
        study_name: default recipe and data set, ``l2-digits``.
        storage: URL of the Optuna database, the truth about the study.
        tracking_uri: MLflow's, a view of it; None, or "none", for no MLflow.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        slots: the most slots that train as one network, or "auto"; changes the time a study takes, not its results.
        checkpoint: keep what is in training at each rung in `checkpoints/`, and go on from there after a crash.
        techniques: techniques from outside the package, or paths of files that define one.
        loaded: what `Study.data` is in another process that has loaded the recipe's data set; default: load it here.
        changes: other fields of the recipe, such as ``trials=32``, ``set={"lr": 0.01}``, ``sampler="grid"``.

    Raises:
        RequestError: something asked for is wrong. Nothing has been written then.
        EnvironmentFault: the machine does not do what the request needs.
    """

    def __init__(
        self,
        recipe: str | Recipe,
        *,
        dataset: str | Path | None = None,
        target: str | None = None,
        data_dir: Path | str = "data",
        offline: bool = False,
        study_name: str | None = None,
        storage: str = database.DEFAULT_STORAGE,
        tracking_uri: str | None = database.DEFAULT_TRACKING,
        device: str = "auto",
        slots: int | str = "auto",
        checkpoint: bool = False,
        techniques: Sequence[Technique | Path | str] = (),
        loaded: Data | None = None,
        **changes: Any,
    ) -> None:
        self.original = Recipe.load(recipe) if isinstance(recipe, str) else recipe
        given = {"dataset": None if dataset is None else str(dataset), "target": target}
        if data := {name: value for name, value in given.items() if value is not None}:
            changes["data"] = data | dict(changes.get("data", {}))
        self.recipe = self.original.but(self.original.name, **changes) if changes else self.original
        self.storage, self.tracking_uri = storage, None if tracking_uri == "none" else tracking_uri
        self.objectives = Objectives(self.recipe.objective)
        self.techniques = select(self.recipe.techniques, techniques)
        self.space = self.resolved = Space.resolve(self.recipe, self.techniques)
        self.device = choose_device(device)
        precision.validate_precision(self.recipe.precision, self.device)
        if slots != "auto" and (not isinstance(slots, int) or isinstance(slots, bool) or slots < 1):
            raise RequestError(f"slots takes a whole number >= 1 or auto, got {clip(repr(slots))}")
        self._slots = slots
        self.given: dict[str, Any] = {
            "device": device, "slots": slots, "checkpoint": checkpoint, "data_dir": str(data_dir), "offline": offline,
            "techniques": list(techniques),
        }  # fmt: skip
        self.data = loaded or compose.load_prepared_data(
            self.recipe, self.techniques, self.space, Path(data_dir), offline=offline
        )
        self.name = identity.checked_name(study_name or f"{self.recipe.name}-{dataset_name(self.recipe.data.dataset)}")
        self.loss = losses.named(self.recipe.loss, self.data)
        self._batches: Batches | None = None
        self._programs: dict[tuple[Any, ...], Program] = {}
        self._optuna: optuna.Study | None = None
        self.backend: optuna.storages.RDBStorage | None = None
        self.claims = claims(storage, self.name)
        self.trained = EpochCount()
        self.team: Sequence[Worker] = ()

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self.recipe.name} on {self.data.name}, {clip(database.shown(self.storage))}>"

    @property
    def batches(self) -> Batches:
        """The data on the device."""
        if self._batches is None:
            self._batches = Batches(self.data, self.device)
            self.data = self._batches.shared(self.data)
        return self._batches

    def program(self, values: Mapping[str, Value]) -> Program:
        """What the trials of these values' signature have in common; the same object for all of them."""
        structure, numeric = self.space.structure(values), tuple(self.space.numeric(values))
        signature = (*sorted(structure.items()), numeric)
        if signature not in self._programs:
            self._programs[signature] = Program.build(
                structure, numeric, self.techniques, self.batches, loss=self.loss,
                seed=self.recipe.seed, watch=self.recipe.watch, precision=self.recipe.precision,
            )  # fmt: skip
        return self._programs[signature]

    def numeric(self, values: Mapping[str, Value]) -> dict[str, float]:
        """The numeric hyperparameters among a trial's values that training uses."""
        return self.space.numeric(values)

    @property
    def optuna_study(self) -> optuna.Study:
        """The Optuna study, created in its storage at first use.

        Raises:
            EnvironmentFault: the storage cannot be used.
            RequestError: nothing is searched, or a study of this name is there already and is another study.
        """
        if self._optuna is None:
            samplers.check(self.recipe.sampler, self.space)
            database.validate_databases(self.storage, self.tracking_uri)
            with database.faults(self.storage), self.claims.turn():
                self.backend = database.connect(self.storage)
                study = optuna.create_study(
                    storage=self.backend, study_name=self.name, directions=self.objectives.directions,
                    load_if_exists=True,
                )  # fmt: skip
                identity.confirm(study, self.recipe, self.space, self.data, self.loss)
                if RECIPE not in study.user_attrs:
                    study.set_user_attr(RECIPE, kept(self.recipe))
            self.claims.release()  # a run makes its own connection: a report needs none
            self.space = extending.widened(self.resolved, extending.stored(study.user_attrs))
            self._optuna = study
        return self._optuna

    @property
    def is_open(self) -> bool:
        """Whether the Optuna study has been read or created by this object."""
        return self._optuna is not None

    def budget(self, trials: int | None = None) -> int:
        """The total number of trials: as asked, else the recipe's, else every cell of a grid; a grid has no more."""
        if trials is not None and trials < 1:
            raise RequestError(f"trials must be >= 1, got {trials}")
        if self.recipe.sampler == "grid":
            cells = asking.grid_size(self.space)
            trials = cells if trials is None else min(trials, cells)
        return max(self.recipe.trials if trials is None else trials, extending.total(self.space))

    @property
    def width(self) -> int:
        """The most slots of a pack on this device."""
        if isinstance(self._slots, int):
            return self._slots
        hidden, batch_sizes, optimisers = map(self.space.possible, ("hidden", "batch_size", "optimizer"))
        return auto_width(map(str, hidden), map(int, batch_sizes), map(str, optimisers), self.batches)

    def notes(self) -> list[str]:
        """What the user of this study should know before it runs, a line each."""
        return [*self.data.notes, *samplers.notes(self.recipe, self.space), *self.recipe.notes()]

    def environment(self) -> dict[str, str]:
        """Where this object trains: device, CPU, precision, data and versions, as its trials are recorded with."""
        noted = self.optuna_study.user_attrs[identity.IDENTITY]  # confirmed: large data is not read for it again
        return environment.describe(self.device, self.recipe.precision, noted["data"])

    def follow_extensions(self) -> None:
        """See the space as it has become, where its ranges have been widened; as it is where the storage is away."""
        with suppress(*away.FAULTS):
            self.space = extending.widened(self.resolved, extending.stored(self.optuna_study.user_attrs))

    @property
    def epochs_trained(self) -> int:
        """Epochs that this object has trained, over all slots."""
        return self.trained.epochs

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial of the lowest validation loss, None before there is one; it is on the front."""
        return next(iter(self.front), None)

    @property
    def front(self) -> list[FrozenTrial]:
        """The complete trials that no other dominates, by validation loss; of one objective the best alone."""
        return self.objectives.front(self.optuna_study.get_trials(deepcopy=False))
