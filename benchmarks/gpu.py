"""Measure in one command what the package does on a GPU, within a few minutes.

    PYTHONPATH=. python benchmarks/gpu.py [--minutes 8] [--out benchmarks/results/gpu.json] [--device cpu|cuda]
        [--small] [--only device tests engine mixed study memory]

It needs torch and numpy; the tests need pytest too, and the whole study needs all that the package is installed with.
The sections, in the order of their worth:

    device   copies and matrix products: GB/s and TFLOP/s in fp32, TF32 and bf16
    tests    the tests for CUDA
    engine   packs of 16, 64 and 256 slots at the shapes of CIFAR-10, MNIST and digits, against a serial loop, a tuned
             one (a CUDA graph of each step, the fused optimiser), `torch.func` and HFTA's fusion
    mixed    eight rows of CIFAR-10's shape, each with a regulariser of its own, against plain loops
    study    a study of 256 trials with MLflow, as a command
    memory   the peak of a pack's memory against the formula for it, and its curves against those of the CPU

Each section is a process of its own with a share of the time; what one leaves, the others have. A section that fails or
is out of time has its error, and the next one runs. The file is written after every row, so it holds what was measured
until then if the command is killed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import measure
import torch
from gpu_section import NO_CUDA, Section, failed, load, tell

ROOT = Path(__file__).resolve().parents[1]
_GRACE = 5.0  # seconds that a section may take longer than its share, until it is killed
_BEGIN = 10.0  # seconds that this process may take to begin


@dataclass(frozen=True)
class Plan:
    """How a section runs.

    Attributes:
        share: its share of the time, relative to the others.
        cuda: whether it needs a CUDA device.
    """

    share: float
    cuda: bool = False


PLANS: Mapping[str, Plan] = {
    "device": Plan(20),
    "tests": Plan(100, cuda=True),
    "engine": Plan(230),
    "mixed": Plan(40),
    "study": Plan(50),
    "memory": Plan(40, cuda=True),
}


def measures(name: str) -> Callable[[Section], None]:
    """Return the function that measures a section.

    Only the process of the section imports it: an import that fails is an error of that section.
    """
    match name:
        case "device":
            from gpu_rates import device as found
        case "tests":
            from gpu_commands import tests as found
        case "engine":
            from gpu_engine import engine as found
        case "mixed":
            from gpu_mixed import mixed as found
        case "study":
            from gpu_commands import study as found
        case "memory":
            from gpu_engine import memory as found
        case _:
            raise ValueError(f"there is no section {name!r}")
    return found


def measure_section(section: Section) -> None:
    """Measure one section, in its own process."""
    section.tell(status="running")
    try:
        measures(section.name)(section)
    except Exception as error:
        section.tell(**failed(error))
        return
    if load(section.path)["sections"][section.name]["status"] == "running":
        section.tell(status="complete")


def run(args: argparse.Namespace) -> None:
    """Start each section in turn, and see to it that none takes more than its time."""
    ends = time.monotonic() + 60 * args.minutes - _GRACE - _BEGIN
    names = list(args.only)
    begun = {
        "benchmark": "gpu",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {"device": args.device, "small": args.small, "minutes": args.minutes},
        "status": "running",
        "sections": {name: {"status": "waits", "rows": []} for name in names},
    }
    measure.replace(args.out, begun)
    for at, name in enumerate(names):
        if PLANS[name].cuda and args.device == "cpu":
            tell(args.out, name, status=NO_CUDA)
        else:
            left = sum(PLANS[one].share for one in names[at:] if not (PLANS[one].cuda and args.device == "cpu"))
            _start(args, name, (ends - time.monotonic()) * PLANS[name].share / left)
        one = load(args.out)["sections"][name]
        wrong = sum(str(row.get("status")).startswith("error") for row in one["rows"])
        print(f"{name}: {one['status']}; {len(one['rows'])} rows, {wrong} of them failed", flush=True)
    tell(args.out, status="complete")


def _start(args: argparse.Namespace, name: str, share: float) -> None:
    words = [str(Path(__file__).resolve()), "--section", name, "--out", str(args.out), "--device", args.device]
    # What the process takes to begin is part of the share.
    words += ["--until", str(time.time() + share), *(["--small"] if args.small else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    if args.device == "cuda" or args.small:
        # Kernels are for the CPU, and compiling or loading them would take some of the time.
        environment["NUMBA_DISABLE_JIT"] = "1"
    started = time.monotonic()
    try:
        done = subprocess.run([sys.executable, *words], env=environment, check=False, timeout=share + _GRACE)
    except subprocess.TimeoutExpired:
        tell(args.out, name, status=f"error: it was killed after {share + _GRACE:.0f} s, when its time was used up")
    else:
        if done.returncode != 0:
            tell(args.out, name, status=f"error: its process has exit status {done.returncode}")
    tell(args.out, name, seconds=time.monotonic() - started)


def main() -> None:
    words, *paragraphs = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(
        description=words, epilog="\n\n".join(paragraphs[1:]), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8, help="the time that all sections have together; default: 8")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "benchmarks" / "results" / "gpu.json",
        help="the file that the result is written to; default: benchmarks/results/gpu.json",
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="the device that is measured; default: cuda if torch sees one"
    )
    parser.add_argument("--small", action="store_true", help="try the script on tiny networks; the times mean nothing")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(PLANS), default=tuple(PLANS), help="run these sections only, in this order"
    )
    parser.add_argument("--section", choices=tuple(PLANS), help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.minutes >= 1:
        parser.error(f"--minutes takes at least 1, got {args.minutes:g}")
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here; give --device cpu")
    args.out = args.out.absolute()
    if args.section is None:
        run(args)
    else:
        until = time.monotonic() + args.until - time.time()
        measure_section(Section(args.out, args.section, torch.device(args.device), args.small, until))


if __name__ == "__main__":
    main()
