"""A study's definition: the TOML schema of `studies/`, its defaults and the errors it answers with.

A recipe is data only: nothing in it is executed. `Recipe.load` takes a name in `studies/`, a path to a TOML file, or
techniques joined by '+', whose spaces are then united in the order written.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, field_validator, model_validator

from search.errors import EnvironmentFault, RequestError, clip, nearest, unknown

SamplerName = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
PrunerName = Literal["halving", "hyperband", "median", "none"]
ScaleName = Literal["standard", "unit", "none"]
LossName = Literal["cross_entropy", "mse", "l1", "huber"]

MOST_POINTS = 100_000
_LONGEST_FILE = 2**20


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("takes a number, a word, true or false")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("takes numbers of at most 64 bits")
    return value


# Strict: true is not the number 1, nor "3" the number 3.
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# One validator, not a union's branches: the complaint is then about the value, not about its not being a boolean.
Scalar = Annotated[bool | int | float | str, PlainValidator(_scalar)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @classmethod
    def parse(cls, fields: Mapping[str, Any], source: str) -> Self:
        """One from plain data; `source` is what an error message calls it.

        Raises:
            RequestError: a field of it is wrong; the message names field, value and rule.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise RequestError(f"{source}: {_explain(error, cls)}") from None


class Range(_Part):
    """What a hyperparameter is searched over: `low` to `high` (`log` for a logarithmic scale), or `choices`."""

    low: Real | None = None
    high: Real | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    points: Whole | None = Field(default=None, ge=2, le=MOST_POINTS, description="how many of its values a grid takes")

    @model_validator(mode="after")
    def _whole(self) -> Range:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.points is not None:
                raise ValueError("takes either choices or low and high, not both")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"needs low < high, got {self.low:g}:{self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"needs low > 0 where it is log, got {self.low:g}:{self.high:g}:log")
        return self


class Pruner(_Part):
    """How the trials of a cohort are judged among their peers; see `search.choose.pruners`."""

    name: PrunerName = "halving"
    reduction_factor: Whole = Field(default=3, ge=2)
    min_epochs: Whole | None = Field(default=None, ge=1, description="the first rung; default: the pruner's own")
    interval: Whole = Field(default=10, ge=1, description="median: epochs between rungs")


class DataSet(_Part):
    """Which data, how scaled and how split."""

    dataset: str = "digits"
    scale: ScaleName = "standard"
    split: tuple[Real, Real, Real] = (0.6, 0.2, 0.2)
    seed: Whole = Field(default=0, ge=0, description="of the split, and of the rows of a synthetic task")
    options: Mapping[str, Any] = Field(default_factory=dict, description="of a synthetic task: n, sigma, range ...")


class Recipe(_Part):
    """A study: what is searched, on which data, by which sampler and pruner, for how many trials."""

    name: str = Field(min_length=1, max_length=120)
    title: str = ""
    techniques: tuple[str, ...] = ()
    trials: Whole = Field(default=64, ge=1, description="total budget")
    ask_batch: Whole = Field(default=16, ge=1, description="trials of one cohort")
    replicates: Whole = Field(default=1, ge=1, le=1000)
    seed: Whole = Field(default=0, ge=0, lt=2**63)
    sampler: SamplerName = "tpe"
    grid_points: Whole = Field(default=16, ge=2, le=MOST_POINTS, description="values of a range in a grid by default")
    loss: LossName | None = None
    precision: Literal["fp32"] = "fp32"
    pruner: Pruner = Pruner()
    data: DataSet = DataSet()
    set: Mapping[str, Scalar] = Field(default_factory=dict)
    space: Mapping[str, Range] = Field(default_factory=dict)

    @field_validator("techniques")
    @classmethod
    def _each_once(cls, techniques: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(techniques)) < len(techniques):
            raise ValueError("names a technique twice")
        return techniques

    @classmethod
    def load(cls, study: str) -> Recipe:
        """The recipe of that name, at that path, or of those techniques joined by '+'.

        Raises:
            RequestError: there is none such, or a field of it is wrong; the message names field, value and rule.
        """
        known = packaged()
        if study.endswith(".toml") or ("/" in study and os.path.isfile(study)):
            return cls._read(Path(study), known)
        if study in known:
            return cls.parse({"name": study} | _toml(known[study], f"studies/{study}.toml"), f"studies/{study}.toml")
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
        return cls.parse({"name": path.stem} | _toml(text, shown), shown)

    @classmethod
    def _unite(cls, parts: list[str], known: Mapping[str, str]) -> Recipe:
        united: dict[str, Any] = {"name": "+".join(parts), "techniques": [], "set": {}, "space": {}}
        for part in parts:
            if part not in known:
                raise unknown("study", part, known)
            one = _toml(known[part], f"studies/{part}.toml")
            for technique in one.get("techniques", ()):
                if technique in united["techniques"]:
                    raise RequestError(f"technique {technique!r} is named twice in {united['name']!r}")
                united["techniques"].append(technique)
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
        fields = self.model_dump(exclude_unset=True)
        for name, change in changes.items():
            fields[name] = {**fields.get(name, {}), **change} if isinstance(change, Mapping) else change
        for name in fixed:
            fields.get("space", {}).pop(name, None)
        for name in ranges:
            fields.get("set", {}).pop(name, None)
        return type(self).parse(fields, source)


def packaged() -> dict[str, str]:
    """The recipes of `studies/`: name to TOML text."""
    files = (entry for entry in resources.files("studies").iterdir() if entry.name.endswith(".toml"))
    return {entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8") for entry in files}


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    # A number of 5,000 digits is a plain ValueError.
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{source} is not TOML: {clip(str(error), 200)}") from None


_MODELS: Mapping[str, type[BaseModel]] = {"pruner": Pruner, "data": DataSet, "space": Range}
_KINDS = {"model_type": "takes a table", "dict_type": "takes a table", "tuple_type": "takes a list"}


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint in one line: the field as the TOML names it, its value and what is allowed."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    field = ".".join(map(clip, place))
    if first["type"] == "extra_forbidden":
        inner = _MODELS.get(place[0], model) if len(place) > 1 else model
        where = f"field of {'.'.join(map(clip, place[:-1]))}" if len(place) > 1 else "field"
        return str(unknown(where, place[-1], inner.model_fields))
    value = first["input"]
    if first["type"] == "literal_error" and isinstance(value, str):
        allowed = str(first["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return str(unknown(field, value, allowed))
    message = _KINDS.get(first["type"], first["msg"])
    if message.startswith("Value error, "):
        message = message.removeprefix("Value error, ")
    elif first["type"] not in _KINDS:
        field, message = f"{field}:", f"{message[0].lower()}{message[1:]}"
    message = f"{field} {message}".strip()
    # A rule over several fields says itself which values break it.
    return message if isinstance(value, Mapping) else f"{message}, got {clip(repr(value))}"
