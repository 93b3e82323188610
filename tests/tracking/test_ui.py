"""`regsearch ui` while a study runs: MLflow's page and optuna-dashboard's, in a real browser."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Browser, chromium
from support.waiting import until

from search import ui

STUDY = [
    "l2",
    "--device",
    "cpu",
    "--hidden",
    "512x512x512",
    "--trials",
    "100000",
]  # MLflow lists a hundred runs at a time

browsed = pytest.mark.skipif(chromium() is None, reason="no chromium on PATH")


@contextlib.contextmanager
def running(*words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a command of this package until the block ends, and interrupt it then."""
    command = [sys.executable, "-m", "search", *words]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a study that runs."""
    folder = tmp_path_factory.mktemp("searching")
    with running("run", *STUDY, folder=folder):
        until(lambda: (folder / "mlflow.db").exists(), 180)
        yield folder


def _matching(page: Browser) -> int:
    """The number of runs that MLflow's page says it shows."""
    found = page.until("document.body.innerText.match(/([1-9]\\d*) matching run/)?.[1]")
    return int(found)


@browsed
@pytest.mark.slow
def test_mlflows_page_shows_the_runs_of_a_running_study(searching: Path, tmp_path: Path) -> None:
    with running("ui", "l2-digits", "--no-open", folder=searching) as served, Browser(tmp_path / "profile") as page:
        url = address(served)
        assert "/#/experiments/" in url
        page.open(url)
        first = _matching(page)
        page.until("document.body.innerText.includes('trial-')")

        def grown() -> bool:
            page.open("about:blank")
            page.open(url)
            return _matching(page) > first

        until(grown, 240)
    assert served.returncode == 0


@browsed
@pytest.mark.slow
def test_optunas_dashboard_shows_curves_the_objective_and_attributes(searching: Path, tmp_path: Path) -> None:
    with (
        running("ui", "l2-digits", "--dashboard", "--no-open", folder=searching) as served,
        Browser(tmp_path / "profile") as page,
    ):
        url = address(served)
        assert url.endswith("/dashboard/studies/1")
        page.open(url)
        page.until("document.body.innerText.includes('Intermediate values')")
        page.until("[...document.querySelectorAll('.ytitle')].some(e => e.textContent === 'val_loss')")

        def finished() -> bool:
            page.open("about:blank")
            page.open(f"{url}/trials?numbers=1")
            page.until("document.body.innerText.includes('User Attributes')")
            return "summary {" in page.text()

        until(finished, 240)
        told = page.text()
        values = told.partition("Intermediate Values")[2].partition("Parameter")[0].split("\n")
        assert len([line for line in values if line.strip()]) >= 4
    assert served.returncode == 0


@pytest.mark.usefixtures("in_an_empty_folder")
def test_what_cannot_be_shown_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in [
        (["l2"], "storage: there is no"),
        (["--port", "0"], "port takes a number from 1 to 65535, got 0"),
    ]:
        assert ui.main(words) == 2
        assert told in capsys.readouterr().err
