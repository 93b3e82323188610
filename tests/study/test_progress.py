"""What is trained outside of a search is shown from its beginning on: on a terminal, in a notebook and in a file."""

from __future__ import annotations

import io
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.marks import slow
from support.small_studies import Quiet, copy_study, small

from search import compare_studies, run
from search.compare import __main__ as compare
from search.export import __main__ as export
from search.replay import __main__ as replay
from search.report import __main__ as report
from search.study import display
from search.study.progress import Steps
from search.study.retrain import Retraining, retrain
from search.uncertainty import __main__ as uncertainty

ROOT = Path(__file__).parents[2]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NOISY: dict[str, Any] = {"name": "noisy", "techniques": ["dropout"], "space": {}, "trials": 1}
NOISY |= {"set": {"epochs": 6, "hidden": "16", "batch_size": 50, "dropout": 0.2}, "sampler": "grid"}
NOISY |= {"space": {"lr": {"choices": [0.01]}}}

Main = Callable[[list[str]], int]
COMMANDS: dict[str, tuple[Main, list[str], list[str]]] = {
    "export": (export.main, ["small-wine", "--output", "net.safetensors"], [r"training trial \d+ again"]),
    "compare": (
        compare.main,
        ["small-wine", "noisy-wine", "--replicates", "2", "--tracking-uri", "none"],
        ["training 2 chosen trials on 2 fresh replicates each, from number 1000"],
    ),
    "replay": (replay.main, ["small-wine", "0"], [r"training trial 0 alone, 1 x \d epochs, on cpu .*"]),
    "uncertainty": (
        uncertainty.main,
        ["noisy-wine", "--passes", "3"],
        ["training trial 0 again, with activation leaky_relu", "making 3 passes through each network"],
    ),
    "report": (
        report.main,
        ["small-wine"],
        [
            "drawing the record",
            r"training the best trial, \d+, again.*",
            r"training the best trial, \d+, on 3 parts of the training rows",
            "writing the page",
        ],
    ),
    "check": (
        run.main,
        ["l2", "--dataset", "wine", "--hidden", "32", "--epochs", "20", "--set", "lr=0.01", "--check"],
        ["training data and noise: lr 0.001 to 0.1"],
    ),
}


@pytest.fixture(scope="module")
def two_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    small(folder).run(observers=[Quiet()])
    small(folder, **NOISY).run(observers=[Quiet()])
    return folder


