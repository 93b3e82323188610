"""The memory of a study's largest slot, from which `--slots auto` follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from search.recipe.space import Space
from search.technique import Value
from search.technique.layout import Layout, padded
from search.train.batches import Batches
from search.train.device import moments
from search.train.footprint import estimated_slot_bytes, slot_bytes
from search.train.optimisers import OPTIMISERS
from search.train.program import Program, hidden_widths
from search.train.room import HOST

_NO_ROOM = 2**62


def largest_slot(space: Space, program: Callable[[Mapping[str, Value]], Program], batches: Batches) -> int:
    """Return the bytes of a study's largest slot in training; more than any device has if a few find no room.

    Args:
        space: the space of the study.
        program: a function that returns the program of a trial's values, one object for each signature.
        batches: the data on the device.
    """
    programs = {id(one := program(values)): (one, values) for values in _largest(space, batches)}
    try:
        of_slot = estimated_slot_bytes if batches.device.type == HOST else slot_bytes
        return max(of_slot(one, space.numeric(values), batches) for one, values in programs.values())
    except torch.OutOfMemoryError:
        return _NO_ROOM


def _largest(space: Space, batches: Batches) -> Iterator[dict[str, Value]]:
    """Yield the values of trials among which is the largest.

    These are all settings; or else trials with the largest minibatch, the optimiser that keeps most, and the network
    with most parameters as well as that with most units.
    """
    if space.settings:
        yield from space.demanding()
        return
    kept = max(map(str, space.possible("optimizer")), key=lambda name: moments(OPTIMISERS[name]))
    batch_size = max(int(size) for size in space.possible("batch_size"))
    hidden = list(map(str, space.possible("hidden")))
    networks = {text: Layout((batches.features, *hidden_widths(text), batches.outputs)) for text in hidden}
    most_parameters = max(hidden, key=lambda text: networks[text].size)
    most_units = max(hidden, key=lambda text: sum(map(padded, networks[text].widths)))
    for text in dict.fromkeys((most_parameters, most_units)):
        for values in space.demanding({"optimizer": kept, "batch_size": batch_size}):
            yield values | {"hidden": text}
