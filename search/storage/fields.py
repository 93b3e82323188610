"""Validated tables of named fields, such as a recipe read from TOML. A wrong field becomes a one-line error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from search.errors import RequestError, clip, unknown

_KINDS = {"model_type": "takes a table", "dict_type": "takes a table", "tuple_type": "takes a list"}


class Part(BaseModel):
    """An immutable table that refuses undeclared fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @classmethod
    def parse(cls, fields: Mapping[str, Any], source: str) -> Self:
        """Build the table from plain data.

        Args:
            fields: the values of the fields, by name.
            source: the name that an error message gives the table.

        Raises:
            RequestError: a field is wrong; the message names the field, its value and the rule.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise RequestError(f"{source}: {_explain(error, cls)}") from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first error as one line: the field as TOML names it, its value and what is allowed."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    inner = _inner(model, place[0]) if place else None
    if len(place) > 1 and isinstance(first["loc"][1], int):
        if inner is not None:
            place[:2] = [f"{inner.__name__.lower()} {int(place[1]) + 1}"]
        elif len(place) == 2:
            place.pop()  # in a list of plain values, the value itself says which one is wrong
    inner = inner if inner and len(first["loc"]) > 1 else model
    field = ".".join(map(clip, place))
    if first["type"] == "extra_forbidden":
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
    # The message of a rule over several fields already holds their values.
    return message if isinstance(value, Mapping) else f"{message}, got {clip(repr(value))}"


def _inner(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the model of the tables that a field holds (one, a list or a dict of them), or None for plain values."""
    pending = [model.model_fields[name].annotation] if name in model.model_fields else []
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        pending += get_args(annotation)
    return None
