"""The tensors of a model file: which networks it holds, and the name and shape of each tensor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

from search.train.model_parts import EDGES, QUANTILES, SCORES, EncodedInputs, Member, NonlinearInputs
from search.train.plain_network import linear_names, mapped


class Described(Protocol):
    """What tells the tensors of a file, out of its description (`search.train.model_meta.Meta`)."""

    @property
    def widths(self) -> tuple[int, ...]: ...

    @property
    def activation(self) -> str: ...

    @property
    def residual(self) -> tuple[int, ...]: ...

    @property
    def branches(self) -> tuple[int, ...]: ...

    @property
    def waves(self) -> int: ...

    @property
    def members(self) -> tuple[Member, ...]: ...

    @property
    def task(self) -> str: ...

    @property
    def nonlinear(self) -> NonlinearInputs | None: ...

    @property
    def encoded(self) -> EncodedInputs | None: ...

    @property
    def features(self) -> int: ...

    @property
    def scored_rows(self) -> int: ...


def shapes(meta: Described) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape of each tensor."""
    for prefix, one in parts(meta):
        for layer, (inputs, outputs) in enumerate(pairwise(one.widths)):
            for name in linear_names(layer, one.branches):
                yield f"{prefix}{name}.weight", (outputs, inputs)
                yield f"{prefix}{name}.bias", (outputs,)
        if one.waves:
            yield f"{prefix}0.frequency", (one.features * one.waves,)
            yield f"{prefix}0.phase", (one.features * one.waves,)
        for number in mapped(one.residual):
            yield f"{prefix}{2 * number - 1}.factor", (one.widths[number],)
            yield f"{prefix}{2 * number - 1}.shift", (one.widths[number],)
    scaled = {"inputs": meta.features}
    if meta.task == "regression":
        scaled["targets"] = meta.widths[-1]
    for name, width in scaled.items():
        yield f"{name}.shift", (width,)
        yield f"{name}.scale", (width,)
    if meta.nonlinear is not None and meta.nonlinear.quantiles:
        yield QUANTILES, (meta.nonlinear.quantiles, meta.features)
    if meta.encoded is not None:
        yield EDGES, (meta.features, meta.encoded.edges)
    if meta.scored_rows:
        yield SCORES, (meta.scored_rows, meta.widths[-1] if meta.task == "regression" else 1)


def parts(meta: Described) -> Iterator[tuple[str, Member]]:
    """Yield the start of the tensors' names, and the description of each network."""
    for number, member in enumerate(meta.members):
        yield f"members.{number}.", member
    if not meta.members:
        yield (
            "",
            Member(
                widths=meta.widths,
                activation=meta.activation,
                residual=meta.residual,
                branches=meta.branches,
                waves=meta.waves,
                count=1,
            ),
        )
