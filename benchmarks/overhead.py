"""Measure where a study's time goes beside training, with few and with many trials already in it.

A study of the default size (l2 on digits, 64 trials of 100 epochs, TPE, halving) runs on top of 100, 1,000 ... trials
that its SQLite file holds already; they repeat those of a real run under other values. Everything is as in a real run,
but the epochs return made-up curves at once. Calls are timed by the clock and by processor time, in milliseconds:
``open`` (storage, study, the first reading of its trials) per run; ``ask`` (with reading the trials before a cohort),
``encode`` (curves and summary), ``write`` (the attributes that hold them) and ``tell`` per trial; ``report`` per trial
and rung; ``judge`` (reading the trials, the verdict, writing it down) per rung; ``compact`` per `Pack.regroup`. What
training does for the writer process (`MlflowMirror`) is timed per call; start-up in a process of its own.

Then the study runs for real, without MLflow, on top of 1,000 trials. Optuna's time is *not hidden* where one of its
calls runs while no pack trains an epoch. It must be at most 5% of the wall time of `Study.run`, and of the time on idle
cores, where a thread writes results beside training, estimated from processor time. Each repeat has a fresh copy.

    python benchmarks/overhead.py [--trials 100 1000] [--real 1000] [--repeats 3] [--profile] [--json FILE]

    --trials   the numbers of trials in the file; filling it with 10,000 takes minutes
    --profile  also print the costliest calls of a run without epochs
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

import measure
import optuna
import torch

from search import Study
from search.choose.asking import Asker
from search.choose.extending.asker import ExtendingAsker
from search.choose.peers import PeerPruner
from search.record import summary
from search.record.curves import ENVIRONMENT, EPOCHS, RECIPE, Curves
from search.record.own import COHORT, TICKET
from search.study.identity import IDENTITY
from search.tracking.mirror import MlflowMirror
from search.train.member import Member
from search.train.pack import Pack

NAME, SIZE, BAR = "l2", 64, 0.05
_HERE = threading.local()
_METRICS = ("train_loss", "train_objective", "val_loss", "val_accuracy", "sparsity", "weight_norm", "val_objective")
# The functions that are timed, with the phase of a call that no other of them has made.
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
    (summary, dict.fromkeys(("summarise", "encode_times"), "encode")),
    (Pack, {"run_epoch": "train", "regroup": "compact"}),
    (MlflowMirror, {"__enter__": "start", "__exit__": "drain", "asked": "asked", "epoch": "epoch", "told": "told"}),
)
# Attributes whose writing belongs to another phase.
_KEYS = {EPOCHS: "ask", ENVIRONMENT: "open", RECIPE: "open", IDENTITY: "open"}
_OPTUNA = ("open", "ask", "report", "judge", "write", "tell")
# The call by whose number a phase is divided; other phases are per run.
_PER = {"ask": "Study.ask", "report": "Trial.report", "judge": "PeerPruner.verdicts", "encode": "Study.tell"}
_PER |= {"write": "Study.tell", "tell": "Study.tell", "compact": "Pack.regroup"}
_PER |= {name: f"MlflowMirror.{name}" for name in ("asked", "epoch", "told")}
_PHASES, _MIRROR = ("open", *list(_PER)[:7]), ("start", "asked", "epoch", "told", "drain")
_STARTUP = """
import json, os, sys, time
def mark(name): marks.setdefault(name, time.time() - float(os.environ["BEGAN"]))
marks = {}
import search.run
from search import Study
from search.record.observer import Stop
mark("imports")
class First:
    def asked(self, cohort): mark("first_ask")
    def epoch(self, members): mark("first_epoch"); raise Stop
Study(sys.argv[1], storage=sys.argv[2], tracking_uri=None, device="cpu").run(int(sys.argv[3]), observers=[First()])
print(json.dumps(marks))
"""


class Call(NamedTuple):
    """A call, whether another timed call made it (`inner`), its start and end, its processor time and its thread."""

    phase: str
    name: str
    inner: bool
    start: float
    end: float
    cpu: float
    thread: int


def timed(function: Callable[..., Any], name: str, phase: str, calls: list[Call]) -> Callable[..., Any]:
    """Return the function, wrapped so that each call of it is added to `calls`."""

    def call(*given: Any, **named: Any) -> Any:
        inner, keyed = getattr(_HERE, "inside", False), name.endswith("set_user_attr")
        what, called = (_KEYS.get(given[1], phase), f"{name} {given[1].split(':')[0]}") if keyed else (phase, name)
        _HERE.inside, start, cpu = True, time.perf_counter(), time.thread_time()
        try:
            return function(*given, **named)
        finally:
            end, _HERE.inside = time.perf_counter(), inner
            calls.append(Call(what, called, inner, start, end, time.thread_time() - cpu, threading.get_ident()))

    return call


@contextmanager
def watching() -> Iterator[list[Call]]:
    """Yield a list that grows by each timed call while the context lasts."""
    calls: list[Call] = []
    with ExitStack() as stack:
        for owner, name, phase in ((owner, *one) for owner, phases in _WATCHED for one in phases.items()):
            plain = getattr(vars(owner)[name], "__func__", vars(owner)[name])
            patched: Any = timed(plain, f"{owner.__name__}.{name}", phase, calls)
            patched = classmethod(patched) if isinstance(vars(owner)[name], classmethod) else patched
            stack.enter_context(mock.patch.object(owner, name, patched))
        yield calls


def fill(folder: Path, levels: list[int]) -> tuple[dict[int, Path], float]:
    """Make a database for each number of trials; the first 64 are trained. Return the seconds to add one, too."""
    file = folder / "filled.db"
    made = Study(NAME, storage=f"sqlite:///{file}", tracking_uri=None, device="cpu").run(SIZE, observers=[])
    study, chance = made.optuna_study, random.Random(0)
    known = [(trial, trial.value) for trial in study.get_trials() if trial.value is not None]
    found, started = {}, time.perf_counter()
    for level in levels:
        for number in range(len(study.get_trials(deepcopy=False)), level):
            one, best = chance.choice(known)
            ranges: dict[str, Any] = one.distributions
            params = {name: each.low * (each.high / each.low) ** chance.random() for name, each in ranges.items()}
            fields: dict[str, Any] = {"state": one.state, "params": params, "distributions": ranges}
            fields["user_attrs"] = one.user_attrs | {COHORT: number // 16, TICKET: number}
            fields["intermediate_values"] = one.intermediate_values
            study.add_trial(optuna.trial.create_trial(value=best * chance.uniform(1, 1.3), **fields))
        found[level] = _copy(file, folder / f"{level}.db")
    return found, (time.perf_counter() - started) / max(1, levels[-1] - SIZE)


def _copy(file: Path, to: Path) -> Path:
    """Copy a database with its journal."""
    for end in ("", "-wal"):
        if Path(f"{file}{end}").exists():
            shutil.copy(f"{file}{end}", f"{to}{end}")
    return to


def quick(pack: Pack) -> dict[str, torch.Tensor]:
    """Return made-up metrics in place of an epoch's training: falling curves as far apart as real ones."""
    pack.epoch += 1
    level = torch.tensor([slot.trial * 7919 % 97 / 480 for slot in pack.slots], dtype=torch.float64)
    return {name: level + 1 / (1 + pack.epoch) + 0.01 * torch.rand(len(level)) for name in _METRICS}


