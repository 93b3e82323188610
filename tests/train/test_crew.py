"""Jobs side by side: the cores they share are those that are there, and each runs on one torch thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from search.train import crew
from search.train.crew import cores, one_thread, share, side_by_side, threads
from search.train.machine import usable_cores

V1, V2 = "4:cpu,cpuacct:{}\n1:name=systemd:/\n0::/\n", "0::{}\n"


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch has three threads, on a machine of eight cores."""
    monkeypatch.setattr(crew, "usable_cores", lambda: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def on_cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process run on so many cores."""
    for name in ("sched_getaffinity", "process_cpu_count"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(number)), raising=False)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        (V2.format("/"), {}, 6),
        (V2.format("/"), {"cpu.max": "max 100000\n"}, 6),
        (V2.format("/"), {"cpu.max": "400000 100000\n"}, 4),
        (V2.format("/"), {"cpu.max": "150000 100000\n"}, 2),
        (V2.format("/"), {"cpu.max": "10000 100000\n"}, 1),
        (V2.format("/"), {"cpu.max": "9000000 100000\n"}, 6),
        (V2.format("/"), {"cpu.max": "no number\n"}, 6),
        # The strictest of a group and its ancestors holds, whichever it is.
        (V2.format("/a/b"), {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 25000\n", "cpu.max": "max 1\n"}, 2),
        (V2.format("/a/b"), {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "500000 100000\n"}, 3),
        # Inside of a container, the group is the mount itself.
        (V2.format("/docker/0f3a"), {"cpu.max": "200000 100000\n"}, 2),
        (V2.format("/../other"), {"cpu.max": "200000 100000\n"}, 2),
        (V1.format("/"), {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6),
        (V1.format("/"), {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        (
            V1.format("/x"),
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        (V1.format("/"), {"cpu/cpu.cfs_quota_us": "200000\n"}, 6),
        # Version 1 manages the CPU, and a quota of version 2 is mounted beside it.
        (V1.format("/"), {"unified/cpu.max": "200000 100000\n"}, 2),
        # The group of another controller has no quota of ours.
        ("4:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6),
        ("", {"cpu.max": "200000 100000\n"}, 6),
    ],
)
def test_a_quota_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str], expected: int
) -> None:
    on_cores(monkeypatch, 6)
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        file = tmp_path / "mount" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert usable_cores(tmp_path / "membership", tmp_path / "mount") == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 5):
        on_cores(monkeypatch, number)
        assert usable_cores(tmp_path / "none", tmp_path) == number
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    assert usable_cores(tmp_path / "none", tmp_path) == 3
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores(tmp_path / "none", tmp_path) == 7


@pytest.mark.usefixtures("three_threads")
def test_the_user_may_want_fewer_cores_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores() == threads(torch.device("cpu")) == 3
    assert threads(torch.device("cuda")) == 1
    torch.set_num_threads(20)
    assert cores() == 8
    monkeypatch.setattr(crew, "usable_cores", lambda: 2)
    assert cores() == 2


@pytest.mark.usefixtures("three_threads")
def test_one_thread_is_for_the_block_and_leaves_the_cores() -> None:
    with one_thread():
        assert (torch.get_num_threads(), cores()) == (1, 3)
        with one_thread():
            assert (torch.get_num_threads(), cores()) == (1, 3)
        assert (torch.get_num_threads(), cores()) == (1, 3)
    assert torch.get_num_threads() == cores() == 3
    with pytest.raises(ArithmeticError), one_thread():
        raise ArithmeticError
    assert torch.get_num_threads() == cores() == 3


class Look:
    """A job of two items: the torch threads and the cores that it has before each, and its share."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def __call__(self) -> Iterator[int]:
        for item in (1, 2):
            self.seen.append((torch.get_num_threads(), cores(), share()))
            yield item


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("jobs", "workers", "shares"), [(1, 3, 3), (4, 1, 3), (2, 5, 1), (3, 3, 1)])
def test_every_job_runs_on_one_thread_and_whoever_asks_for_them_does_not(jobs: int, workers: int, shares: int) -> None:
    looks = [Look() for _ in range(jobs)]
    stream = side_by_side(looks, workers)
    for item in stream:
        assert item in (1, 2)
        assert (torch.get_num_threads(), cores(), share()) == (3, 3, 1)
    assert torch.get_num_threads() == 3
    for look in looks:
        assert look.seen[0] == (1, 3, shares)
        assert [one[:2] for one in look.seen] == [(1, 3)] * 2


def fails() -> Iterator[int]:
    yield torch.get_num_threads()
    raise ArithmeticError("broken pack")


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_threads_are_back_after_a_failure_and_for_whoever_leaves(jobs: int) -> None:
    with pytest.raises(ArithmeticError, match="broken pack"):
        assert set(side_by_side([fails] * jobs, 2)) == {1}
    assert (torch.get_num_threads(), share()) == (3, 1)
    stream = side_by_side([lambda: iter(range(10**9))] * jobs, 2)
    next(stream)
    stream.close()
    assert (torch.get_num_threads(), share()) == (3, 1)
    # New threads too: their default is what was set last.
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [3]


@pytest.mark.parametrize("jobs", [1, 3])
def test_whoever_leaves_ends_the_jobs(jobs: int) -> None:
    ended: list[bool] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.append(True)

    stream = side_by_side([endless] * jobs, 3)
    next(stream)
    stream.close()
    assert ended


@pytest.mark.usefixtures("three_threads")
def test_the_last_job_gets_the_cores_of_those_that_have_ended() -> None:
    """Of two jobs for two workers, one ends when the other has begun."""
    begun, seen = threading.Event(), []

    def short() -> Iterator[int]:
        assert begun.wait(10)
        yield share()

    def long() -> Iterator[int]:
        begun.set()
        for _ in range(1_000):
            if share() > 1:
                break
            time.sleep(0.01)
        seen.append(share())
        yield 0

    assert sorted(side_by_side([short, long], 2)) == [0, 1]
    assert seen == [3]
