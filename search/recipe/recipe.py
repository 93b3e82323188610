"""A study's definition: the TOML schema of `studies/`, its defaults and the errors it answers with.

A recipe is data only: nothing in it is executed. `Recipe.load` takes a name in `studies/`, a path to a TOML file, or
techniques joined by '+', whose spaces are then united in the order written.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from search.errors import EnvironmentFault, RequestError, clip, nearest, unknown
from search.recipe.schema import (
    MOST_POINTS,
    WATCHED,
    DataSet,
    LossName,
    ObjectiveName,
    PrecisionName,
    Pruner,
    Range,
    Row,
    SamplerName,
    Scalar,
    WatchName,
    Whole,
)
from search.storage.fields import Part

_LONGEST_FILE = 2**20
# What these samplers ask depends on what they were told: of larger cohorts they need more trials. Measured by
# `benchmarks/asking.py`; the cohorts of others are as wide as packs gain from.
_LEARNING, _LEARNING_BATCH = ("tpe", "gp", "cmaes"), 8
_GENERATION = 16


class Recipe(Part):
    """A study: what is searched, on which data, by which sampler and pruner, for how many trials.

    Instead of a space to search, a study may list its settings, to compare them; each is one trial:

        [[rows]]
        name = "momentum 0.9"
        set = { momentum = 0.9 }
        published = { final_test_accuracy = 0.2551 }

    A hyperparameter that a row leaves out has its value in ``[set]``, or its default. The rows are the cells of a grid,
    in the order written; unless the recipe says otherwise they are one cohort, and nothing is pruned.
    """

    name: str = Field(min_length=1, max_length=120)
    title: str = ""
    techniques: tuple[str, ...] = ()
    objective: tuple[ObjectiveName, ...] = Field(default=("val_loss",), description="several: their Pareto front")
    trials: Whole = Field(default=64, ge=1, description="total budget")
    ask_batch: Whole = Field(
        default=32, ge=1, description="trials of one cohort; 8 where the sampler learns from them, 16 for nsgaii"
    )
    replicates: Whole = Field(default=1, ge=1, le=1000)
    seed: Whole = Field(default=0, ge=0, lt=2**63)
    sampler: SamplerName = "tpe"
    grid_points: Whole = Field(default=16, ge=2, le=MOST_POINTS, description="values of a range in a grid by default")
    loss: LossName | None = None
    precision: PrecisionName = "fp32"
    pruner: Pruner = Pruner()
    data: DataSet = DataSet()
    set: Mapping[str, Scalar] = Field(default_factory=dict)
    space: Mapping[str, Range] = Field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    watch: tuple[WatchName, ...] = Field(default=(), description="measured each epoch too; test: the test split")

    @field_validator("techniques", "watch", "objective")
    @classmethod
    def _each_once(cls, names: tuple[str, ...], field: ValidationInfo) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"names a {'technique' if field.field_name == 'techniques' else 'metric'} twice")
        return names

    @field_validator("objective")
    @classmethod
    def _begins_with_the_loss(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names[:1] != ("val_loss",):
            # It decides which epoch's weights are kept, and so what all the others are measured on.
            raise ValueError("begins with val_loss")
        return names

    @model_validator(mode="after")
    def _rows_are_a_grid(self) -> Recipe:
        if not self.rows:
            return self
        if self.space:
            raise ValueError(f"rows and a space do not mix: {next(iter(self.space))} is given a range")
        if "sampler" in self.model_fields_set and self.sampler != "grid":
            raise ValueError(f"rows take sampler grid, got sampler {self.sampler!r}")
        for number, row in enumerate(self.rows, 1):
            for watch, metrics in WATCHED.items():
                for name in row.published:
                    if name.partition("_")[2] in metrics and watch not in self.watch:
                        raise ValueError(f"row {number} publishes {name}, which takes watch = [{watch!r}]")
        self._default(sampler="grid", ask_batch=len(self.rows), pruner=Pruner(name="none"))
        return self

    @model_validator(mode="after")
    def _who_learns_asks_little_at_a_time(self) -> Recipe:
        if self.sampler in _LEARNING:
            self._default(ask_batch=_LEARNING_BATCH)
        if self.sampler == "nsgaii":
            self._default(ask_batch=_GENERATION)
        return self

    @model_validator(mode="after")
    def _several_objectives(self) -> Recipe:
        if len(self.objective) > 1:
            if self.sampler == "cmaes":
                raise ValueError(
                    "sampler cmaes takes one objective; tpe, nsgaii, gp, random, qmc and grid take several"
                )
            self._default(pruner=Pruner(name="none" if self.rows else "pareto"))
            if self.pruner.name not in ("pareto", "none"):
                raise ValueError(f"pruner {self.pruner.name} ranks by one objective: several take pareto or none")
        elif self.pruner.name == "pareto":
            raise ValueError("pruner pareto takes several objectives, as in --objective val_loss,sparsity")
        return self

    def _default(self, **values: object) -> None:
        """Values of fields that were not given; written past pydantic, so that they stay out of those that were."""
        self.__dict__.update({name: value for name, value in values.items() if name not in self.model_fields_set})

    def notes(self) -> list[str]:
        """Where rows that choose are rows that test, a line each."""
        found = []
        if "test" in self.watch:
            found.append("the test split is measured every epoch: what is chosen by it has no unseen rows left")
        if self.data.validation == "test":
            found.append("validation and test are the same rows: the best epoch is chosen by what it is tested on")
        return found

    @classmethod
    def load(cls, study: str) -> Recipe:
        """The recipe of that name, at that path, or of those techniques joined by '+'.

        In a file at a path, a data set's path is relative to the file's folder.

        Raises:
            RequestError: there is none such, or a field of it is wrong; the message names field, value and rule.
        """
        known = packaged()
        if study in known:
            return cls.parse({"name": study} | _toml(known[study], f"studies/{study}.toml"), f"studies/{study}.toml")
        if study.endswith(".toml") or ("/" in study and os.path.isfile(study)):
            return cls._read(Path(study), known)
        parts = study.split("+")
        if len(parts) > 1:
            return cls._unite(parts, known)
        raise unknown("study", study, known)

    @classmethod
    def _read(cls, path: Path, known: Mapping[str, str]) -> Recipe:
        shown = clip(str(path), 200)
        # Unlike `Path.is_file`, this is false, not an error, for a name that no file system allows. A pipe or a device
        # might never come to an end.
        if not os.path.isfile(path):
            if os.path.isdir(path):
                raise RequestError(f"recipe {shown!r} is a folder: name a .toml file in it")
            beside = [str(other) for other in path.parent.glob("*.toml")] if os.path.isdir(path.parent) else []
            hint = nearest(str(path), beside) or nearest(path.stem, known)
            raise RequestError(f"there is no recipe file {shown!r}{hint}")
        try:
            with path.open("rb") as file:
                content = file.read(_LONGEST_FILE + 1)
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RequestError(f"recipe {shown!r} is not a text file in UTF-8") from None
        except OSError as error:
            raise EnvironmentFault(f"cannot read recipe {shown!r}: {error.strerror}") from None
        if len(content) > _LONGEST_FILE:
            raise RequestError(f"recipe {shown!r} is longer than {_LONGEST_FILE:,} bytes: is it a recipe?")
        fields = {"name": path.stem} | _toml(text, shown)
        data = fields.get("data")
        if isinstance(data, dict) and isinstance(data.get("dataset"), str):
            from search.data import located

            # Here, not at the top: it imports torch.
            fields["data"] = data | {"dataset": located(data["dataset"], path.parent)}
        return cls.parse(fields, shown)

    @classmethod
    def _unite(cls, parts: list[str], known: Mapping[str, str]) -> Recipe:
        united: dict[str, Any] = {"name": "+".join(parts), "techniques": [], "set": {}, "space": {}}
        for part in parts:
            if part not in known:
                raise unknown("study", part, known)
            one = _toml(known[part], f"studies/{part}.toml")
            if "rows" in one:
                raise RequestError(
                    f"{united['name']}: study {part!r} lists its settings, so it cannot be joined by '+'"
                )
            if parts.count(part) > 1:
                raise RequestError(f"study {part!r} is named twice in {united['name']!r}")
            united["techniques"] = [*dict.fromkeys([*united["techniques"], *one.get("techniques", ())])]
            for table in ("set", "space"):
                for name, value in one.get(table, {}).items():
                    if united[table].setdefault(name, value) != value:
                        raise RequestError(f"{united['name']}: two of its studies give {table}.{name} different values")
        return cls.parse(united, united["name"])

    def but(self, source: str, **changes: Any) -> Recipe:
        """This recipe with some fields changed; a field that is a table is merged, and a name in `set` leaves `space`.

        Fixing a hyperparameter takes it out of the space and giving it a range takes it out of the fixed ones.
        """
        fixed, ranges = (table if isinstance(table := changes.get(name), Mapping) else {} for name in ("set", "space"))
        if twice := {*fixed} & {*ranges}:
            raise RequestError(f"{source}: {min(twice)} is both fixed and given a range")
        if listed := {name for row in self.rows for name in row.set if name in fixed}:
            raise RequestError(f"{source}: {min(listed)} is what the rows of this study set: it cannot be fixed")
        fields = self.model_dump(exclude_unset=True)
        for name, change in changes.items():
            fields[name] = {**fields.get(name, {}), **change} if isinstance(change, Mapping) else change
        for name in fixed:
            fields.get("space", {}).pop(name, None)
        for name in ranges:
            fields.get("set", {}).pop(name, None)
        return type(self).parse(fields, source)


def packaged() -> dict[str, str]:
    """The recipes of `studies/`, subfolders too: name (``l2``, ``notebooks/mnist-momentum``) to TOML text."""
    return dict(_recipes(resources.files("studies"), ""))


def _recipes(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _recipes(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name.removesuffix(".toml"), entry.read_text(encoding="utf-8")


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    # A number of 5,000 digits is a plain ValueError.
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{source} is not TOML: {clip(str(error), 200)}") from None
