"""The scaling of raw rows as nodes of an ONNX graph: ``(rows - shift) / scale``, and the maps that follow.

An encoding takes the feature of each bin and then the same operations for all bins (`search.data.piecewise`).

ONNX has no operator for normal scores (`search.data.nonlinear`), so they take two steps, both in float64:

1. The place of a number among its feature's quantiles, by bisection of all features at once. Its share follows by
   linear interpolation.
2. The quantile function of the normal distribution by two quotients of polynomials, to 7 digits, with q = p - 1/2:
   ``q A(r) / B(r)`` with ``r = 0.425^2 - q^2`` if ``|q| <= 0.425``, and otherwise ``sign(q) C(r) / D(r)`` with
   ``r = sqrt(-log min(p, 1 - p)) - 1.6``.

Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (Applied Statistics 37, 1988),
PPND7 without its last case, which begins at p < 1.4e-11.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from search.data.nonlinear import CLIP, LARGEST, LEAST, Nonlinear, SmoothClip
from search.data.piecewise import PiecewiseLinear
from search.data.scaling import Scaling
from search.export.onnx_graph import Graph

_A = (3.3871327179, 50.434271938, 159.29113202, 59.10937472)
_B = (1.0, 17.895169469, 78.757757664, 67.1875636)
_C = (1.4234372777, 2.75681539, 1.3067284816, 0.17023821103)
_D = (1.0, 0.7370016425, 0.12021132975)


def scaled(graph: Graph, rows: str, inputs: Scaling) -> str:
    """Add the scaling of `rows`, the name of raw rows ``batch x features``, and return the name of the result."""
    x = graph.add("Sub", rows, graph.constant("inputs.shift", inputs.shift))
    x = graph.add("Div", x, graph.constant("inputs.scale", inputs.scale))
    if inputs.nonlinear is not None:
        x = _nonlinear(graph, x, inputs.nonlinear)
    return x if inputs.encoding is None else _encoded(graph, x, inputs.encoding)


def _encoded(graph: Graph, x: str, encoding: PiecewiseLinear) -> str:
    bins = encoding.bins
    x = graph.add("Gather", x, graph.constant("bins.source", bins.source), axis=1)
    for kind, name, value in (("Sub", "low", bins.low), ("Div", "width", bins.width), ("Max", "floor", bins.floor)):
        x = graph.add(kind, x, graph.constant(f"bins.{name}", value))
    return graph.add("Min", x, graph.constant("bins.ceiling", bins.ceiling))


def _nonlinear(graph: Graph, x: str, nonlinear: Nonlinear) -> str:
    if isinstance(nonlinear, SmoothClip):
        ends = [graph.constant(f"clip.{sign:+d}", np.float32(sign * LARGEST)) for sign in (-1, 1)]
        x = graph.add("Clip", x, *ends)
        part = graph.add("Div", x, graph.constant("clip.bound", np.float32(CLIP)))
        square = graph.add("Add", graph.add("Mul", part, part), graph.constant("clip.one", np.float32(1.0)))
        return graph.add("Div", x, graph.add("Sqrt", square))
    return _normal_scores(graph, x, nonlinear.quantiles)


def _normal_scores(graph: Graph, x: str, quantiles: Tensor) -> str:
    knots = quantiles.double().numpy().T  # features x quantiles
    low, high = (graph.constant(f"quantiles.{end}", knots[:, at].copy()) for end, at in (("first", 0), ("last", -1)))
    wide = graph.add("Cast", x, to=graph.double)
    within = graph.add("Max", graph.add("Min", wide, high), low)
    share = _share(graph, within, knots)
    ends = [graph.constant(f"share.{name}", np.float64(value)) for name, value in (("0", LEAST), ("1", 1 - LEAST))]
    share = graph.add("Max", graph.add("Min", share, ends[1]), ends[0])
    share = graph.add("Where", graph.add("GreaterOrEqual", wide, high), ends[1], share)
    share = graph.add("Where", graph.add("LessOrEqual", wide, low), ends[0], share)
    scores = graph.add("Cast", _normal_quantile(graph, share), to=graph.float)
    return graph.add("Where", graph.constant("quantiles.vary", knots[:, 0] < knots[:, -1]), scores, x)


def _share(graph: Graph, x: str, knots: NDArray[np.float64]) -> str:
    """Add the shares of float64 numbers, ``batch x features``, that lie between the first and the last quantile."""
    features, count = knots.shape
    steps = [2**power for power in reversed(range((count - 1).bit_length()))]
    # Filled up to a power of 2, so that no step of the bisection leaves the quantiles of its feature.
    filled = np.full((features, sum(steps) + 1), np.inf)
    filled[:, :count] = knots
    # Of equal quantiles, the share is the middle one of theirs; between two, it is interpolated.
    equal = np.stack([(np.searchsorted(one, one) + np.searchsorted(one, one, side="right") - 1) / 2 for one in knots])
    rise = np.diff(knots, axis=1)
    slope = np.divide(1, rise, out=np.zeros_like(rise), where=rise > 0)

    def table(name: str, values: NDArray[np.float64]) -> str:
        room = np.zeros_like(filled)
        room[:, : values.shape[1]] = values
        return graph.constant(name, room.ravel())

    knot = graph.constant("quantiles", filled.ravel())
    at = graph.constant("quantiles.begin", np.arange(features, dtype=np.int64) * filled.shape[1])
    for step in steps:
        further = graph.add("Add", at, graph.constant(f"quantiles.step.{step}", np.int64(step)))
        there = graph.add("LessOrEqual", graph.add("Gather", knot, further), x)
        at = graph.add("Where", there, further, at)
    below = graph.add("Gather", knot, at)
    number = graph.constant("quantiles.number", np.tile(np.arange(filled.shape[1], dtype=np.float64), features))
    rise_of_share = graph.add(
        "Mul", graph.add("Sub", x, below), graph.add("Gather", table("quantiles.slope", slope), at)
    )
    between = graph.add("Add", graph.add("Gather", number, at), rise_of_share)
    tied = graph.add("Gather", table("quantiles.equal", equal), at)
    place = graph.add("Where", graph.add("Equal", x, below), tied, between)
    return graph.add("Div", place, graph.constant("quantiles.intervals", np.float64(count - 1)))


def _normal_quantile(graph: Graph, p: str) -> str:
    """Add the quantile function of the normal distribution, of float64 shares between `LEAST` and 1 - `LEAST`."""

    def number(value: float) -> str:
        return graph.constant(f"number.{value:g}", np.float64(value))

    def polynomial(name: str, coefficients: tuple[float, ...], r: str) -> str:
        named = [graph.constant(f"normal.{name}{power}", np.float64(one)) for power, one in enumerate(coefficients)]
        result = named[-1]
        for one in reversed(named[:-1]):
            result = graph.add("Add", graph.add("Mul", result, r), one)
        return result

    q = graph.add("Sub", p, number(0.5))
    r = graph.add("Sub", number(0.180625), graph.add("Mul", q, q))
    middle = graph.add("Mul", q, graph.add("Div", polynomial("a", _A, r), polynomial("b", _B, r)))
    tail = graph.add("Min", p, graph.add("Sub", number(1.0), p))
    r = graph.add("Sub", graph.add("Sqrt", graph.add("Neg", graph.add("Log", tail))), number(1.6))
    size = graph.add("Div", polynomial("c", _C, r), polynomial("d", _D, r))
    outer = graph.add("Mul", graph.add("Sign", q), size)
    return graph.add("Where", graph.add("LessOrEqual", graph.add("Abs", q), number(0.425)), middle, outer)
