"""Killed at any instant, the same command goes on to the same study, and MLflow to the truth (contracts C3, C6, C7).

The instants are calls, counted: in an ask, an epoch, a transaction, the drain ... (`killed.PLACES`), some drawn from a
seed. The commands are processes of their own; `benchmarks/soak.py` does the same for hours.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from support.killed import Commands, Ended, Kill, settled
from support.marks import slow
from support.soundness import mlflow_problems, study_problems

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the commands are forks of a process with torch")

NAME = "small-wine"
RECIPE = """
name = "small"
techniques = ["l2"]
trials = 12
ask_batch = 4
pruner = { name = "halving", reduction_factor = 2, min_epochs = 2 }
data = { dataset = "wine" }
set = { epochs = 6, hidden = "16", batch_size = 50 }
space = { l2 = { low = 1e-6, high = 1e-1, log = true }, lr = { low = 1e-4, high = 1e-1, log = true } }
"""
TRACKED = ["small.toml", "--device", "cpu", "--json"]
GO_ON = "run the same command again to go on"
WORDS = [*TRACKED, "--tracking-uri", "none"]


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


def in_folder(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "small.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def undisturbed(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = in_folder(tmp_path_factory.mktemp("undisturbed"))
    ended = commands.run(WORDS, folder, learn=True)
    assert ended.status == 0, ended.err
    return folder


def finished(commands: Commands, folder: Path, *words: str) -> Ended:
    """The command once more, to its end."""
    ended = commands.run([*(words or WORDS)], folder)
    assert ended.status == 0, ended.err
    assert "Traceback" not in ended.err
    assert "Warning" not in ended.err
    assert ended.seconds < 60  # it has waited for nobody's heartbeat
    return ended


# A row is one study, killed at each of these calls before it may finish.
KILLS = {
    "one place after the other": (
        Kill("a study's attribute", 1, after=True),
        Kill("an asked trial", 2, after=True),
        Kill("an epoch", 6, after=True),
        Kill("a compacted tensor", 3, after=True),
        Kill("a study's attribute", 1),
        Kill("a report", 2, after=True),
        Kill("a trial's attribute", 1, after=True),
        Kill("a tell", 1),
        Kill("an observer's turn", 2, after=True),
    ),
    "before it is a study": (Kill("a transaction", 1), Kill("a study's creation", 1), Kill("a study's attribute", 1)),
    "between its attributes": (
        Kill("a study's creation", 1, after=True),
        Kill("a study's attribute", 1, after=True),
        Kill("a study's attribute", 3, after=True),
    ),
    "an ask": (Kill("an asked trial", 1, after=True), Kill("an ask", 2, after=True), Kill("an asked trial", 5)),
    "training": (Kill("an epoch", 1), Kill("an epoch", 6, after=True), Kill("an epoch", 13)),
    "reports": (Kill("a report", 1), Kill("a report", 2, after=True), Kill("a report", 7, after=True)),
    # The fourth attribute of a study is its first verdict, where all those before have been written once.
    "verdicts": (
        Kill("a study's attribute", 4),
        Kill("a study's attribute", 2, after=True),
        Kill("a study's attribute", 3),
    ),
    "compaction": (
        Kill("a compaction", 1),
        Kill("a compacted tensor", 3, after=True),
        Kill("a compaction", 2, after=True),
    ),
    "curves": (
        Kill("a trial's attribute", 1),
        Kill("a trial's attribute", 1, after=True),
        Kill("a trial's attribute", 6, after=True),
    ),
    "results": (Kill("a tell", 1), Kill("a tell", 1, after=True), Kill("a tell", 4, after=True)),
    "between two results": (
        Kill("an observer's turn", 1),
        Kill("an observer's turn", 2, after=True),
        Kill("an observer's turn", 5),
    ),
}


ONE, *MORE = KILLS


@pytest.mark.parametrize("at", [ONE, *slow(*MORE)])
def test_killed_several_times_a_study_comes_to_the_same(
    commands: Commands, undisturbed: Path, tmp_path: Path, at: str
) -> None:
    folder = in_folder(tmp_path)
    for kill in KILLS[at]:
        ended = commands.run(WORDS, folder, kill)
        assert ended.killed, f"{kill}: {ended}"
    finished(commands, folder)
    assert study_problems(folder, undisturbed, NAME) == []


@pytest.mark.parametrize("seed", [1, *slow(2)])
def test_killed_in_any_transaction_a_study_comes_to_the_same(
    commands: Commands, undisturbed: Path, tmp_path: Path, seed: int
) -> None:
    folder, drawn = in_folder(tmp_path), random.Random(seed)
    kills = 0
    while kills < 4:
        ended = commands.run(WORDS, folder, Kill("a transaction", drawn.randint(1, 60), after=drawn.random() < 0.5))
        if not ended.killed:
            break
        kills += 1
    assert kills >= 2
    finished(commands, folder)
    assert study_problems(folder, undisturbed, NAME) == []


def test_killed_before_the_result_of_a_trial_that_never_was_finite(commands: Commands, tmp_path: Path) -> None:
    words = [*WORDS, "--space", "lr=1e25:1e30:log", "--epochs", "3"]
    folder, undisturbed = in_folder(tmp_path / "killed"), in_folder(tmp_path / "undisturbed")
    finished(commands, undisturbed, *words)
    for count in (1, 2):
        assert commands.run(words, folder, Kill("a tell", count)).killed
    finished(commands, folder, *words)
    assert study_problems(folder, undisturbed, NAME) == []


@pytest.mark.parametrize("sampler", ["grid", *slow("qmc")])
def test_killed_in_the_middle_of_an_ask_no_cell_is_lost_or_repeated(
    commands: Commands, tmp_path: Path, sampler: str
) -> None:
    words = [*WORDS, "--sampler", sampler, "--grid-points", "4", "--epochs", "1"]
    folder, undisturbed = in_folder(tmp_path / "killed"), in_folder(tmp_path / "undisturbed")
    finished(commands, undisturbed, *words)
    kills = [Kill("a parameter", 3, after=True), Kill("a trial's attribute", 2), Kill("an ask", 3, after=True)]
    if sampler == "grid":
        kills.append(Kill("a queued trial", 2, after=True))
    for kill in kills:
        assert commands.run(words, folder, kill).killed
    finished(commands, folder, *words)
    problems = study_problems(folder, undisturbed, NAME, half_asked=True)
    # Each of qmc's points is counted when it is drawn: one that was cut off is skipped.
    assert [problem for problem in problems if sampler == "grid" or not problem.startswith("differing")] == []


@pytest.mark.slow
def test_killed_on_either_side_mlflow_comes_to_the_truth(commands: Commands, undisturbed: Path, tmp_path: Path) -> None:
    """One study, extended now and then; the first kill hits MLflow's making of its tables."""
    folder = in_folder(tmp_path)
    for trials, kill in [
        (4, Kill("a column of MLflow's tables", 1, after=True)),
        (4, Kill("a new run", 2, after=True)),
        (4, Kill("a logged batch", 3)),
        (4, Kill("a run's end", 2, whom="writer")),
        (8, Kill("an epoch", 2, whom="command")),
        (8, Kill("the word to the writer", 2)),
        (8, Kill("the drain", 1)),
        (8, Kill("the writer's transaction", 6, after=True, whom="writer")),
        (8, Kill("a run's end", 1, whom="command", how=signal.SIGINT, pause=0.5)),
        (12, Kill("a tell", 1, after=True)),
        (12, Kill("a report", 1, whom="command")),
        (12, Kill("a logged batch", 2, after=True)),
        (12, Kill("the results", 1)),
    ]:
        if kill.in_writer:
            settled(folder)  # it has the store to itself
        ended = commands.run([*TRACKED, "--trials", str(trials)], folder, kill)
        assert ended.struck, f"{kill}: {ended}"
        expected = 0 if kill.whom == "writer" else 130 if kill.how == signal.SIGINT else -signal.SIGKILL
        assert ended.status == expected, f"{kill}: {ended}"
        assert kill.how != signal.SIGINT or (ended.since < 5 and GO_ON in ended.err)
    ended = finished(commands, folder, *TRACKED)
    assert "MLflow is up to date" in ended.err
    settled(folder)
    assert study_problems(folder, undisturbed, NAME) == []
    assert mlflow_problems(folder, NAME) == []
    assert list(folder.glob("*.unfinished*")) == []


