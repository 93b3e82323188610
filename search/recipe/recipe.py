"""The `Recipe`: the definition of a study, read from TOML.

A recipe is data only: nothing in it is executed. `Recipe.load` takes the name of a recipe in `studies/`, the path of a
TOML file, or several names joined by '+', whose techniques and spaces are united in the order written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from search.errors import RequestError, clip
from search.recipe import files
from search.recipe.constraints import parsed
from search.recipe.schema import (
    ALWAYS,
    MOST_POINTS,
    WATCHED,
    DataSet,
    Earlier,
    LossName,
    MetricName,
    PrecisionName,
    Pruner,
    Range,
    Real,
    Replicates,
    SamplerName,
    Scalar,
    Setting,
    Until,
    WatchName,
    Whole,
)
from search.storage.fields import Part
from search.train.metrics.objective import OF_WEIGHTS

# These samplers learn from finished trials, so with larger cohorts they need more trials (`benchmarks/asking.py`
# measures it). For other samplers a cohort is as large as makes packs faster.
_LEARNING, _LEARNING_BATCH = ("tpe", "gp", "cmaes"), 8
_GENERATION = 16


class Recipe(Part):
    """The definition of a study: its techniques, data, space, sampler, pruner and budget.

    Instead of searching a space, a study may compare explicit settings, each of which is one trial:

        [[settings]]
        name = "momentum 0.9"
        set = { momentum = 0.9 }
        published = { final_test_accuracy = 0.2551 }

    A hyperparameter that a setting leaves out has its value in ``[set]``, or its default. The settings are the cells of
    a grid, in the order written. By default they are one cohort and nothing is pruned.

    Beside a space, or a sampler other than grid, the settings are the first trials of a search (`settings_first`).
    """

    name: str = Field(min_length=1, max_length=120)
    title: str = ""
    techniques: tuple[str, ...] = ()
    objective: tuple[MetricName, ...] = Field(default=("val_loss",), description="if several, their Pareto front")
    metrics: tuple[MetricName, ...] = Field(default=(), description="metrics that are also measured each epoch")
    trials: Whole = Field(default=64, ge=1, description="the total budget")
    until: Until | None = Field(default=None, description="end below this share of the best value left to gain")
    ask_batch: Whole = Field(
        default=32, ge=1, description="the trials of a cohort; 8 if the sampler learns from them, 16 for nsgaii"
    )
    replicates: Replicates = Field(
        default="auto", description="the seeds of each trial; auto: one, and more for those that decide the winner"
    )
    tolerance: Real = Field(
        default=0.01, gt=0, lt=1, description="the share of the objective that does not matter (replicates auto)"
    )
    seed: Whole = Field(default=0, ge=0, lt=2**63)
    sampler: SamplerName = "tpe"
    grid_points: Whole = Field(
        default=16, ge=2, le=MOST_POINTS, description="how many values a grid takes from a range"
    )
    loss: LossName | None = None
    precision: PrecisionName = "fp32"
    pruner: Pruner = Pruner()
    data: DataSet = DataSet()
    set: Mapping[str, Scalar] = Field(default_factory=dict)
    space: Mapping[str, Range] = Field(default_factory=dict)
    one_of: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="groups of techniques, of which each trial uses one; none for no technique"
    )
    settings: tuple[Setting, ...] = ()
    earlier: tuple[Earlier, ...] = Field(default=(), description="what a search took from earlier studies")
    constraints: tuple[str, ...] = Field(
        default=(), description="what a trial must meet to be chosen, as in sparsity > 0.5"
    )
    watch: tuple[WatchName, ...] = Field(default=(), description="extra metrics of each epoch; test: of the test split")

    @model_validator(mode="before")
    @classmethod
    def _has_no_rows(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and "rows" in fields:
            raise ValueError("[[rows]] is now called [[settings]]: rename it")
        return fields

    @model_validator(mode="before")
    @classmethod
    def _constraints_are_conditions(cls, fields: Any) -> Any:
        texts = fields.get("constraints") if isinstance(fields, Mapping) else None
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            return fields  # not given, or of a type that is refused
        written = [str(one) for one in parsed(texts)]
        if twice := [text for text in written if written.count(text) > 1]:
            raise ValueError(f"the constraint {twice[0]} is given twice")
        return {**fields, "constraints": written}

    @field_validator("techniques", "watch", "objective", "metrics")
    @classmethod
    def _each_once(cls, names: tuple[str, ...], field: ValidationInfo) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"names a {'technique' if field.field_name == 'techniques' else 'metric'} twice")
        return names

    @field_validator("one_of")
    @classmethod
    def _groups_are_choices(cls, groups: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for group, names in groups.items():
            if len(set(names)) < max(2, len(names)):
                twice = len(set(names)) < len(names)
                what = "names a technique twice" if twice else "needs two choices, such as a technique and none"
                raise ValueError(f"{clip(group)} {what}, got {clip(', '.join(names)) or 'nothing'}")
        return groups

    @field_validator("objective")
    @classmethod
    def _begins_with_predictions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or names[0] in OF_WEIGHTS:
            # The first objective decides which epoch is the best, on which the other objectives are measured.
            raise ValueError("must begin with a metric of predictions, such as val_loss, which chooses the best epoch")
        return names

    @field_validator("metrics")
    @classmethod
    def _are_of_predictions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if always := [name for name in names if name in OF_WEIGHTS]:
            raise ValueError(f"need not name {always[0]}, which is measured in every study")
        return names

    @model_validator(mode="after")
    def _settings_are_a_grid(self) -> Recipe:
        if not self.settings:
            return self
        searches = bool(self.space) or "sampler" in self.model_fields_set
        if self.space and self.sampler == "grid":
            raise ValueError(
                f"settings and a grid of {next(iter(self.space))} cannot be combined: with another sampler, such as"
                " tpe, the settings are the first trials"
            )
        for number, setting in enumerate(self.settings, 1):
            for name in setting.published:
                metric = name.partition("_")[2]
                for watch, metrics in WATCHED.items():
                    if metric in metrics and watch not in self.watch:
                        raise ValueError(f"setting {number} publishes {name}, which needs watch = [{watch!r}]")
                if metric.startswith("val_") and metric not in (*ALWAYS, *self.objective, *self.metrics):
                    raise ValueError(f"setting {number} publishes {name}, which needs metrics = [{metric!r}]")
        if not searches or self.sampler == "grid":
            self._default(sampler="grid", ask_batch=len(self.settings), pruner=Pruner(name="none"))
        return self

    @property
    def settings_first(self) -> bool:
        """Whether the settings are the first trials of a search, and not the cells of a grid."""
        return bool(self.settings) and self.sampler != "grid"

    @property
    def setting_labels(self) -> list[str]:
        """The label of each setting in tables; "" for one in a search that has no name, whose values are shown."""
        return [one.name if self.settings_first else one.label for one in self.settings]

    @model_validator(mode="after")
    def _constraints_are_not_pruned(self) -> Recipe:
        if self.constraints:
            # A pruner judges by the objective alone, by which those that violate a constraint may be the best.
            self._default(pruner=Pruner(name="none"))
        return self

    @model_validator(mode="after")
    def _watches_what_there_is(self) -> Recipe:
        if "test" in self.watch and self.data.test == 0:
            raise ValueError("watch = ['test'] needs test rows, but test = 0 in [data] leaves none")
        return self

    @model_validator(mode="after")
    def _cohort_fits_the_sampler(self) -> Recipe:
        if self.sampler in _LEARNING:
            self._default(ask_batch=_LEARNING_BATCH)
        if self.sampler == "nsgaii":
            self._default(ask_batch=_GENERATION)
        return self

    @model_validator(mode="after")
    def _several_objectives(self) -> Recipe:
        # A stored recipe has all fields: a tolerance at its default need not have been given.
        tolerates = self.tolerance != type(self).model_fields["tolerance"].default
        if self.replicates != "auto" and tolerates:
            raise ValueError(f"tolerance needs replicates = 'auto', got replicates = {self.replicates}")
        if len(self.objective) > 1:
            if self.replicates == "auto" and (tolerates or "replicates" in self.model_fields_set):
                raise ValueError(
                    "replicates 'auto' looks for one best trial, but several objectives have a front: give a number of"
                    " replicates"
                )
            self._default(replicates=1)
            if self.sampler == "cmaes":
                raise ValueError(
                    "sampler cmaes takes one objective; tpe, nsgaii, gp, random, qmc and grid take several"
                )
            unpruned = self.constraints or (self.settings and not self.settings_first)
            self._default(pruner=Pruner(name="none" if unpruned else "pareto"))
            if self.pruner.name not in ("pareto", "none"):
                raise ValueError(f"pruner {self.pruner.name} ranks by one objective: use pareto or none with several")
        elif self.pruner.name == "pareto":
            raise ValueError("pruner pareto needs several objectives, as in --objective val_loss,sparsity")
        return self

    def _default(self, **values: object) -> None:
        """Fill in fields that were not given. This bypasses pydantic, so that the fields still count as not given."""
        self.__dict__.update({name: value for name, value in values.items() if name not in self.model_fields_set})

    @property
    def seeds(self) -> int:
        """The number of replicates with which the search trains each trial."""
        return 1 if self.replicates == "auto" else self.replicates

    @property
    def networks(self) -> int:
        """The number of networks of a trial: its replicates, each of them on every fold."""
        return self.seeds * max(1, self.data.folds) * self.data.repeats

    @property
    def described_networks(self) -> str:
        """What the networks of a trial are, such as ``5 folds x 2 replicates``; "" if it has only one."""
        counts = {"folds": self.data.folds, "repeats": self.data.repeats, "replicates": self.seeds}
        return " x ".join(f"{count} {name}" for name, count in counts.items() if count > 1)

    @classmethod
    def load(cls, study: str) -> Recipe:
        """Return the recipe with this name, at this path, or united from names joined by '+'.

        In a file at a path, the path of a data set is relative to the file's folder.

        Raises:
            RequestError: there is no such recipe, or a field is wrong; the message names field, value and rule.
            EnvironmentFault: a file cannot be read.
        """
        return cls.parse(*files.fields_of(study))

    def but(self, source: str, **changes: Any) -> Recipe:
        """Return this recipe with some fields changed.

        A change to a table is merged into it. A hyperparameter that is fixed leaves the space, and one that is given a
        range is no longer fixed. What is enqueued becomes further settings, which are the first trials of a search.

        Args:
            source: the name that an error message gives the changes.
            changes: the new values of fields; `enqueue` are values of hyperparameters, a mapping for each trial.

        Raises:
            RequestError: a hyperparameter is both fixed and given a range, is given by the study's settings, or the
                changed recipe is not valid.
        """
        fixed, ranges = (table if isinstance(table := changes.get(name), Mapping) else {} for name in ("set", "space"))
        if twice := {*fixed} & {*ranges}:
            raise RequestError(f"{source}: {min(twice)} is both fixed and given a range")
        if listed := {name for setting in self.settings for name in setting.set if name in fixed}:
            raise RequestError(f"{source}: {min(listed)} is given by the settings of this study: it cannot be fixed")
        if "enqueue" in changes:
            changes = self._enqueued(source, **changes)
        fields = self.model_dump(exclude_unset=True)
        for name, change in changes.items():
            fields[name] = {**fields.get(name, {}), **change} if isinstance(change, Mapping) else change
        for name in fixed:
            fields.get("space", {}).pop(name, None)
        for name in ranges:
            fields.get("set", {}).pop(name, None)
        return type(self).parse(fields, source)

    def _enqueued(self, source: str, *, enqueue: Sequence[Any] | Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """Return changes in which what is enqueued is appended to the settings, and the sampler is given."""
        sampler = changes.get("sampler", self.sampler)
        listed = [enqueue] if isinstance(enqueue, Mapping) else enqueue
        if sampler == "grid" and not self.settings:
            raise RequestError(
                f"{source}: enqueue takes a sampler that draws, such as tpe; a grid trains all of its cells anyway"
            )
        # A sampler that is given says that the study searches, and does not only compare its settings.
        return changes | {"settings": [*self.settings, *({"set": one} for one in listed)], "sampler": sampler}
