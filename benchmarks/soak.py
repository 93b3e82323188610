"""Kill a command and its MLflow writer again and again, and compare its study with an undisturbed one.

Each study is killed up to six times before it may finish. The seed draws the calls at which it is killed (in an ask, an
epoch, a transaction ...; `tests/support/killed.py` lists the places). A third of the studies have MLflow; there the
command, the writer or both die. Afterwards the study must equal the undisturbed study of its kind, trial by trial and
bit by bit, and MLflow must equal the study (`tests/support/soundness.py`).

    python benchmarks/soak.py [--kills 200] [--minutes 60] [--seed 0] [--mlflow 0.33] [--postgres] [--json FILE]

    --kills     the number of kills after which no study begins
    --minutes   the time after which no study begins
    --mlflow    the share of studies with MLflow
    --postgres  keep the studies in a PostgreSQL server, which is started for them, instead of SQLite files

Prints a line for each problem, and at the end the kills by place, the reruns, the trials that are lost, duplicated or
different, and the problems in MLflow. The exit status is 1 if there was any problem.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import measure
from support.killed import Commands, Kill, settled
from support.postgres_server import Server, server
from support.soundness import mlflow_problems, study_problems

NAME = "small-wine"
TRIALS, ASK_BATCH = 12, 4
RECIPE = f"""
name = "small"
techniques = ["l2"]
trials = {TRIALS}
ask_batch = {ASK_BATCH}
data = {{ dataset = "wine" }}
set = {{ epochs = 6, hidden = "16", batch_size = 50 }}
"""
SPACES = """
[space]
l2 = { low = 1e-6, high = 1e-1, log = true }
lr = { low = 1e-4, high = 1e-1, log = true }
"""
HALVING = 'pruner = { name = "halving", reduction_factor = 2, min_epochs = 2 }\n'
KINDS = {
    "tpe, halving": HALVING,
    "tpe, halving, two replicates": HALVING + "replicates = 2\n",
    "tpe, median": 'pruner = { name = "median", min_epochs = 2, interval = 1 }\n',
    "random, hyperband": 'sampler = "random"\npruner = { name = "hyperband", reduction_factor = 2, min_epochs = 2 }\n',
    "cmaes, halving": 'sampler = "cmaes"\n' + HALVING,
    "grid, halving": 'sampler = "grid"\ngrid_points = 4\n' + HALVING,
}
# The last call of each function at which a run may be killed; an undisturbed run makes about as many.
PLACES = {
    "a study's creation": 1,
    "a study's attribute": 9,
    "an ask": 12,
    "a queued trial": 12,
    "an asked trial": 12,
    "a parameter": 24,
    "a trial's attribute": 48,
    "a report": 18,
    "a tell": 12,
    "a transaction": 150,
    "an epoch": 24,
    "a compaction": 12,
    "a compacted tensor": 60,
    "an observer's turn": 12,
    "the results": 1,
}
TRACKED_PLACES = {
    "the word to the writer": 12,
    "the drain": 1,
    "a logged batch": 24,
    "a new run": 12,
    "a run's end": 13,
    "the writer's transaction": 120,
    "a column of MLflow's tables": 40,
}
_MOST_KILLS = 6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="the time after which no study begins")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mlflow", type=float, default=1 / 3, help="the share of studies with MLflow")
    parser.add_argument("--postgres", action="store_true", help="studies in PostgreSQL")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(server()) if options.postgres else None
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        commands = stack.enter_context(Commands())
        soak = Soak(commands, Path(folder), random.Random(options.seed), options.mlflow, postgres)
        while soak.kills < options.kills and time.monotonic() - started < 60 * options.minutes:
            soak.study()
            print(f"{soak.kills} kills, {len(soak.problems)} problems", file=sys.stderr, flush=True)
    storage = "PostgreSQL" if options.postgres else "SQLite"
    result = soak.result() | {"storage": storage, "seed": options.seed, "seconds": time.monotonic() - started}
    for name, value in result.items():
        print(f"{name}: {value}")
    if options.json:
        measure.write(options.json, "soak", result)
    return 1 if soak.problems else 0


class Soak:
    """Kills studies, and counts what becomes of them."""

    def __init__(
        self, commands: Commands, folder: Path, drawn: random.Random, share: float, postgres: Server | None
    ) -> None:
        self._commands, self._folder, self._drawn, self._share = commands, folder, drawn, share
        self._postgres = postgres
        self._undisturbed: dict[str, Path] = {}
        self._places: Counter[str] = Counter()
        self._victims: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._tracked = self._runs = 0
        self._longest = 0.0
        self.problems: list[str] = []

    @property
    def kills(self) -> int:
        return self._places.total()

    def result(self) -> dict[str, Any]:
        """Return the counts."""
        found = Counter(problem.partition(":")[0] for problem in self.problems)
        return {
            "kills": self.kills,
            "reruns": self._runs - self._kinds.total(),
            "studies": self._kinds.total(),
            "studies_with_mlflow": self._tracked,
            "lost": found["lost"],
            "duplicated": found["duplicated"],
            "differing": found["differing"],
            "mlflow_problems": found["mlflow"],
            "other_problems": len(self.problems) - sum(found[k] for k in ("lost", "duplicated", "differing", "mlflow")),
            "problems": self.problems,
            "longest_last_run_seconds": self._longest,
            "kills_by_place": dict(sorted(self._places.items())),
            "kills_by_victim": dict(sorted(self._victims.items())),
            "studies_by_kind": dict(sorted(self._kinds.items())),
        }

    def study(self) -> None:
        """Kill a study a few times, let it finish, and compare it."""
        kind = self._drawn.choice(sorted(KINDS))
        tracked = self._drawn.random() < self._share
        undisturbed = self._reference(kind)
        folder = self._new(kind, f"study-{self._kinds.total()}")
        url = self._postgres.database(f"study_{self._kinds.total()}") if self._postgres else None
        self._kinds[kind] += 1
        self._tracked += tracked
        words = ["--storage", url] if url else []
        words += ["small.toml", "--device", "cpu", "--json", *([] if tracked else ["--tracking-uri", "none"])]
        trials, history = ASK_BATCH, []
        for _ in range(self._drawn.randint(2, _MOST_KILLS)):
            trials = max(trials, ASK_BATCH * self._drawn.randint(1, TRIALS // ASK_BATCH))
            kill = self._kill(tracked)
            history.append(kill)
            ended = self._commands.run([*words, "--trials", str(trials)], folder, kill)
            self._runs += 1
            if ended.struck:
                self._places[kill.place] += 1
                self._victims[kill.whom] += 1
            if not (ended.killed or ended.status == 0):
                self.problems.append(f"status {ended.status} after {kill}: {ended.err[-500:]}")
        ended = self._commands.run(words, folder)
        self._runs += 1
        self._longest = max(self._longest, ended.seconds)
        found = [] if ended.status == 0 else [f"status {ended.status} at last: {ended.err[-500:]}"]
        try:
            settled(folder)
        except TimeoutError as error:
            found.append(f"mlflow: the writer has not ended, {error}")
        found += study_problems(url or folder, undisturbed, NAME, half_asked=kind.startswith("grid"))
        if tracked:
            found += [f"mlflow: {problem}" for problem in mlflow_problems(folder, NAME, url)]
        if found:
            print(kind, *history, *found, sep="\n  ", file=sys.stderr)
        else:
            shutil.rmtree(folder)
        self.problems += found

    def _kill(self, tracked: bool) -> Kill:
        places = PLACES | (TRACKED_PLACES if tracked else {})
        # With MLflow half of the kills hit what has to do with it.
        about = TRACKED_PLACES if tracked and self._drawn.random() < 0.5 else places
        place = self._drawn.choice(sorted(about))
        whom = self._drawn.choice(["all", "all", "command", "writer"]) if tracked else "all"
        # Half of the kills are early, where most things happen for the first time.
        most = about[place] if self._drawn.random() < 0.5 else min(about[place], 5)
        return Kill(place, self._drawn.randint(1, most), after=self._drawn.random() < 0.5, whom=whom)

    def _reference(self, kind: str) -> Path:
        if kind not in self._undisturbed:
            folder = self._undisturbed[kind] = self._new(kind, f"undisturbed-{len(self._undisturbed)}")
            words = ["small.toml", "--device", "cpu", "--json", "--tracking-uri", "none"]
            ended = self._commands.run(words, folder, learn=True)
            assert ended.status == 0, ended.err
        return self._undisturbed[kind]

    def _new(self, kind: str, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        (folder / "small.toml").write_text(RECIPE + KINDS[kind] + SPACES)
        return folder


if __name__ == "__main__":
    sys.exit(main())
