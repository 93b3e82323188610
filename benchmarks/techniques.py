"""Measure what each technique costs: the time of its epoch over that of the plain network.

The network is 64-128-128-10, on digits in minibatches of 128. Every technique with hooks into training runs in a pack
of 16 slots on one thread, as packs do on the CPU; each of its structural choices runs by itself, with numbers in the
middle of their ranges. Epochs of the plain pack and of the technique's pack alternate.

    python benchmarks/techniques.py [--only NAME ...] [--repeats 15] [--slots 16] [--json FILE]

Prints the median ratio of neighbouring epochs, with its quartiles. It must be at most 1.5, or 2 where inputs differ
from slot to slot, or a second pass or further weights are needed. Where several networks share weights, it is that of
each network.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search import Study
from search.recipe.discovery import discover
from search.technique import Structural, Technique, Value
from search.technique.technique import ACTING
from search.train.pack import Pack, Slot

MODEL = {"hidden": "128x128", "batch_size": 128, "epochs": 100}
HOOKS = (*ACTING, "after_epoch", "metrics")
PER_SLOT_OR_TWICE = ("input", "input_parameters", "branches", "loss", "perturb_inputs", "perturb_weights")


def study(recipe: str, **settings: Any) -> Study:
    """Return a study of the benchmark's network, which is never stored."""
    return Study(recipe, tracking_uri=None, device="cpu", set=MODEL | settings)


def middle(distribution: Any) -> Value:
    """Return the middle of a range on its own (linear or log) scale, or the first choice."""
    if isinstance(distribution, CategoricalDistribution):
        return next(choice for choice in distribution.choices if choice is not None)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    value = math.sqrt(low * high) if distribution.log else (low + high) / 2
    return round(value) if isinstance(distribution, IntDistribution) else value


def settings(technique: Technique, made: Study) -> Iterator[tuple[str, dict[str, Value]]]:
    """Yield each combination of a technique's structural choices, as text and as all values of a trial."""
    own = {
        name: made.space.searched[name].choices  # type: ignore[attr-defined]
        for name, one in technique.hyperparameters.items()
        if isinstance(one, Structural) and name in made.space.searched
    }
    for chosen in itertools.product(*own.values()):
        fixed = dict(zip(own, chosen, strict=True))
        if any(technique.hyperparameters[name].neutral == value for name, value in fixed.items()):
            continue
        params = {name: fixed.get(name, middle(one)) for name, one in made.space.searched.items()}
        values = made.space.complete(params)
        assert values is not None
        yield ", ".join(map(str, fixed.values())), values


def pack(made: Study, values: dict[str, Value], slots: int) -> Pack:
    """Build a pack of slots with the same values."""
    numbers = made.numeric(values)
    return Pack(made.program(values), made.batches, [Slot(number, 0, numbers) for number in range(slots)])


def seconds(one: Pack) -> float:
    started = time.perf_counter()
    one.run_epoch()
    return time.perf_counter() - started


def compare(plain: Pack, other: Pack, repeats: int) -> dict[str, Any]:
    """Alternate epochs; return the median ratio for each network, its quartiles, and a plain epoch's median seconds."""
    for warm in (plain, other):
        warm.run_epoch()
    pairs = [(seconds(plain), seconds(other)) for _ in range(repeats)]
    ratios = [b / a / other.program.layout.members for a, b in pairs]
    low, median, high = statistics.quantiles(ratios, n=4)
    return {"ratio": median, "quartiles": [low, high], "plain_seconds": statistics.median(a for a, _ in pairs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", help="techniques (default: all that hook into training)")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = discover()
    # With waves the network is a wider one.
    compared = {name: one for name, one in known.items() if one.waves is None}
    names = args.only or [n for n, t in compared.items() if any(getattr(t, hook) is not None for hook in HOOKS)]
    base = study("baseline")
    plain_values = base.space.complete({"lr": 1e-3})
    assert plain_values is not None
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.safetensors"
        if "fine_tune" in names:
            trained = Study(
                "baseline",
                storage=f"sqlite:///{folder}/o.db",
                tracking_uri=None,
                device="cpu",
                trials=1,
                set=MODEL | {"epochs": 1},
            )
            trained.run()
            trained.export(source)
        for name in names:
            made = study(name, **({"source": str(source)} if name == "fine_tune" else {}))
            bar = 2.0 if any(getattr(known[name], hook) is not None for hook in PER_SLOT_OR_TWICE) else 1.5
            bar = 2.0 if name == "input_dropout" else bar
            for words, values in settings(known[name], made):
                found = compare(pack(base, plain_values, args.slots), pack(made, values, args.slots), args.repeats)
                rows.append({"technique": name, "structure": words, "bar": bar} | found)
                low, high = found["quartiles"]
                verdict = "" if found["ratio"] <= bar else "  above its bar"
                print(f"{name:16} {words:24} {found['ratio']:5.2f}x  ({low:.2f} to {high:.2f}; bar {bar:g}){verdict}")
    if args.json is not None:
        result = {"settings": MODEL | {"dataset": "digits", "slots": args.slots, "threads": 1, "repeats": args.repeats}}
        measure.write(args.json, "techniques", result | {"techniques": rows})


if __name__ == "__main__":
    main()