@pytest.mark.parametrize(
    ("place", "how"),
    [
        ("an epoch", signal.SIGINT),
        ("a tell", signal.SIGTERM),
        *slow(
            ("a transaction", signal.SIGINT),
            ("an epoch", signal.SIGTERM),
            ("a tell", signal.SIGINT),
            ("a transaction", signal.SIGTERM),
        ),
    ],
)
def test_interrupted_it_ends_soon_and_goes_on(
    commands: Commands, undisturbed: Path, tmp_path: Path, place: str, how: int
) -> None:
    folder = in_folder(tmp_path)
    ended = commands.run(
        WORDS, folder, Kill(place, {"an epoch": 4, "a transaction": 30, "a tell": 2}[place], whom="command", how=how)
    )
    assert ended.status == 130, ended
    assert ended.since < 5
    assert GO_ON in ended.err
    assert "Traceback" not in ended.err
    finished(commands, folder)
    assert study_problems(folder, undisturbed, NAME) == []


@pytest.mark.parametrize(("times", "seconds"), [*slow((1, 5)), (2, 2)])
def test_interrupted_it_does_not_wait_for_an_epoch_of_minutes(
    commands: Commands, undisturbed: Path, tmp_path: Path, times: int, seconds: float
) -> None:
    folder = in_folder(tmp_path)
    kills = [
        Kill("an epoch", 4, after=True, whom="command", how=signal.SIGINT, pause=20),
        Kill("an epoch", 4, whom="command", how=signal.SIGINT, pause=0.5 if times == 2 else 20),
    ]
    ended = commands.run(WORDS, folder, *kills[:times])
    assert (ended.status, ended.struck) == (130, times), ended
    assert ended.since < seconds
    assert GO_ON in ended.err
    assert "Traceback" not in ended.err
    finished(commands, folder)
    assert study_problems(folder, undisturbed, NAME) == []


@pytest.mark.slow
def test_killed_while_its_range_is_widened(commands: Commands, tmp_path: Path) -> None:
    """Before and after it is decided and noted, in the ask that follows, and in what that trains."""
    words = [*WORDS, "--set", "l2=1e-4", "--space", "lr=1e-5:1e-4:log", "--pruner", "none", "--seed", "1"]
    words += ["--trials", "8", "--extend"]
    folder, undisturbed = in_folder(tmp_path / "killed"), in_folder(tmp_path / "undisturbed")
    finished(commands, undisturbed, *words)
    extended = len(optuna.load_study(study_name=NAME, storage=f"sqlite:///{undisturbed}/optuna.db").trials)
    assert extended > 12
    # Nothing is pruned: after a study's first attributes an extension is the next.
    for kill in (
        Kill("an asked trial", 8, after=True),
        Kill("a study's attribute", 1),
        Kill("a study's attribute", 1, after=True),
        Kill("an asked trial", 2, after=True),
        Kill("an epoch", 3),
        Kill("a study's attribute", 1),
    ):
        ended = commands.run(words, folder, kill)
        assert ended.killed, f"{kill}: {ended}"
    finished(commands, folder, *words)
    assert study_problems(folder, undisturbed, NAME) == []
