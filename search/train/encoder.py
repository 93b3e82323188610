"""What encodes the inputs of a program, by the `edges` hook of a technique (`search.data.piecewise`).

A fold's edges are those of its own training rows. A feature has as many bins in every fold, so that all replicates of a
trial have one network: as many as the fold where it has fewest; in others some edges are left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from search.data import Data, PiecewiseLinear
from search.errors import RequestError
from search.technique import Structural, Technique, Value
from search.technique.guarded import place_of
from search.train.batches import Batches

D = TypeVar("D", Data, Batches)


class Encoder:
    """Encodes data in any fold, by the edges of a technique; the data that it has encoded are kept.

    Args:
        technique: the technique, which has the hook.
        structure: the value of every structural hyperparameter.
        folds: the data of each fold, in the scale of the program.

    Raises:
        RequestError: the hook returns something else than increasing edges of each feature.
    """

    def __init__(self, technique: Technique, structure: Mapping[str, Value], folds: Sequence[Batches]) -> None:
        self._technique, self._structure = technique, structure
        found = [self._edges(fold) for fold in folds]
        self._bins = [min(map(len, each)) - 1 for each in zip(*found, strict=True)]
        self._encodings: WeakKeyDictionary[Data | Batches, PiecewiseLinear] = WeakKeyDictionary()
        for fold, edges in zip(folds, found, strict=True):
            self._encodings[fold] = self._encoding(edges)
        self.width = self._encodings[folds[0]].width
        self._encoded: WeakKeyDictionary[Data | Batches, Data | Batches] = WeakKeyDictionary()

    def __call__(self, data: D) -> D:
        """Return the data of a fold, in the scale of the program, with encoded inputs; as they are if they have them.

        The same data are encoded once.
        """
        if data.encoding is not None:
            return data
        known = self._encoded.get(data)
        if known is None:
            encoding = self._encodings.get(data)
            known = data.encoded(self._encoding(self._edges(data)) if encoding is None else encoding)
            self._encoded[data] = known
        assert isinstance(known, type(data))
        return known

    def _edges(self, data: Data | Batches) -> list[Tensor]:
        """Return the edges of each feature in the training rows, ``(edges,)`` float32."""
        hook = self._technique.edges
        assert hook is not None
        x = data.x_train[:, : data.features].float().cpu()
        edges = list(hook(x, self._structure))
        if (said := _fault(edges, x.shape[1])) is not None:
            raise RequestError(f"{place_of(hook, self._technique)}: hook 'edges' {said}")
        return edges

    def _encoding(self, edges: Sequence[Tensor]) -> PiecewiseLinear:
        return PiecewiseLinear.of([_thinned(one, bins) for one, bins in zip(edges, self._bins, strict=True)])


_known: WeakKeyDictionary[Batches, dict[Hashable, Encoder]] = WeakKeyDictionary()


def encoder_of(
    techniques: Sequence[Technique], structure: Mapping[str, Value], batches: Batches, folds: Sequence[Batches]
) -> Encoder | None:
    """Return the encoder of these techniques, one object for all programs with the same edges; None if none has edges.

    Args:
        techniques: the active techniques.
        structure: the value of every structural hyperparameter.
        batches: the data on the device, in the scale of the program; None is returned if they are encoded already.
        folds: the same of each fold.
    """
    found = next((technique for technique in techniques if technique.edges is not None), None)
    if found is None or batches.encoding is not None:
        return None
    own = (name for name, declared in found.hyperparameters.items() if isinstance(declared, Structural))
    key = found.edges, *((name, structure[name]) for name in own if name in structure)
    encoders = _known.setdefault(batches, {})
    if key not in encoders:
        encoders[key] = Encoder(found, structure, folds)
    return encoders[key]


def _thinned(edges: Tensor, bins: int) -> Tensor:
    """Return the edges of so many bins out of these, the first and the last among them."""
    last = len(edges) - 1
    return edges[[place * last // bins for place in range(bins + 1)]] if 0 < bins < last else edges[: bins + 1]


def _fault(edges: Sequence[object], features: int) -> str | None:
    """Return what is wrong with the result of the hook, or None."""
    if len(edges) != features:
        return f"returns edges of {len(edges)} features, where those of each of the {features} are right"
    for number, one in enumerate(edges):
        if not isinstance(one, Tensor) or one.ndim != 1 or one.dtype != torch.float32 or len(one) == 0:
            found = f"{tuple(one.shape)} {one.dtype}" if isinstance(one, Tensor) else type(one).__name__
            return f"returns {found} for feature {number}, where a float32 tensor (edges,) is right"
        if not bool(one.isfinite().all()) or bool((one.diff() <= 0).any()):
            return f"returns edges of feature {number} that are not finite or do not increase: leave out equal ones"
    return None
