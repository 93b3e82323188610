"""The workers of a machine share its cores, and each of them runs torch on one thread."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from support.small_studies import ALONE, Quiet, small
from support.worker_orders import orders

from search.study.worker import train
from search.train import crew
from search.train.member import Member
from search.workers import local
from search.workers.local import LocalEngine
from search.workers.team import Ended

# Stands for the worker's module: it tells what it was given.
TOLD = """
import json, os, sys
print(json.dumps([json.loads(sys.stdin.readline())["threads"], int(os.environ["OMP_NUM_THREADS"])]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore torch's number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cores", "workers", "shares"), [(8, 2, [4, 4]), (8, 3, [3, 3, 2]), (2, 2, [1, 1]), (2, 4, [1, 1, 1, 1])]
)
def test_no_core_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, shares: list[int]
) -> None:
    (tmp_path / "stands_for_a_worker.py").write_text(TOLD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(local, "cores", lambda: cores)
    engine = LocalEngine(workers, "stands_for_a_worker")
    heard: list[queue.Queue[str | Ended]] = [queue.Queue() for _ in range(workers)]
    for index in range(workers):
        engine.start(index, orders(tmp_path), heard[index].put)
    told = [one.get(timeout=60) for one in heard]
    engine.close()
    assert [json.loads(str(one)) for one in told] == [[share, share] for share in shares]


@pytest.mark.usefixtures("threads")
def test_a_worker_trains_as_many_packs_as_it_has_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "usable_cores", lambda: 8)
    seen: set[tuple[int, int]] = set()
    train(orders(tmp_path, threads=3), lambda _line: seen.add((torch.get_num_threads(), crew.cores())))
    assert seen == {(1, 3)}
    assert len(small(tmp_path, **ALONE, sampler="grid").optuna_study.trials) == 2


@pytest.mark.usefixtures("threads")
def test_a_run_leaves_the_users_threads_as_they_are(tmp_path: Path) -> None:
    seen: set[int] = set()

    class Looks(Quiet):
        def epoch(self, members: Sequence[Member]) -> None:
            seen.add(torch.get_num_threads())
            super().epoch(members)

    torch.set_num_threads(5)
    study = small(tmp_path, **ALONE, sampler="grid").run(2, observers=[Looks()])
    assert (seen, torch.get_num_threads()) == ({1}, 5)
    study.replay(0)
    study.export(tmp_path / "net.safetensors")
    assert torch.get_num_threads() == 5
