"""Tables of named fields that are read from files, such as a recipe, and one line for whatever is wrong in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from search.errors import RequestError, clip, unknown

_KINDS = {"model_type": "takes a table", "dict_type": "takes a table", "tuple_type": "takes a list"}


class Part(BaseModel):
    """A table that is immutable and refuses fields that nobody declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @classmethod
    def parse(cls, fields: Mapping[str, Any], source: str) -> Self:
        """Make one from plain data; `source` is what an error message calls it.

        Raises:
            RequestError: a field of it is wrong; the message names field, value and rule.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise RequestError(f"{source}: {_explain(error, cls)}") from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put the first complaint into one line: the field as the TOML names it, its value and what is allowed."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    inner = _inner(model, place[0]) if place else None
    if len(place) > 1 and isinstance(first["loc"][1], int):
        if inner is not None:
            place[:2] = [f"{inner.__name__.lower()} {int(place[1]) + 1}"]
        elif len(place) == 2:
            place.pop()  # in a list of names, the value says which one is wrong
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
    # A rule over several fields says itself which values break it.
    return message if isinstance(value, Mapping) else f"{message}, got {clip(repr(value))}"


def _inner(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The tables that a field holds, be it one, a list of them or a table of them; None for a field of plain values."""
    pending = [model.model_fields[name].annotation] if name in model.model_fields else []
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        pending += get_args(annotation)
    return None
