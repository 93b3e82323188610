"""Packs on the device: their speed against other ways to train, their memory, and their agreement with the CPU."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import measure
import torch
from engine import SHAPES, Shape, Training, entrants, random_rows
from gpu_section import Section
from race import Race
from rivals import Rows

from search.train.footprint import most_bytes, slot_bytes
from search.train.pack import Pack, Slot
from search.train.precision import Precision, products

_TURNS = 5
_TURN_SECONDS = (0.03, 0.3)
_CONTENDERS = 5
# A row also builds, warms up and times one epoch of each contender.
_TURNS_SHARE = 0.5
_EPOCHS = 3


def shapes(*, small: bool) -> dict[str, Shape]:
    """Return the shapes in the order of their worth; CIFAR-10 without the fifth of its rows that validates."""
    if small:
        return {"small": Shape((20, 16, 10), 32, 3)}
    return {"cifar10": replace(SHAPES["cifar10"], steps=40), "mnist": SHAPES["mnist"], "digits": SHAPES["digits"]}


def engine(section: Section) -> None:
    """Time packs against a serial loop, a tuned one, `torch.func` and HFTA's fusion."""
    section.tell(
        how="Contenders take turns in one process, after a warm-up, on random rows; none but the package measures"
        f" metrics. A trial is {SHAPES['digits'].epochs} epochs: trials_per_second is the number of networks over the"
        " seconds of so many epochs, each as long as the measured ones."
    )
    todo = [
        (name, shape, slots, precision)
        for slots in ((2, 4) if section.small else (64, 256, 16))
        for name, shape in shapes(small=section.small).items()
        for precision in get_args(Precision)
        if precision != "tf32" or section.device.type == "cuda"
    ]
    rows = {
        name: random_rows(shape, shape.steps, section.device, "fp32")
        for name, shape in shapes(small=section.small).items()
    }
    longest = 0.0
    for at, (name, shape, slots, precision) in enumerate(todo):
        share = section.left / (len(todo) - at) * _TURNS_SHARE / (_CONTENDERS * _TURNS)
        turn = min(max(share, _TURN_SECONDS[0]), _TURN_SECONDS[1])
        work = partial(_raced, shape, slots, replace(rows[name], precision=precision), turn, section)
        longest = max(longest, section.row(_words(name, shape, slots, precision), work, least=longest))
        _free(section.device)


def _words(name: str, shape: Shape, slots: int, precision: Precision) -> dict[str, Any]:
    network = {"widths": list(shape.widths), "batch": shape.batch, "steps_of_an_epoch": shape.steps}
    return {"shape": name, **network, "slots": slots, "precision": precision}


def _raced(shape: Shape, slots: int, rows: Rows, turn: float, section: Section) -> dict[str, Any]:
    with products(rows.precision, section.device):
        race = Race(entrants(shape, slots, rows), section.device, 0.01 if section.small else turn)
        for _ in range(2 if section.small else _TURNS):
            race.turn()
    return figures(race, shape.epochs)


def figures(race: Race, epochs: int) -> dict[str, Any]:
    """Return what a race has measured; `epochs` are those of a trial."""
    found: dict[str, Any] = {"contenders": {name: {"status": f"error: {one}"} for name, one in race.failed.items()}}
    for name, lane in race.lanes.items():
        found["contenders"][name] = {
            "status": "measured",
            "networks": lane.networks,
            "warm_up_seconds": lane.warm_up,
            "epochs_of_a_turn": lane.epochs,
            "seconds_of_an_epoch": lane.taken,
            "trials_per_second": measure.summary([lane.networks / (epochs * one) for one in lane.taken]),
        }
    if ours := race.lanes.get("package"):
        of_network = {name: [one / lane.networks for one in lane.taken] for name, lane in race.lanes.items()}
        del of_network["package"]
        own = [one / ours.networks for one in ours.taken]
        found["package_is_faster"] = {name: measure.ratios(one, own) for name, one in of_network.items()}
    return found


def memory(section: Section) -> None:
    """Compare a pack's peak of memory with the formula for it, and its curves with those of the CPU."""
    for name, shape in shapes(small=section.small).items():
        for precision in get_args(Precision):
            section.row(
                {"what": f"validation and training losses of {_EPOCHS} epochs", **_words(name, shape, 4, precision)},
                partial(_agreement, shape, 4, precision, section.device),
            )
            for slots in (16, 256):
                section.row(
                    {"what": "peak of memory in training", **_words(name, shape, slots, precision)},
                    partial(_peak, shape, slots, precision, section.device),
                )
                _free(section.device)


def _pack(shape: Shape, slots: int, precision: Precision, device: torch.device) -> Pack:
    """Return a pack of slots that train for two steps an epoch."""
    training = Training.of(shape, random_rows(shape, 2, device, precision))
    numbers = [Slot(number, 0, values) for number, values in enumerate(training.values(slots))]
    return Pack(training.program, training.batches, numbers)


def _peak(shape: Shape, slots: int, precision: Precision, device: torch.device) -> dict[str, Any]:
    pack = _pack(shape, slots, precision, device)
    formula = slot_bytes(pack.program, pack.slots[0].values, pack.batches)
    _free(device)
    peak = most_bytes(pack)
    return {"peak_bytes": peak, "formula_bytes": formula * slots, "peak_over_formula": peak / (formula * slots)}


def _agreement(shape: Shape, slots: int, precision: Precision, device: torch.device) -> dict[str, Any]:
    on_the_cpu = _pack(shape, slots, "fp32", torch.device("cpu"))
    there, here = _curves(_pack(shape, slots, precision, device)), _curves(on_the_cpu)
    apart = {name: ((there[name] - one).abs() / one.abs()).max().item() for name, one in here.items()}
    return {
        "largest_relative_difference": apart,
        "engine_of_the_cpu": on_the_cpu.program.engine,
        "on_the_cpu_in_fp32": {name: one.tolist() for name, one in here.items()},
        "on_the_device": {name: one.tolist() for name, one in there.items()},
    }


def _curves(pack: Pack) -> Mapping[str, torch.Tensor]:
    epochs = [pack.run_epoch() for _ in range(_EPOCHS)]
    return {name: torch.stack([one[name] for one in epochs]) for name in ("train_loss", "val_loss")}


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
