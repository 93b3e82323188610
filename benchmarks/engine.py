"""Time training alone: packs against one network at a time and against other ways to train many networks at once.

All contenders train on the same random data with Adam, minibatches on the device and no logging:

    package   a cohort in packs, as a study trains it, with all its metrics
    serial    a plain loop over one network: nn.Sequential, torch.optim.Adam
    tuned     the same with the fused optimiser; on a GPU each step is one CUDA graph
    vmap      torch.func: vmap of the gradient over stacked networks, torch.optim.Adam
    fused     HFTA's way: baddbmm, and Adam in single operations with a learning rate for each network

For every shape and number of slots the contenders take turns in one process, a few epochs at a time.

    python benchmarks/engine.py [--shapes digits mnist cifar10] [--slots 1 32 64] [--turns 7] [--json FILE]
        [--device cpu|cuda] [--precision fp32|tf32|bf16]

Prints for each contender the milliseconds of a slot's step, trials per second (with the real number of epochs), the
share of the peak of matrix products that is measured in between, and how many times faster the package is: medians,
and the spread over turns. Neither Optuna nor MLflow is needed; where the package is not installed, set PYTHONPATH=.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

import measure
import torch
from rivals import LR, Fused, Rows, Serial, Tuned, Vmap

from search.data import Data, Scaling
from search.technique import Value
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.device import auto_width
from search.train.footprint import slot_bytes
from search.train.member import Member
from search.train.precision import Precision
from search.train.program import Program


@dataclass(frozen=True)
class Shape:
    """A network and its minibatch, with the steps of an epoch and the epochs of a trial on the real data."""

    widths: tuple[int, ...]
    batch: int
    steps: int
    epochs: int = 200

    @property
    def flops(self) -> int:
        """The operations of one step's products: forward, and backward for weights and for all inputs but the first."""
        sizes = [inputs * outputs for inputs, outputs in zip(self.widths, self.widths[1:], strict=False)]
        return 2 * self.batch * (3 * sum(sizes) - sizes[0])


SHAPES = {
    "digits": Shape((64, 128, 128, 10), 128, 9),
    "mnist": Shape((784, 128, 128, 128, 10), 4096, 15),
    "cifar10": Shape((3072, 128, 128, 10), 1024, 49),
}
# Operations of a turn: it must be short, because the machine's speed changes with time.
_TURN_FLOPS = {"cpu": 1e11, "cuda": 5e13}


class Contender(Protocol):
    """Something that trains `slots` networks for an epoch."""

    slots: int

    def epoch(self) -> None: ...