def run(file: Path, trials: int, *, real: bool = True, tracking: str | None = None) -> tuple[list[Call], float, float]:
    """Run a study to so many trials, and return its calls, wall seconds and processor seconds."""
    made = Study(NAME, storage=f"sqlite:///{file}", tracking_uri=tracking, device="cpu")
    with ExitStack() as stack:
        if not real:
            stack.enter_context(mock.patch.object(Pack, "run_epoch", quick))
        calls = stack.enter_context(watching())
        start, cpu = time.perf_counter(), time.process_time()
        made.run(trials, observers=[])
        return calls, time.perf_counter() - start, time.process_time() - cpu


def figures(calls: list[Call], phases: Sequence[str]) -> dict[str, float]:
    """Return the milliseconds of each phase, by the clock and of the processor."""
    counts, found = Counter(call.name for call in calls), {}
    for phase in phases:
        mine = [call for call in calls if call.phase == phase and not call.inner]
        units = max(1, counts[_PER[phase]]) if phase in _PER else 1
        found[phase] = 1e3 * sum(call.end - call.start for call in mine) / units
        found[f"{phase} cpu"] = 1e3 * sum(call.cpu for call in mine) / units
    return found


def share(calls: list[Call], wall: float, cpu: float) -> dict[str, float]:
    """Return the seconds of a real run, and Optuna's share of them."""
    outer, running, waited, before = [call for call in calls if not call.inner], {True: 0, False: 0}, 0.0, 0.0
    kinds = [(one, one.phase in _OPTUNA) for one in outer if one.phase in (*_OPTUNA, "train")]
    edges = ((at, kind, step) for one, kind in kinds for at, step in ((one.start, 1), (one.end, -1)))
    for at, kind, step in sorted(edges):
        waited += at - before if running[True] and not running[False] else 0
        running[kind], before = running[kind] + step, at
    train, asking = (sum(one.cpu for one, kind in kinds if kind is wanted) for wanted in (False, True))
    beside = sum(one.cpu for one, kind in kinds if kind and one.thread != threading.get_ident())
    idle = (asking - beside) / (cpu - beside - train * (1 - 1 / torch.get_num_threads()))
    found = {"wall": wall, "not_hidden": waited, "not_hidden_share": waited / wall}
    return found | {"processor": cpu, "training": train, "optuna": asking, "share_on_idle_cores": idle}


def by_call(calls: list[Call]) -> dict[str, dict[str, float]]:
    """Return the number and the total milliseconds of Optuna's calls, those that took longest first."""
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
    """Measure the phases and the start-up on top of a number of trials."""
    runs, starts, calls = [], [], {}
    for repeat in range(repeats):
        copy = _copy(file, file.with_name(f"start-{level}-{repeat}.db"))
        words = [sys.executable, "-c", _STARTUP, NAME, f"sqlite:///{copy}", str(level + SIZE)]
        environment = os.environ | {"BEGAN": repr(time.time())}
        starts.append(json.loads(measure.timed(words, file.parent, environment).stdout))
        made, _, _ = run(_copy(file, file.with_name(f"run-{level}-{repeat}.db")), level + SIZE, real=False)
        runs.append(figures(made, _PHASES))
        calls = by_call(made)
    return {"run": spread(runs), "start_up": spread(starts), "calls": calls}


def for_real(level: int, file: Path, repeats: int) -> dict[str, Any]:
    """Measure and print Optuna's share of real runs on top of a number of trials."""
    runs, calls = [], {}
    for repeat in range(repeats):
        made, wall, cpu = run(_copy(file, file.with_name(f"real-{repeat}.db")), level + SIZE)
        runs.append(share(made, wall, cpu))
        calls = by_call(made)
    found = spread(runs)
    met = max(found["not_hidden_share"]["median"], found["share_on_idle_cores"]["median"]) <= BAR
    cells = ", ".join(f"{name} {_cell(value)}" for name, value in found.items())
    verdict = f"at most {BAR:.0%} may not be hidden: {'met' if met else 'not met'}"
    print(f"\na real run on top of {level:,}, s: {cells}; {verdict}")
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
