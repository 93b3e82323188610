"""Time training alone: packs against one network at a time and against other ways to train many networks at once.

All contenders train on the same random data with Adam, minibatches on the device and no logging:

    package   a cohort in packs, as a study trains it, with all its metrics
    serial    a plain loop over one network: nn.Sequential, torch.optim.Adam
    tuned     the same with the fused optimiser; on a GPU each step is one CUDA graph
    vmap      torch.func: vmap of the gradient over stacked networks, torch.optim.Adam
    fused     HFTA's way: baddbmm, and Adam in single operations with a learning rate for each network

For every shape and number of slots the contenders take turns in one process, a few epochs at a time. `gpu.py` runs them
on a GPU, among other things.

    python benchmarks/engine.py [--shapes digits mnist cifar10] [--slots 1 32 64] [--turns 7] [--json FILE]
        [--device cpu|cuda] [--precision fp32|tf32|bf16]

Prints for each contender the milliseconds of a slot's step, trials per second (with the real number of epochs), the
share of the peak of matrix products that is measured in between, and how many times faster the package is: medians,
and the spread over turns. Neither Optuna nor MLflow is needed; where the package is not installed, set PYTHONPATH=.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import measure
import torch
from race import Entrant, Race, Train, repeated
from rivals import LR, Fused, Rows, Serial, Tuned, Vmap

from search.data import Data, Scaling
from search.technique import Value
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.device import auto_width
from search.train.footprint import slot_bytes
from search.train.member import Member
from search.train.precision import Precision, products
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
_TURN_SECONDS = {"cpu": 1.0, "cuda": 0.2}
# Operations of an epoch of all slots, which is cut short on the CPU.
_EPOCH_FLOPS = {"cpu": 1e11, "cuda": math.inf}


@dataclass(frozen=True)
class Training:
    """What the package needs to train networks of a shape.

    Attributes:
        program: the program of all slots.
        numeric: the numeric hyperparameters of the first slot; the others learn faster.
        batches: the data.
    """

    program: Program
    numeric: Mapping[str, float]
    batches: Batches

    @classmethod
    def of(cls, shape: Shape, rows: Rows) -> Training:
        """Return the training of a shape's networks on some rows, in their precision.

        The first few of them are validation rows too.
        """
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
            structure, list(numeric), (), batches, loss="cross_entropy", seed=0, precision=rows.precision
        )
        return cls(program, numeric, batches)

    def values(self, slots: int) -> list[dict[str, float]]:
        """Return the numeric hyperparameters of some slots, which have different learning rates."""
        return [{**self.numeric, "lr": LR * (1 + i / slots)} for i in range(slots)]


def package(shape: Shape, rows: Rows, slots: int) -> Train:
    """Return what trains a cohort of trials with different learning rates."""
    training = Training.of(shape, rows)
    members = [Member(i, training.program, values, 1) for i, values in enumerate(training.values(slots))]
    slot = slot_bytes(training.program, training.numeric, training.batches)
    return advancing(Cohort(members, training.batches, auto_width(slot, training.batches.device)))


def advancing(cohort: Cohort) -> Train:
    """Return what trains a cohort for several epochs in a row, as a study does from rung to rung."""
    trained = 0

    def train(count: int) -> None:
        nonlocal trained
        trained += count
        for _ in cohort.advance(trained):
            pass

    return train


def entrants(shape: Shape, slots: int, rows: Rows) -> dict[str, Entrant]:
    """Return the contenders for a number of slots."""
    found = {
        "package": Entrant(slots, lambda: package(shape, rows, slots)),
        "serial": Entrant(1, lambda: repeated(Serial(shape.widths, rows).epoch)),
        "tuned": Entrant(1, lambda: repeated(Tuned(shape.widths, rows).epoch)),
    }
    if slots > 1:
        found["vmap"] = Entrant(slots, lambda: repeated(Vmap(shape.widths, rows, slots).epoch))
        found["fused"] = Entrant(slots, lambda: repeated(Fused(shape.widths, rows, slots).epoch))
    return found


def random_rows(shape: Shape, steps: int, device: torch.device, precision: Precision) -> Rows:
    """Return random rows for so many steps of an epoch."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(steps * shape.batch, shape.widths[0], generator=generator).to(device)
    y = torch.randint(0, shape.widths[-1], (len(x),), generator=generator).to(device)
    return Rows(x, y, shape.batch, precision)


def compare(shape: Shape, slots: int, turns: int, device: torch.device, precision: Precision) -> dict[str, Any]:
    """Time all contenders on one shape, and return their figures.

    Raises:
        RuntimeError: a contender has failed.
    """
    # With one minibatch a pack would not have to gather rows.
    steps = int(max(2, min(shape.steps, _EPOCH_FLOPS[device.type] / (shape.flops * slots))))
    rows = random_rows(shape, steps, device, precision)
    peaks = []
    with products(precision, device):
        race = Race(entrants(shape, slots, rows), device, _TURN_SECONDS[device.type])
        for _ in range(turns):
            peaks.append(measure.peak_flops(device=device, bf16=precision == "bf16"))
            race.turn()
    if race.failed:
        raise RuntimeError("; ".join(f"{name}: {error}" for name, error in race.failed.items()))
    taken = {name: [one / steps / lane.networks for one in lane.taken] for name, lane in race.lanes.items()}
    found: dict[str, Any] = {"peak_flops": measure.summary(peaks), "contenders": {}}
    for name, each in taken.items():
        shares = [shape.flops / one / peak for one, peak in zip(each, peaks, strict=True)]
        found["contenders"][name] = {
            "seconds_per_step": measure.summary(each),
            "trials_per_second": 1 / (statistics.median(each) * shape.steps * shape.epochs),
            "share_of_peak": measure.summary(shares),
            "package_is_faster": measure.ratios(each, taken["package"]),
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
