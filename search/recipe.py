"""A study's definition: the TOML schema of `studies/`, its defaults and the errors it answers with.

A recipe is data only: nothing in it is executed. `Recipe.load` takes a name in `studies/`, a path to a TOML file, or
techniques joined by '+', whose spaces are then united in the order written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from search.errors import EnvironmentFault, RequestError, unknown

SamplerName = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
PrunerName = Literal["halving", "hyperband", "median", "none"]
ScaleName = Literal["standard", "unit", "none"]
LossName = Literal["cross_entropy", "mse", "l1", "huber"]
Scalar = bool | int | float | str


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Range(_Part):
    """What a hyperparameter is searched over: `low` to `high` (`log` for a logarithmic scale), or `choices`."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    points: int | None = Field(default=None, ge=2, description="how many of its values a grid takes")

    @model_validator(mode="after")
    def _whole(self) -> Range:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.points is not None:
                raise ValueError("takes either choices or low and high, not both")
            if len(set(self.choices)) < len(self.choices):
                raise ValueError(f"has a choice twice: {list(self.choices)}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"needs low < high, got {self.low:g}:{self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range needs low > 0, got {self.low:g}:{self.high:g}:log")
        return self


class Pruner(_Part):
    """How the trials of a cohort are judged among their peers; see `search.choose.pruners`."""

    name: PrunerName = "halving"
    reduction_factor: int = Field(default=3, ge=2)
    min_epochs: int | None = Field(default=None, ge=1, description="the first rung; default: the pruner's own")
    interval: int = Field(default=10, ge=1, description="median: epochs between rungs")


class DataSet(_Part):
    """Which data, how scaled and how split."""

    dataset: str = "digits"
    scale: ScaleName = "standard"
    split: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = Field(default=0, ge=0, description="of the split, and of the rows of a synthetic task")
    options: Mapping[str, Any] = Field(default_factory=dict, description="of a synthetic task: n, sigma, range ...")


class Recipe(_Part):
    """A study: what is searched, on which data, by which sampler and pruner, for how many trials."""

    name: str = Field(min_length=1, max_length=120)
    title: str = ""
    techniques: tuple[str, ...] = ()
    trials: int = Field(default=64, ge=1, description="total budget")
    ask_batch: int = Field(default=16, ge=1, description="trials of one cohort")
    replicates: int = Field(default=1, ge=1, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    sampler: SamplerName = "tpe"
    grid_points: int = Field(default=16, ge=2, description="values of a range in a grid, if it has no points")
    loss: LossName | None = None
    precision: Literal["fp32"] = "fp32"
    pruner: Pruner = Pruner()
    data: DataSet = DataSet()
    set: Mapping[str, Scalar] = Field(default_factory=dict)
    space: Mapping[str, Range] = Field(default_factory=dict)

    @classmethod
    def load(cls, study: str) -> Recipe:
        """The recipe of that name, at that path, or of those techniques joined by '+'.

        Raises:
            RequestError: there is none such, or a field of it is wrong; the message names field, value and rule.
        """
        if study.endswith(".toml") or ("/" in study and Path(study).is_file()):
            return cls._read(Path(study))
        known = packaged()
        if study in known:
            return cls.parse({"name": study} | _toml(known[study], f"studies/{study}.toml"), f"studies/{study}.toml")
        parts = study.split("+")
        if len(parts) > 1:
            return cls._unite(parts, known)
        raise unknown("study", study, known)

    @classmethod
    def _read(cls, path: Path) -> Recipe:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RequestError(f"no recipe at {path}") from None
        except UnicodeDecodeError:
            raise RequestError(f"{path} is not a text file in UTF-8") from None
        except OSError as error:
            raise EnvironmentFault(f"cannot read {path}: {error.strerror}") from None
        return cls.parse({"name": path.stem} | _toml(text, str(path)), str(path))

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

    @classmethod
    def parse(cls, fields: Mapping[str, Any], source: str) -> Recipe:
        """A recipe from plain data; `source` is what an error message calls it."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise RequestError(f"{source}: {_explain(error)}") from None

    def but(self, source: str, **changes: Any) -> Recipe:
        """This recipe with some fields changed; a field that is a table is merged, and a name in `set` leaves `space`.

        Fixing a hyperparameter takes it out of the space and giving it a range takes it out of the fixed ones.
        """
        fields = self.model_dump(exclude_unset=True)
        for name, change in changes.items():
            fields[name] = {**fields.get(name, {}), **change} if isinstance(change, Mapping) else change
        for name in changes.get("set", {}):
            fields.get("space", {}).pop(name, None)
        for name in changes.get("space", {}):
            fields.get("set", {}).pop(name, None)
        return type(self).parse(fields, source)


def packaged() -> dict[str, str]:
    """The recipes of `studies/`: name to TOML text."""
    files = (entry for entry in resources.files("studies").iterdir() if entry.name.endswith(".toml"))
    return {entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8") for entry in files}


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{source} is not TOML: {error}") from None


_MODELS: Mapping[str, type[BaseModel]] = {"pruner": Pruner, "data": DataSet, "space": Range}


def _explain(error: ValidationError) -> str:
    """The first complaint in one line: the field as the TOML names it, its value and what is allowed."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if not str(part).startswith(("bool", "int", "float", "str"))]
    field = ".".join(place)
    if first["type"] == "extra_forbidden":
        model = _MODELS.get(place[0], Recipe) if len(place) > 1 else Recipe
        where = "field" if len(place) == 1 else f"field of {'.'.join(place[:-1])}"
        return str(unknown(where, place[-1], model.model_fields))
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    value = first["input"]
    if first["type"] == "literal_error" and isinstance(value, str):
        allowed = str(first["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return str(unknown(field, value, allowed))
    return f"{field} {message}" if first["type"] == "value_error" else f"{field}: {message}, got {value!r}"
