"""Where a study's time goes beside training, with few and with many trials already in it.

A study of default size (l2 on digits, 64 trials x 100 epochs, TPE, halving) runs on top of 100, 1,000 ... trials that
the SQLite file holds already: those of a real run again, under other values. Its calls are timed, with everything as
in a real run but the epochs, which return made-up curves at once; milliseconds, by the clock and of the processor:
``open`` (storage, study, the first reading of its trials) per run; ``ask`` (with reading the trials before a cohort),
``encode`` (curves and summary), ``write`` (the attributes that hold them) and ``tell`` per trial; ``report`` per trial
and rung; ``judge`` (reading the trials, the verdict, writing it down) per rung; ``compact`` per `Pack.regroup`.

Likewise what training does for the writer process (`MlflowMirror`), per call. Start-up is a process of its own, until
its first epoch is trained. Then the study runs for real, without MLflow, on top of 1,000 trials: Optuna's time is *not
hidden* where one of its calls runs while no pack trains an epoch. The bar: at most 5% of the wall time of `Study.run`,
and of the time on idle cores, reckoned from processor time with training spread over torch's threads: on a busy
machine the clock's share says little. Medians and spread are over repeats, each on a fresh copy of the file.

    python benchmarks/overhead.py [--trials 100 1000] [--real 1000] [--repeats 3] [--profile] [--json FILE]

``--trials 100 1000 10000`` takes minutes to fill the file. ``--profile`` prints the calls that cost most in one more
run on top of the most trials, without epochs.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import measure
import optuna
import torch

from search import Study, loop
from search.choose.asking import Asker
from search.choose.extending.asker import ExtendingAsker
from search.choose.peers import COHORT, TICKET, PeerPruner
from search.record.curves import ENVIRONMENT, EPOCHS, RECIPE, Curves
from search.study.identity import IDENTITY
from search.tracking.mirror import MlflowMirror
from search.train.cohort import Member
from search.train.pack import Pack

NAME, SIZE, BAR = "l2", 64, 0.05
_HERE = threading.local()
_METRICS = ("train_loss", "train_objective", "val_loss", "val_accuracy", "sparsity", "weight_norm", "val_objective")
# What is timed, and the phase it counts as where no other of these has called it.
_WATCHED: tuple[tuple[Any, dict[str, str]], ...] = (
    (optuna, {"create_study": "open"}),
    (optuna.storages.RDBStorage, {"__init__": "open"}),
    (Asker, {"__init__": "open"}),
    (ExtendingAsker, {"__init__": "open", "next_cohort": "ask"}),
    (optuna.Study, {"ask": "ask", "get_trials": "judge", "set_user_attr": "judge", "tell": "tell"}),
    (optuna.Trial, {"suggest_float": "ask", "set_user_attr": "write", "set_constraint": "tell", "report": "report"}),
    (PeerPruner, {"verdicts": "judge"}),
    (Curves, {"encode": "encode"}),
    (Member, {"table": "encode"}),
    (loop, dict.fromkeys(("summarise", "encode_times", "objective"), "encode")),
    (Pack, {"run_epoch": "train", "regroup": "compact"}),
    (MlflowMirror, {"__enter__": "start", "__exit__": "drain", "asked": "asked", "epoch": "epoch", "told": "told"}),
)
# Attributes whose writing is not what it is by default.
_KEYS = {EPOCHS: "ask", ENVIRONMENT: "open", RECIPE: "open", IDENTITY: "open"}
_OPTUNA = ("open", "ask", "report", "judge", "write", "tell")
# Per what a phase is counted: how often this call was made, by default once a run.
_PER = {"ask": "Study.ask", "report": "Trial.report", "judge": "PeerPruner.verdicts", "encode": "Study.tell"}
_PER |= {"write": "Study.tell", "tell": "Study.tell", "compact": "Pack.regroup"}
_PER |= {name: f"MlflowMirror.{name}" for name in ("asked", "epoch", "told")}
_PHASES, _MIRROR = ("open", *list(_PER)[:7]), ("start", "asked", "epoch", "told", "drain")
_STARTUP = """
import json, os, sys, time
def mark(name): marks.setdefault(name, time.time() - float(os.environ["BEGAN"]))
marks = {}
import search.run
from search import Study, loop
mark("imports")
class First:
    def asked(self, cohort): mark("first_ask")
    def epoch(self, members): mark("first_epoch"); raise Stop
