"""Momentum on the real MNIST: a course notebook's three runs as one pack of three slots, one such pack a replicate.

MLP 784-128-128-128-10 (LeakyReLU), minibatches of 4096, pixels in [0, 1], SGD with lr 1e-4 for 200 epochs, momentum
0, 0.9 and 0.99. All 60,000 official training rows train; a random half of the official test set validates, the other
half tests. The accuracy is that of the last weights, as in the notebook, which found 0.1164, 0.2551 and 0.8826 with
its own initialisation, halves and batch order: agreement is of that kind, not to the digit. With momentum 0 and 0.9 the
network has barely left its initialisation (the loss is still near ln 10), so the accuracy is mostly the seed's, and
replicates show how much that is.

    python benchmarks/mnist_momentum.py --data-dir DIR [--epochs 200] [--replicates 1] [--seed 0] [--json FILE]

DIR is torchvision's root, the folder that contains `MNIST`; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import measure
import torch
from torch import Tensor

from search.data import Data, Scaling
from search.technique import Value
from search.train.batches import Batches
from search.train.crew import side_by_side, threads
from search.train.pack import Pack, Slot
from search.train.program import Program

# Momentum to the test accuracy that the notebook printed.
NOTEBOOK = {0.0: 0.1164, 0.9: 0.2551, 0.99: 0.8826}
HIDDEN = (128, 128, 128)
BATCH_SIZE, LEARNING_RATE = 4096, 1e-4


def mnist(root: Path, seed: int) -> Data:
    """MNIST with all official training rows to train on; validation and test halve the official test rows."""
    from torchvision.datasets import MNIST

    train, official = (MNIST(str(root), train=part, download=False) for part in (True, False))
    order = torch.randperm(len(official.targets), generator=torch.Generator().manual_seed(seed))
    val, test = order.chunk(2)

    def pixels(images: Tensor) -> Tensor:
        return images.flatten(1).float().div_(255)

    features = train.data[0].numel()
    return Data(
        name="mnist", task="classification",
        x_train=pixels(train.data), y_train=train.targets,
        x_val=pixels(official.data[val]), y_val=official.targets[val],
        x_test=pixels(official.data[test]), y_test=official.targets[test],
        outputs=len(train.classes),
        inputs=Scaling(torch.zeros(features), torch.full((features,), 255.0)),
        targets=None, image_shape=(1, *train.data.shape[1:]), classes=tuple(train.classes), pixel_max=255.0,
    )  # fmt: skip


def make_pack(batches: Batches, epochs: int, seed: int, replicate: int) -> Pack:
    """One slot per momentum, in the order of `NOTEBOOK`."""
    structure: dict[str, Value] = {
        "hidden": "x".join(map(str, HIDDEN)),
        "activation": "leaky_relu",
        "batch_size": BATCH_SIZE,
        "epochs": epochs,
        "optimizer": "sgd",
        "nesterov": False,
    }
    program = Program.build(structure, ("lr", "momentum"), (), batches, loss="cross_entropy", seed=seed)
    values = [{"lr": LEARNING_RATE, "momentum": momentum} for momentum in NOTEBOOK]
    return Pack(program, batches, [Slot(trial, replicate, value) for trial, value in enumerate(values)])


def epoch_flops(batches: Batches, slots: int) -> int:
    """Operations of an epoch's matrix products, padding not counted.

    A product with each weight matrix forward, one for its gradient, and one back to its input except for the first
    layer; on validation rows forward only.
    """
    sizes = [inputs * outputs for inputs, outputs in pairwise((batches.features, *HIDDEN, batches.outputs))]
    train = 3 * sum(sizes) - sizes[0]
    return 2 * slots * (batches.train_rows * train + len(batches.x_val) * sum(sizes))


def train(pack: Pack, epochs: int) -> Iterator[tuple[int, int, float, list[float]]]:
    """Every epoch of a pack: replicate, epoch, seconds and the validation accuracy of each slot."""
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        measured = pack.run_epoch()
        accuracy = [round(value, 4) for value in measured["val_accuracy"].tolist()]
        yield pack.slots[0].replicate, epoch, time.perf_counter() - started, accuracy


def arguments() -> argparse.Namespace:
    """The command line; ends the process where it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="torchvision's root (default: data)")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=1, help="packs of three, side by side on the cores")
    parser.add_argument("--seed", type=int, default=0, help="of the halves, the initialisation and the batch order")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    for name in ("epochs", "replicates"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be >= 1, got {getattr(args, name)}")
    try:
        args.data = mnist(args.data_dir, args.seed)
    except RuntimeError as error:
        parser.error(f"no MNIST under {args.data_dir}: {error}")
    return args


def main() -> None:
    args = arguments()
    batches = Batches(args.data)
    packs = [make_pack(batches, args.epochs, args.seed, replicate) for replicate in range(args.replicates)]
    peak = measure.peak_flops()
    started = time.perf_counter()
    seconds: list[float] = []
    curves: dict[int, dict[int, list[float]]] = {replicate: {} for replicate in range(args.replicates)}
    jobs = [partial(train, pack, args.epochs) for pack in packs]
    for replicate, epoch, took, accuracy in side_by_side(jobs, threads(batches.device)):
        seconds.append(took)
        if epoch == 1 or epoch % 20 == 0:
            curves[replicate][epoch] = accuracy
            print(f"replicate {replicate}, epoch {epoch}: {took:.2f} s, val_accuracy {accuracy}", file=sys.stderr)
    total = time.perf_counter() - started
    # Measured again, because another process may have had a core the first time.
    peak = max(peak, measure.peak_flops())

    # A pack's slots are all of one replicate, so the rows of its state are its slots.
    tested = [pack.score(batches.x_test, batches.y_test)[1].tolist() for pack in packs]
    rate = epoch_flops(batches, len(NOTEBOOK)) * len(seconds) / total
    print(f"momentum  test accuracy      SD  the notebook's   ({args.epochs} epochs; the notebook's 200)")
    rows = []
    for slot, (momentum, theirs) in enumerate(NOTEBOOK.items()):
        ours = [accuracy[slot] for accuracy in tested]
        spread = statistics.stdev(ours) if len(ours) > 1 else float("nan")
        print(f"{momentum:8g}  {statistics.mean(ours):13.4f}  {spread:6.4f}  {theirs:14.4f}")
        rows.append({"momentum": momentum, "test_accuracy": ours, "notebook_test_accuracy": theirs})
    print(
        f"{total:.0f} s for {len(packs)} packs of {len(NOTEBOOK)} slots: "
        f"{rate / 1e9:.1f} GFLOP/s, {rate / peak:.0%} of the {peak / 1e9:.1f} of a 2048^3 product"
    )
    if args.json is not None:
        result = {
            "settings": {
                "hidden": list(HIDDEN), "batch_size": BATCH_SIZE, "lr": LEARNING_RATE, "optimizer": "sgd",
                "epochs": args.epochs, "replicates": args.replicates, "seed": args.seed,
                "rows": {"train": batches.train_rows, "val": len(batches.x_val), "test": len(batches.x_test)},
            },
            "slots": rows, "epoch_seconds": measure.summary(seconds), "total_seconds": total,
            "gflops": rate / 1e9, "peak_gflops": peak / 1e9, "share_of_peak": rate / peak,
            "val_accuracy_at_epoch": curves,
        }  # fmt: skip
        measure.write(args.json, "mnist_momentum", result)


if __name__ == "__main__":
    main()
