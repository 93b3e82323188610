"""Claims in a real PostgreSQL server: who holds what, and what a death or a restart leaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from postgres_server import Server, server
from studies_for_tests import SMALL, Quiet, outcome, small

from search import EnvironmentFault, Study
from search.choose.advisory import AdvisoryClaims
from search.recipe import Recipe


@pytest.fixture
def claims(postgres: Server) -> Callable[[], AdvisoryClaims]:
    return lambda: AdvisoryClaims(postgres.url, "a study")


def test_a_cohort_belongs_to_one_process_until_it_is_done(
    claims: Callable[[], AdvisoryClaims], postgres: Server
) -> None:
    mine, other, elsewhere = claims(), claims(), AdvisoryClaims(postgres.url, "another study")
    with mine.turn():
        assert mine.take(0)
    with other.turn():
        assert not other.take(0)
        assert other.take(1)
    with elsewhere.turn():
        assert elsewhere.take(0)
    with mine.turn():
        mine.finish()
        assert not mine.take(1)
    with other.turn():
        assert other.take(0)
    for one in (mine, other, elsewhere):
        one.release()


def test_turns_are_taken_one_after_the_other(claims: Callable[[], AdvisoryClaims]) -> None:
    mine, other, order = claims(), claims(), []

    def waits() -> None:
        with other.turn():
            order.append("other")

    thread = threading.Thread(target=waits)
    with mine.turn():
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        order.append("mine")
    thread.join(30)
    assert order == ["mine", "other"]


def test_a_killed_process_holds_nothing(claims: Callable[[], AdvisoryClaims], postgres: Server) -> None:
    holds = f"""
from search.choose.advisory import AdvisoryClaims
claims = AdvisoryClaims({postgres.url!r}, "a study")
with claims.turn():
    assert claims.take(7)
print("held", flush=True)
input()
"""
    process = subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    mine = claims()
    with mine.turn():
        assert not mine.take(7)
    process.kill()
    process.wait()
    for _ in range(100):
        with mine.turn():
            if mine.take(7):
                break
    else:
        pytest.fail("the claim has outlived its holder")
    mine.release()


@pytest.mark.usefixtures("postgres")
def test_after_a_restart_of_the_server_claims_are_taken_again() -> None:
    with server() as running:
        mine, other = (AdvisoryClaims(running.url, "a study") for _ in range(2))
        with mine.turn():
            assert mine.take(0)
            assert mine.take(1)
        running.stop()
        running.start()
        with other.turn():  # quicker
            assert other.take(0)
        with mine.turn():
            assert not mine.take(0)
        with other.turn():
            assert not other.take(1)
        mine.release()
        other.release()


def study(postgres: Server, name: str, **changes: object) -> Study:
    return Study(
        Recipe.parse(SMALL | changes, "test"), storage=postgres.url, study_name=name, tracking_uri=None, device="cpu"
    )


def test_a_study_in_postgresql_is_the_study(postgres: Server, tmp_path: Path) -> None:
    found = study(postgres, "whole").run(observers=[Quiet()])
    assert outcome(found) == outcome(small(tmp_path).run(observers=[Quiet()]))
    assert {trial.state for trial in found.optuna_study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_faults_are_told_in_a_line_without_the_password(postgres: Server) -> None:
    wrong = postgres.url.replace("s3cret", "wr0ng")
    with pytest.raises(EnvironmentFault, match="password authentication failed") as told:
        _ = Study(Recipe.parse(SMALL, "test"), storage=wrong, tracking_uri=None).optuna_study
    assert "wr0ng" not in str(told.value)
    nobody = postgres.url.replace(str(postgres.port), "1")
    with pytest.raises(EnvironmentFault, match=r"127\.0\.0\.1.*refused"):
        _ = Study(Recipe.parse(SMALL, "test"), storage=nobody, tracking_uri=None).optuna_study