@pytest.fixture
def storage(two_studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The options that name a storage with two studies."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    copy_study(two_studies, tmp_path)
    yield ["--storage", f"sqlite:///{tmp_path / 'study.db'}", "--device", "cpu"]
    signal.signal(signal.SIGTERM, before)


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Terminal:
    """A terminal of 100 columns, and what has been written to it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream = io.TextIOWrapper(os.fdopen(slave, "wb", 0), encoding="utf-8", write_through=True)
        self._written: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self._written.append(os.read(self._master, 1 << 16))
            except OSError:  # the other end is closed
                return

    def text(self) -> str:
        """Close it and return what was written, without the codes of colours."""
        self.stream.close()
        self._reader.join(10)
        os.close(self._master)
        return COLOUR.sub("", b"".join(self._written).decode())


@pytest.mark.parametrize("name", ["export", "uncertainty", "check", *slow("report", "compare", "replay")])
def test_a_command_shows_its_progress(
    storage: list[str], name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main, words, lines = COMMANDS[name]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    status = main([*words, *storage, "--json"])
    shown = terminal.text()
    assert status == 0, shown
    json.loads(capsys.readouterr().out)
    # Before torch is imported, it shows that something happens; the last code removes that line.
    opened = ", ".join(words[:2]) if name == "compare" else words[0]
    assert shown.startswith(f"opening {opened} ...\r\x1b[2K")
    written = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9]*[A-Zhl]|\x1b\[\?25[hl]", "", shown))
    for line in lines:
        assert any(re.fullmatch(line, one) for one in written), (line, written)
    bars = re.findall(r"━ +(\d+)/(\d+) (epochs|figures|networks) +(\d:\d\d:\d\d|-:--:--)", shown)
    assert {unit for _, _, unit, _ in bars} >= {"epochs"}
    for done, total, _, _ in bars:
        assert 0 <= int(done) <= int(total)
    assert bars[0][0] == "0"


@pytest.mark.parametrize("name", ["report", "compare", "replay", *slow("export", "uncertainty", "check")])
def test_where_there_is_no_terminal_a_line_says_what_is_done(
    storage: list[str], name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "time", Clock())
    main, words, lines = COMMANDS[name]
    capsys.readouterr()
    assert main([*words, *storage, "--json"]) == 0
    out, err = capsys.readouterr()
    json.loads(out)
    written = err.splitlines()
    written = [one for one in written if not re.match("study .* nothing to run|test split", one)]
    assert len(written) == len(lines), written
    for line, one in zip(lines, written, strict=True):
        assert re.fullmatch(line, one)


def test_the_bar_of_a_process_on_a_terminal(storage: list[str]) -> None:
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "search.export", "small-wine", "--output", "net.safetensors", *storage]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 1 << 16):
            shown += part
    except OSError:  # the process has closed it
        pass
    os.close(master)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"trial" in out
    assert b"opening" not in out
    before, _, after = COLOUR.sub("", shown.decode()).partition("training trial ")
    assert before == "opening small-wine ...\r\x1b[2K"
    assert re.search(r"\d/6 .*epochs", after)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The outputs of a notebook's cell, each with all texts that it had."""
    monkeypatch.setattr("builtins.get_ipython", type("ZMQInteractiveShell", (), {}), raising=False)
    outputs: list[list[str]] = []

    class Handle:
        def __init__(self, number: int) -> None:
            self.number = number

        def update(self, text: dict[str, str], *, raw: bool) -> None:
            assert raw
            outputs[self.number].append(text["text/plain"])

    def show(text: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        outputs.append([text["text/plain"]])
        return Handle(len(outputs) - 1)

    monkeypatch.setattr("IPython.display.display", show)
    return outputs


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("answer", ["compare", "check", *slow("replay", "export")])
def test_a_notebook_has_one_line_for_each_training(
    tmp_path: Path, answer: str, cells: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    study = small(tmp_path)
    ask: dict[str, Callable[[], Any]] = {
        "replay": lambda: study.replay(0),
        "export": lambda: study.export(tmp_path / "net.safetensors"),
        "compare": lambda: compare_studies(study, small(tmp_path, **NOISY), replicates=2),
        "check": study.check,
    }
    capsys.readouterr()
    ask[answer]()
    assert capsys.readouterr().err == ""
    texts = cells[0]
    assert texts[0].startswith("training ")
    assert re.fullmatch(rf"{re.escape(texts[0])}: \d+ of \d+ epochs", texts[-1])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(display, "time", made)
    return made


def test_lines_are_rare_and_tell_the_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Steps("training it", 4_000) as steps:
        for _ in range(3_600):
            clock.now += 1
            steps.advance()
    first, *later = capsys.readouterr().err.splitlines()
    assert first == "training it"
    # After 11 s of 4,000 s, and from then on after every 10 s or a twentieth of the time so far, whichever is longer.
    assert later[0] == "training it: 11 of 4,000 epochs, 66 min left"
    moments = [int(re.findall(r": ([\d,]+) of", line)[0].replace(",", "")) for line in later]
    assert all(b - a >= max(10, b / 20) for a, b in itertools.pairwise(moments))
    assert 30 < len(later) < 100
    with Steps("drawing", 4, "figures") as steps:
        clock.now += 30
        steps.advance(3)
    assert capsys.readouterr().err.splitlines() == ["drawing", "drawing: 3 of 4 figures, 10 s left"]


def test_a_log_gets_the_lines_instead(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with Steps("training it", 2, log=told.append) as steps:
        clock.now += 20
        steps.advance(2)
    assert told == ["training it", "training it: 2 of 2 epochs"]
    assert capsys.readouterr().err == ""


def test_every_epoch_is_counted_even_if_training_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Early stopping ends a replicate after the first of its epochs that is no better than the one before."""
    counted: list[int] = []
    monkeypatch.setattr(Steps, "advance", lambda _self, steps=1: counted.append(steps))
    fixed = {"epochs": 40, "hidden": "16", "batch_size": 50, "patience": 1}
    space = {"lr": {"choices": [1.0]}}
    study = small(tmp_path, techniques=["early_stopping"], set=fixed, space=space, sampler="grid")
    retrained = list(retrain([Retraining.of(study, 0, {"lr": 1.0}, range(3))], "again"))
    assert len(retrained) == 3
    assert max(counted) > 3
    assert sum(counted) == 3 * 40