Study(sys.argv[1], storage=sys.argv[2], tracking_uri=None, device="cpu").run(int(sys.argv[3]), observers=[First()])
print(json.dumps(marks))
"""


class Call(NamedTuple):
    """A call: its name, whether another watched one made it, when it ran, and how long its thread computed."""

    phase: str
    name: str
    inner: bool
    start: float
    end: float
    cpu: float


def timed(function: Callable[..., Any], name: str, phase: str, calls: list[Call]) -> Callable[..., Any]:
    """The function; each call of it is noted in `calls`."""

    def call(*given: Any, **named: Any) -> Any:
        inner, keyed = getattr(_HERE, "inside", False), name.endswith("set_user_attr")
        what, called = (_KEYS.get(given[1], phase), f"{name} {given[1].split(':')[0]}") if keyed else (phase, name)
        _HERE.inside, start, cpu = True, time.perf_counter(), time.thread_time()
        try:
            return function(*given, **named)
        finally:
            end, _HERE.inside = time.perf_counter(), inner
            calls.append(Call(what, called, inner, start, end, time.thread_time() - cpu))

    return call


@contextmanager
def watching() -> Iterator[list[Call]]:
    """All calls of what is watched while the block runs."""
    calls: list[Call] = []
    with ExitStack() as stack:
        for owner, name, phase in ((owner, *one) for owner, phases in _WATCHED for one in phases.items()):
            plain = getattr(vars(owner)[name], "__func__", vars(owner)[name])
            patched: Any = timed(plain, f"{owner.__name__}.{name}", phase, calls)
            patched = classmethod(patched) if isinstance(vars(owner)[name], classmethod) else patched
            stack.enter_context(mock.patch.object(owner, name, patched))
        yield calls


def fill(folder: Path, levels: list[int]) -> tuple[dict[int, Path], float]:
    """A database for each number of trials, and the seconds that one took to add; the first 64 are trained."""
    file = folder / "filled.db"
    made = Study(NAME, storage=f"sqlite:///{file}", tracking_uri=None, device="cpu").run(SIZE, observers=[])
    study, chance = made.optuna_study, random.Random(0)
    known = study.get_trials()
    found, started = {}, time.perf_counter()
    for level in levels:
        for number in range(len(study.get_trials(deepcopy=False)), level):
            one = chance.choice(known)
            ranges: dict[str, Any] = one.distributions
            params = {name: each.low * (each.high / each.low) ** chance.random() for name, each in ranges.items()}
            attributes = one.user_attrs | {COHORT: number // 16, TICKET: number}
            value, steps = one.value * chance.uniform(1, 1.3), one.intermediate_values
            study.add_trial(
                optuna.trial.create_trial(state=one.state, value=value, params=params, distributions=one.distributions,
                                          user_attrs=attributes, intermediate_values=steps)
            )  # fmt: skip
        found[level] = _copy(file, folder / f"{level}.db")
    return found, (time.perf_counter() - started) / max(1, levels[-1] - SIZE)


def _copy(file: Path, to: Path) -> Path:
    """A database with what still stands in its journal."""
    for end in ("", "-wal"):
        if Path(f"{file}{end}").exists():
            shutil.copy(f"{file}{end}", f"{to}{end}")
    return to


def quick(pack: Pack) -> dict[str, torch.Tensor]:
    """In place of an epoch of training: falling curves, as far apart as real ones, of the metrics that l2 has."""
    pack.epoch += 1
    level = torch.tensor([slot.trial * 7919 % 97 / 480 for slot in pack.slots], dtype=torch.float64)
    return {name: level + 1 / (1 + pack.epoch) + 0.01 * torch.rand(len(level)) for name in _METRICS}


def run(file: Path, trials: int, *, real: bool = True, tracking: str | None = None) -> tuple[list[Call], float, float]:
    """A study's default run to so many trials: its calls, its wall seconds and its processor seconds."""
    made = Study(NAME, storage=f"sqlite:///{file}", tracking_uri=tracking, device="cpu")
    with ExitStack() as stack:
        if not real:
            stack.enter_context(mock.patch.object(Pack, "run_epoch", quick))
        calls = stack.enter_context(watching())
        start, cpu = time.perf_counter(), time.process_time()
        made.run(trials, observers=[])
        return calls, time.perf_counter() - start, time.process_time() - cpu


def figures(calls: list[Call], phases: Sequence[str]) -> dict[str, float]:
    """Milliseconds of each phase, by the clock and of the processor."""
    counts, found = Counter(call.name for call in calls), {}
    for phase in phases:
        mine = [call for call in calls if call.phase == phase and not call.inner]
        units = max(1, counts[_PER[phase]]) if phase in _PER else 1
        found[phase] = 1e3 * sum(call.end - call.start for call in mine) / units
        found[f"{phase} cpu"] = 1e3 * sum(call.cpu for call in mine) / units
    return found


def share(calls: list[Call], wall: float, cpu: float) -> dict[str, float]:
    """Of a real run: seconds, and Optuna's share of them."""
    outer, running, waited, before = [call for call in calls if not call.inner], {True: 0, False: 0}, 0.0, 0.0
    kinds = [(one, one.phase in _OPTUNA) for one in outer if one.phase in (*_OPTUNA, "train")]
    edges = ((at, kind, step) for one, kind in kinds for at, step in ((one.start, 1), (one.end, -1)))
    for at, kind, step in sorted(edges):
        waited += at - before if running[True] and not running[False] else 0
        running[kind], before = running[kind] + step, at
    train, asking = (sum(one.cpu for one, kind in kinds if kind is wanted) for wanted in (False, True))
    idle = asking / (cpu - train * (1 - 1 / torch.get_num_threads()))
    found = {"wall": wall, "not_hidden": waited, "not_hidden_share": waited / wall}
    return found | {"processor": cpu, "training": train, "optuna": asking, "share_on_idle_cores": idle}