class Package:
    """A cohort of trials with different learning rates."""

    def __init__(self, shape: Shape, rows: Rows, slots: int, precision: Precision) -> None:
        self.slots = slots
        # Validation is next to nothing, because the other contenders have none; the test split is never read.
        few = 16
        scaling = Scaling(torch.zeros(shape.widths[0]), torch.ones(shape.widths[0]))
        data = Data(
            name="random",
            task="classification",
            x_train=rows.x.cpu(),
            y_train=rows.y.cpu(),
            x_val=rows.x[:few].cpu(),
            y_val=rows.y[:few].cpu(),
            x_test=rows.x[:few].cpu(),
            y_test=rows.y[:few].cpu(),
            outputs=shape.widths[-1],
            inputs=scaling,
            targets=None,
            image_shape=None,
            pixel_max=None,
            classes=tuple(map(str, range(shape.widths[-1]))),
        )
        batches = Batches(data, rows.x.device)
        hidden = "x".join(map(str, shape.widths[1:-1]))
        structure: dict[str, Value] = {
            "hidden": hidden,
            "activation": "leaky_relu",
            "batch_size": shape.batch,
            "epochs": 10**6,
            "optimizer": "adam",
        }
        numeric = {"lr": LR, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        program = Program.build(
            structure, list(numeric), (), batches, loss="cross_entropy", seed=0, precision=precision
        )
        members = [Member(i, program, {**numeric, "lr": LR * (1 + i / slots)}, 1) for i in range(slots)]
        width = auto_width(slot_bytes(program, numeric, batches), batches.device)
        self._cohort = Cohort(members, batches, width)
        self._epoch = 0

    def epoch(self) -> None:
        self.epochs(1)

    def epochs(self, count: int) -> None:
        """Train several epochs in a row, as a study does from rung to rung."""
        self._epoch += count
        for _ in self._cohort.advance(self._epoch):
            pass


def contenders(shape: Shape, slots: int, rows: Rows, precision: Precision) -> Iterator[tuple[str, Contender]]:
    yield "package", Package(shape, rows, slots, precision)
    yield "serial", Serial(shape.widths, rows)
    yield "tuned", Tuned(shape.widths, rows)
    if slots > 1:
        yield "vmap", Vmap(shape.widths, rows, slots)
        yield "fused", Fused(shape.widths, rows, slots)


def seconds(device: torch.device, work: Callable[[], None]) -> float:
    """Return the seconds until the device has done some work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(shape: Shape, slots: int, turns: int, device: torch.device, precision: Precision) -> dict[str, Any]:
    """Time all contenders on one shape, and return their figures."""
    # With one minibatch a pack would not have to gather rows.
    steps = max(2, min(shape.steps, int(_TURN_FLOPS[device.type] / (shape.flops * slots))))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(steps * shape.batch, shape.widths[0], generator=generator).to(device)
    y = torch.randint(0, shape.widths[-1], (len(x),), generator=generator).to(device)
    rows = Rows(x, y, shape.batch)
    racing = dict(contenders(shape, slots, rows, precision))
    turn = {
        name: max(1, int(_TURN_FLOPS[device.type] / (shape.flops * one.slots * steps * 4)))
        for name, one in racing.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in racing}
    peaks = []
    for round_ in range(turns + 1):
        peak = measure.peak_flops(device=device)
        for name, one in racing.items():

            def work(one: Contender = one, count: int = turn[name]) -> None:
                if isinstance(one, Package):
                    one.epochs(count)
                    return
                for _ in range(count):
                    one.epoch()

            found = seconds(device, work) / (turn[name] * steps * one.slots)
            if round_:  # the first warms up
                taken[name].append(found)
        if round_:
            peaks.append(peak)
    return _figures(shape, taken, peaks)


def _figures(shape: Shape, taken: dict[str, list[float]], peaks: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {"peak_flops": measure.summary(peaks), "contenders": {}}
    for name, each in taken.items():
        shares = [shape.flops / one / peak for one, peak in zip(each, peaks, strict=True)]
        ratios = [other / ours for other, ours in zip(each, taken["package"], strict=True)]
        found["contenders"][name] = {
            "seconds_per_step": measure.summary(each),
            "trials_per_second": 1 / (statistics.median(each) * shape.steps * shape.epochs),
            "share_of_peak": measure.summary(shares),
            "package_is_faster": measure.summary(ratios),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=list(SHAPES))
    parser.add_argument("--slots", nargs="+", type=int, help="default: 1 8 32, on a GPU 1 32 256")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("highest" if args.precision == "fp32" else "high")
    device = torch.device(args.device)
    results: dict[str, Any] = {}
    for name in args.shapes:
        shape = SHAPES[name]
        for slots in args.slots or ((1, 8, 32) if device.type == "cpu" else (1, 32, 256)):
            found = compare(shape, slots, args.turns, device, args.precision)
            results.setdefault(name, {})[slots] = found
            print(f"{name}, {slots} slots; peak {found['peak_flops']['median'] / 1e9:,.0f} GFLOP/s")
            for contender, one in found["contenders"].items():
                ratio, share = one["package_is_faster"], one["share_of_peak"]["median"]
                step = 1e3 * one["seconds_per_step"]["median"]
                print(
                    f"  {contender:8} {step:9.3f} ms a slot-step {one['trials_per_second']:9.3f} trials/s "
                    f"{share:6.1%} of peak; package {ratio['median']:5.2f}x "
                    f"({ratio['min']:.2f} to {ratio['max']:.2f})",
                    flush=True,
                )
            gc.collect()
    if args.json is not None:
        measure.write(args.json, "engine", {"turns": args.turns, "results": results}, args.precision)


if __name__ == "__main__":
    main()
