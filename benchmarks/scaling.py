"""Measure how time and memory grow with slots, epochs, features and trials, and where growth stops being linear.

Each point is trained in a process of its own: a cohort, as in a study, on random data like digits (128-128-10,
minibatches of 128, Adam, all metrics). Then a third of its trials are kept, as by successive halving, and train on.

    slots      time per slot and step; cohorts of 2 to 128 slots in packs side by side
    epochs     the same; 16 slots over 30 to 1,000 epochs of two steps
    features   time per slot, step and stored weight; 16 slots with 16 to 4,096 features
    trials     time per slot and step; cohorts of 16 that are built, trained and compacted one after another
    auto       as for features; 64 slots with 64 to 4,096 features, in packs of the width that ``--slots auto`` chooses

    python benchmarks/scaling.py [--axes slots epochs features trials auto] [--repeats 2] [--clock wall|processor]
        [--json FILE]

Prints for each point the time per unit, as median (min to max) over repeats and over slices of a run without its first;
and where growth is linear, which means that the time per unit is within 1.25 times the axis's best.

Also prints memory: the peak resident memory above the level after the imports, before and after the compaction. It must
be at most ``data once + 1.25 x slots x ((weights + gradient + 2 moments) + activations)``, computed as in
`search.train.device`. The libraries' own share (code that is paged in, threads) is what a tiny network takes; it is
printed first, and taken off in the second of the two quotients. Needs Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
import torch

from search.data import Data, Scaling
from search.technique import Value
from search.technique.layout import Layout, padded
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.device import auto_width
from search.train.evaluate import EVAL_ROWS
from search.train.footprint import slot_bytes
from search.train.member import Member
from search.train.program import Program

LINEAR, SLACK, ITEM = 1.25, 1.25, 4
_COPIES = 4  # weights, gradient, Adam's two moments
_OUTPUTS, _BATCH, _VALIDATION, _SLICES = 10, 128, 360, 6


@dataclasses.dataclass(frozen=True)
class Point:
    """What a process trains: `epochs` timed epochs, then two after a compaction; `trials` in cohorts of `slots`."""

    slots: int = 16
    epochs: int = 30
    features: int = 64
    rows: int = 1024
    trials: int = 0
    auto: bool = False
    hidden: str = "128x128"

    @property
    def steps(self) -> int:
        return -(-self.rows // _BATCH)


AXES: dict[str, dict[int, Point]] = {
    "slots": {n: Point(slots=n, epochs=max(6, 400 // n)) for n in (2, 4, 8, 16, 32, 64, 128)},
    "epochs": {n: Point(epochs=n, rows=256) for n in (30, 100, 300, 1000)},
    "features": {n: Point(features=n, epochs=max(6, min(24, 24 * 64 // n))) for n in (16, 64, 256, 1000, 1024, 4096)},
    "trials": {n: Point(epochs=10, rows=256, trials=n) for n in (32, 64, 128, 256)},
    "auto": {n: Point(slots=64, features=n, epochs=6, rows=256, auto=True) for n in (64, 1024, 4096)},
}
_BY_WEIGHT = ("features", "auto")
_NOTHING = Point(slots=2, epochs=6, features=16, rows=256, hidden="16")


def random_data(point: Point) -> Data:
    generator = torch.Generator().manual_seed(0)
    parts: dict[str, Any] = {}
    for part, rows in (("train", point.rows), ("val", _VALIDATION), ("test", 16)):
        parts[f"x_{part}"] = torch.randn(rows, point.features, generator=generator)
        parts[f"y_{part}"] = torch.randint(0, _OUTPUTS, (rows,), generator=generator)
    scaling = Scaling(torch.zeros(point.features), torch.ones(point.features))
    return Data(
        name="random",
        task="classification",
        outputs=_OUTPUTS,
        inputs=scaling,
        targets=None,
        image_shape=None,
        pixel_max=None,
        classes=tuple(map(str, range(_OUTPUTS))),
        **parts,
    )


def formula(point: Point, batches: Batches) -> dict[str, int]:
    """Return the bytes that are allowed, and their parts."""
    layout = Layout((point.features, *map(int, point.hidden.split("x")), _OUTPUTS))
    rows = max(min(_BATCH, point.rows), min(EVAL_ROWS, _VALIDATION))
    activations = 2 * ITEM * rows * sum(map(padded, layout.widths[1:]))
    data = sum(
        one.numel() * one.element_size()
        for one in (batches.x_train, batches.y_train, batches.x_val, batches.y_val, batches.x_test, batches.y_test)
    )
    slots = point.slots * (_COPIES * ITEM * layout.size + activations)
    return {"data": data, "slots": slots, "allowed": data + round(SLACK * slots), "weights": layout.size}


def train(point: Point) -> dict[str, Any]:
    """Train a point in this process."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    idle = peak()
    batches = Batches(random_data(point))  # they share the memory of the study's data
    structure: dict[str, Value] = {
        "hidden": point.hidden,
        "activation": "leaky_relu",
        "batch_size": _BATCH,
        "epochs": point.epochs + 2,
        "optimizer": "adam",
    }
    numeric = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    program = Program.build(structure, list(numeric), (), batches, loss="cross_entropy", seed=0)
    width = auto_width(slot_bytes(program, numeric, batches), batches.device) if point.auto else point.slots
    wall: list[float] = []
    processor: list[float] = []
    steady = 0
    units = point.slots * point.steps
    for _ in range(max(1, point.trials // point.slots)):
        at, cpu = time.perf_counter(), time.process_time()
        members = [Member(i, program, {**numeric, "lr": 1e-3 * (1 + i)}, 1) for i in range(point.slots)]
        cohort = Cohort(members, batches, width)
        done, marks = 0, [(0, at, cpu)]
        for completed in cohort.advance(point.epochs):
            done += len(completed)
            if done * _SLICES >= (len(marks)) * point.slots * point.epochs:
                marks.append((done, time.perf_counter(), time.process_time()))
        steady = max(steady, peak() - idle)
        cohort.drop(range(point.slots // 3, point.slots))
        for _ in cohort.advance(point.epochs + 2):
            pass
        if point.trials:
            trained = units * point.epochs + max(1, point.slots // 3) * point.steps * 2
            wall.append((time.perf_counter() - at) / trained)
            processor.append((time.process_time() - cpu) / trained)
            continue
        for before, after in itertools.pairwise(marks[1:]):
            slice_ = (after[0] - before[0]) * point.steps
            wall.append((after[1] - before[1]) / slice_)
            processor.append((after[2] - before[2]) / slice_)
    found = {"wall": wall, "processor": processor, "steady": steady, "peak": peak() - idle, "width": width}
    return found | formula(point, batches)


def peak() -> int:
    """Return the peak resident memory so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM: this benchmark needs Linux")


def in_process(point: Point) -> dict[str, Any]:
    """Train a point in a process of its own."""
    words = [sys.executable, __file__, "--point", json.dumps(dataclasses.asdict(point))]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def summed_up(axis: str, runs: Sequence[dict[str, Any]], libraries: float) -> dict[str, Any]:
    """Return the figures of a point over its repeats: microseconds per unit, MiB, and quotients of memory."""
    first = runs[0]
    scale = 1e6 / (first["weights"] if axis in _BY_WEIGHT else 1)
    times = {
        clock: measure.summary([scale * one for run in runs for one in run[clock]]) for clock in ("wall", "processor")
    }
    memory = {name: measure.summary([run[name] / 2**20 for run in runs]) for name in ("steady", "peak")}
    allowed = first["allowed"] / 2**20
    quotients = {name: one["median"] / allowed for name, one in memory.items()}
    without = {f"{name}_without_libraries": (one["median"] - libraries) / allowed for name, one in memory.items()}
    return times | {
        "width": first["width"],
        "data_mib": first["data"] / 2**20,
        "allowed_mib": allowed,
        "memory_mib": memory,
        "quotients": quotients | without,
        "met": without["peak_without_libraries"] <= 1,
    }


def linear(points: dict[int, dict[str, Any]], clock: str) -> str:
    """Say where the time per unit is more than 1.25 times the best."""
    each = {value: one[clock]["median"] for value, one in points.items()}
    best = min(each, key=lambda value: each[value])
    low = [value for value in each if value < best and each[value] > LINEAR * each[best]]
    high = [value for value in each if value > best and each[value] > LINEAR * each[best]]
    below = f"costs that are fixed show up to {max(low)}" if low else "no fixed costs show"
    above = f"growth is worse than linear from {min(high)} on" if high else f"linear up to {max(each)}"
    return f"best at {best}; {below}; {above} ({clock} time)"


def _cell(one: dict[str, float]) -> str:
    return f"{one['median']:.4g} ({one['min']:.4g} to {one['max']:.4g})"


def show(axis: str, points: dict[int, dict[str, Any]], verdict: str) -> None:
    unit = "slot, step and 1,000 weights, ns" if axis in _BY_WEIGHT else "slot and step, us"
    print(
        f"\n{axis}: time per {unit}: wall, processor; MiB: formula, before and after halving, quotient (libraries off)"
    )
    for value, one in points.items():
        factor = 1e6 if axis in _BY_WEIGHT else 1
        wall, cpu = ({k: v * factor for k, v in one[clock].items()} for clock in ("wall", "processor"))
        steady, peak_, quotient = one["memory_mib"]["steady"], one["memory_mib"]["peak"], one["quotients"]
        note = "" if one["met"] else "  above the bar"
        note += f"  width {one['width']}" if axis == "auto" else ""
        print(
            f"  {value:5} {_cell(wall):>28} {_cell(cpu):>28}{one['allowed_mib']:8.1f}{steady['median']:8.1f}"
            f"{peak_['median']:8.1f}{quotient['peak']:7.2f} ({quotient['peak_without_libraries']:.2f})"
            f"{note}"
        )
    print(f"  {verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", nargs="+", choices=tuple(AXES), default=list(AXES))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="which one says what is linear")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(train(Point(**json.loads(args.point)))))
        return
    least = [in_process(_NOTHING)["peak"] / 2**20 for _ in range(max(3, args.repeats))]
    libraries = statistics.median(least)
    print(f"the libraries' own share: {_cell(measure.summary(least))} MiB")
    # Repeats go over all points in turn, so that other work on the machine disturbs all alike.
    wanted = [(axis, value) for axis in args.axes for value in AXES[axis]]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {key: [] for key in wanted}
    for repeat in range(args.repeats):
        for axis, value in wanted:
            runs[axis, value].append(in_process(AXES[axis][value]))
        print(f"repeat {repeat + 1} of {args.repeats} done", file=sys.stderr)
    results: dict[str, Any] = {}
    for axis in args.axes:
        points = {value: summed_up(axis, runs[axis, value], libraries) for value in AXES[axis]}
        verdict = linear(points, args.clock)
        results[axis] = {"points": points, "growth": verdict}
        show(axis, points, verdict)
    if args.json is not None:
        settings = {"repeats": args.repeats, "clock": args.clock, "libraries_mib": measure.summary(least)}
        measure.write(args.json, "scaling", {"settings": settings, "axes": results})


if __name__ == "__main__":
    main()