def by_call(calls: list[Call]) -> dict[str, dict[str, float]]:
    """Optuna's calls with all that they call, those that took longest first: how often, and milliseconds in all."""
    found: dict[str, dict[str, float]] = {}
    for call in (one for one in calls if one.phase in _OPTUNA):
        entry = found.setdefault(call.name, {"calls": 0, "ms": 0.0, "cpu_ms": 0.0})
        for name, more in (("calls", 1), ("ms", 1e3 * (call.end - call.start)), ("cpu_ms", 1e3 * call.cpu)):
            entry[name] += more
    return dict(sorted(found.items(), key=lambda item: -item[1]["ms"]))


def spread(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: measure.summary([one[name] for one in runs]) for name in runs[0]}


def _cell(one: dict[str, float]) -> str:
    return f"{one['median']:.3g} ({one['min']:.3g} to {one['max']:.3g})"


def show(level: int, found: dict[str, Any]) -> None:
    """Print the figures for one number of trials."""
    print(f"\non top of {level:,} trials: median (min to max), ms; processor ms")
    for phase in _PHASES:
        wall, cpu = _cell(found["run"][phase]), _cell(found["run"][f"{phase} cpu"])
        print(f"  {phase:9}{wall:>30}{cpu:>30}  per {_PER.get(phase, 'run')}")
    print("  start-up, s: " + ", ".join(f"{name} {_cell(one)}" for name, one in found["start_up"].items()))
    for name, one in list(found["calls"].items())[:10]:
        print(f"    {name:34}{one['calls']:6} calls{one['ms']:10.0f} ms, processor {one['cpu_ms']:.0f} ms", flush=True)


def on_top_of(level: int, file: Path, repeats: int) -> dict[str, Any]:
    """The phases and the start-up on top of a number of trials."""
    runs, starts, calls = [], [], {}
    for repeat in range(repeats):
        copy = _copy(file, file.with_name(f"start-{level}-{repeat}.db"))
        words = [sys.executable, "-c", _STARTUP, NAME, f"sqlite:///{copy}", str(level + SIZE)]
        environment = os.environ | {"BEGAN": repr(time.time()), "PYTHONPATH": sys.path[0]}
        starts.append(json.loads(measure.timed(words, file.parent, environment).stdout))
        made, _, _ = run(_copy(file, file.with_name(f"run-{level}-{repeat}.db")), level + SIZE, real=False)
        runs.append(figures(made, _PHASES))
        calls = by_call(made)
    return {"run": spread(runs), "start_up": spread(starts), "calls": calls}


def for_real(level: int, file: Path, repeats: int) -> dict[str, Any]:
    """Optuna's share of real runs on top of a number of trials."""
    runs, calls = [], {}
    for repeat in range(repeats):
        made, wall, cpu = run(_copy(file, file.with_name(f"real-{repeat}.db")), level + SIZE)
        runs.append(share(made, wall, cpu))
        calls = by_call(made)
    found = spread(runs)
    met = max(found["not_hidden_share"]["median"], found["share_on_idle_cores"]["median"]) <= BAR
    print(f"\na real run on top of {level:,}, s: " + ", ".join(f"{n} {_cell(v)}" for n, v in found.items())
          + f"; the bar, at most {BAR:.0%} not hidden: {'met' if met else 'not met'}")  # fmt: skip
    return {"on_top_of": level, "seconds": found, "bar": BAR, "met": met, "calls": calls}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--real", type=int, default=1000, help="on top of how many trials it runs for real")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, added = fill(folder, sorted({*args.trials, args.real}))
        results = {}
        for level in sorted(args.trials):
            results[level] = on_top_of(level, files[level], args.repeats)
            show(level, results[level])
        urls = [(folder / f"tracked-{at}.db", f"sqlite:///{folder}/mlflow-{at}.db") for at in range(args.repeats)]
        tracked = spread([figures(run(file, SIZE, real=False, tracking=url)[0], _MIRROR) for file, url in urls])
        print("\nMLflow's side of training, ms: " + ", ".join(f"{n} {_cell(v)}" for n, v in tracked.items()))
        real = for_real(args.real, files[args.real], args.repeats)
        if args.profile:
            profiler, most = cProfile.Profile(), max(files)
            profiler.runcall(run, _copy(files[most], folder / "profile.db"), most + SIZE, real=False)
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(r"optuna|sqlite3|search/|cursor|commit", 60)
    if args.json is not None:
        settings = {"repeats": args.repeats, "load": os.getloadavg()[1], "ms_per_added_trial": 1e3 * added}
        outcome = {"on_top_of": results, "mlflow_ms": tracked, "real": real}
        measure.write(args.json, "overhead", {"settings": settings} | outcome)


if __name__ == "__main__":
    main()
