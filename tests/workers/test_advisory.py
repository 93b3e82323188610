"""Claims in a real PostgreSQL server: who holds what, and what a death or a restart leaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from support.postgres_server import Server, server
from support.small_studies import SMALL, Quiet, outcome, small
from support.waiting import until

from search import EnvironmentFault, Study
from search.choose.advisory import AdvisoryClaims
from search.choose.asking import Asker
from search.choose.claims import Claims
from search.recipe import Recipe
from search.storage import away


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

    def taken() -> bool:
        with mine.turn():
            return mine.take(7)

    until(taken)
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


def somebody_waits(postgres: Server) -> bool:
    """Return whether a connection waits for a turn, which is an advisory lock."""
    waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with create_engine(postgres.url).connect() as connection:
        return connection.execute(waits).scalar_one() > 0


@pytest.mark.usefixtures("postgres")
def test_who_waits_for_its_turn_waits_for_a_restart_of_the_server_too() -> None:
    with server() as running:
        waiting = study(running, "waiting")
        _ = waiting.optuna_study
        holder = AdvisoryClaims(running.url, waiting.name)
        with suppress(SQLAlchemyError), holder.turn():  # which it loses
            thread = threading.Thread(target=waiting.run, kwargs={"observers": [Quiet()]})
            thread.start()
            until(lambda: somebody_waits(running))
            assert waiting.optuna_study.get_trials() == []
            running.stop()
            running.start()
        thread.join(60)
        assert len(waiting.optuna_study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))) == SMALL["trials"]


def test_only_a_server_that_is_away_is_waited_for(postgres: Server) -> None:
    def told(statement: str) -> SQLAlchemyError:
        with create_engine(postgres.url).connect() as connection, pytest.raises(SQLAlchemyError) as caught:
            connection.execute(text(statement))
        return caught.value

    assert away.is_away(postgres.url, told("SELECT pg_terminate_backend(pg_backend_pid())"))
    full = "DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
    assert not away.is_away(postgres.url, told(full))
    assert not away.is_away(postgres.url, told("SELECT nothing"))
    with pytest.raises(SQLAlchemyError) as refused:
        create_engine(postgres.url.replace(str(postgres.port), "1")).connect()
    assert away.is_away(postgres.url, refused.value)


def test_patience_ends_where_nothing_is_done(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "pause", lambda _: 0.0)
    calls: list[int] = []

    def fails() -> None:
        calls.append(1)
        create_engine(postgres.url.replace(str(postgres.port), "1")).connect()

    with pytest.raises(SQLAlchemyError):
        away.persist(fails, lambda: 7, postgres.url)
    assert len(calls) == away.PATIENCE
    calls.clear()
    with pytest.raises(SQLAlchemyError):
        away.persist(fails, lambda: min(len(calls), 5), postgres.url)  # does something five times
    assert len(calls) == 5 + away.PATIENCE - 1


def test_a_turn_that_is_lost_leaves_no_ticket_twice(postgres: Server) -> None:
    """The server ends one process's connection in the middle of its turn, and another asks meanwhile."""
    changes = {"trials": 2, "ask_batch": 2, "pruner": {"name": "none"}}
    unlucky, other = (study(postgres, "lost", **changes) for _ in range(2))
    theirs = other.claims

    class Loses(AdvisoryClaims):
        asked: Any = None

        def take(self, cohort: int) -> bool:
            taken = super().take(cohort)
            if self.asked is None:
                with create_engine(postgres.url, isolation_level="AUTOCOMMIT").connect() as connection:
                    holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({holders}) AS holding"))
                self.asked = asker(other, theirs).next_cohort()
            return taken

    def asker(of: Study, claims: Claims) -> Asker:
        assert of.backend is not None or of.optuna_study
        assert of.backend is not None
        return Asker(of.optuna_study, of.backend, of.recipe, of.space, 2, claims)

    _ = other.optuna_study
    losing = Loses(postgres.url, "lost")
    mine = asker(unlucky, losing)
    with pytest.raises(SQLAlchemyError):
        mine.next_cohort()
    assert [one.number for one in losing.asked[1]] == [0, 1]
    assert mine.next_cohort() == (0, [])  # it is the other's
    trials = unlucky.optuna_study.get_trials()
    assert [trial.state for trial in trials if trial.state != TrialState.FAIL] == [TrialState.RUNNING] * 2
    theirs.release()
    assert [one.number for one in mine.next_cohort()[1]] == [0, 1]  # type: ignore[index]
    losing.release()
