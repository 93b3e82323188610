"""Workers on a real Ray cluster of two nodes: the same results, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as some
from optuna.trial import TrialState
from support.postgres_server import Server
from support.ray_cluster import Nodes
from support.small_studies import ALONE, SMALL, Quiet, in_any_order, small
from support.waiting import until

from search import RequestError, Study
from search.recipe import Recipe
from search.record.observer import Trained
from search.workers import shipping
from search.workers.cluster import Share, share

LONGER = ALONE | {"sampler": "random", "set": SMALL["set"] | {"epochs": 40}}


class Once(Quiet):
    """Does something to the cluster, once a trial has been told."""

    def __init__(self, does: Callable[[], object]) -> None:
        super().__init__()
        self._does: Callable[[], object] | None = does

    def epoch(self, members: Sequence[Trained]) -> None:
        super().epoch(members)  # type: ignore[arg-type]
        if self.told_numbers and self._does is not None:
            does, self._does = self._does, None
            does()


@pytest.mark.slow
def test_a_cluster_comes_to_what_one_process_does_with_data_and_techniques_that_only_the_command_has(
    tmp_path: Path, nodes: Nodes
) -> None:
    values = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x=values, y=values[:, :1] * 2 + values[:, 1:2])
    (tmp_path / "still.py").write_text(
        'from search.technique import Technique\ntechnique = Technique(name="still", space={})\n'
    )
    changes = ALONE | {"sampler": "grid", "data": {"dataset": str(tmp_path / "own.npz")}}

    def study(name: str) -> Study:
        storage = f"sqlite:///{tmp_path / name}.db"
        recipe = Recipe.parse(SMALL | changes, "test")
        return Study(recipe, storage=storage, tracking_uri=None, device="cpu", techniques=[tmp_path / "still.py"])

    shared, alone = study("shared"), study("alone").run(observers=[Quiet()])
    (tmp_path / "own.npz").unlink()
    watcher = Quiet()
    shared.run(workers=2, engine="ray", address=nodes.address, observers=[watcher])
    assert in_any_order(shared) == in_any_order(alone)
    assert sum(one.trials for one in shared.team) == len(watcher.told_numbers) == 9
    assert sum(one.epochs for one in shared.team) == watcher.epochs == alone.epochs_trained


@pytest.mark.slow
def test_a_killed_process_of_the_cluster_is_replaced(
    tmp_path: Path, nodes: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    kills = Once(lambda: os.kill(nodes.processes_at_work()[0], signal.SIGKILL))
    shared = small(tmp_path, storage="shared.db", **LONGER)
    shared.run(workers=2, engine="ray", address=nodes.address, observers=[kills])
    assert "starting it again" in capfd.readouterr().err
    assert in_any_order(shared) == in_any_order(small(tmp_path, storage="alone.db", **LONGER).run(observers=[Quiet()]))


@pytest.mark.slow
def test_a_node_is_removed_and_the_study_goes_on_without(
    tmp_path: Path, nodes: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    shared = small(tmp_path, storage="shared.db", **LONGER | {"trials": 24})
    shared.run(workers=2, engine="ray", address=nodes.address, observers=[Once(nodes.remove)])
    nodes.add()
    assert "starting it again" in capfd.readouterr().err
    alone = small(tmp_path, storage="alone.db", **LONGER | {"trials": 24}).run(observers=[Quiet()])
    assert in_any_order(shared) == in_any_order(alone)


def trained(storage: str, name: str) -> bool:
    """Return whether a trial of a study is complete."""
    study = optuna.load_study(study_name=name, storage=storage)
    return bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


@pytest.mark.slow
def test_the_command_is_killed_and_run_again(tmp_path: Path, nodes: Nodes, postgres: Server) -> None:
    words = ["l2", "--dataset", "wine", "--epochs", "300", "--sampler", "random", "--pruner", "none", "--trials", "12"]
    words += ["--ask-batch", "2", "--tracking-uri", "none", "--study-name", "again"]
    address = f"localhost:{nodes.address.rpartition(':')[2]}"
    ours = [*words, "--storage", postgres.url, "--engine", "ray", "--address", address, "--workers", "2"]
    run = [sys.executable, "-m", "search.run"]
    killed = subprocess.Popen([*run, *ours], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(nodes.processes_at_work, 120)
    until(lambda: trained(postgres.url, "again"), 120)
    there = nodes.processes_at_work()
    assert killed.poll() is None
    killed.kill()
    killed.wait()
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in there), 120)
    subprocess.run([*run, *ours], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    subprocess.run([*run, *words], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    recipe = Recipe.load("l2").but(
        "l2",
        data={"dataset": "wine"},
        set={"epochs": 300},
        sampler="random",
        pruner={"name": "none"},
        trials=12,
        ask_batch=2,
    )
    found = [
        Study(recipe, study_name="again", storage=url, tracking_uri=None)
        for url in (postgres.url, f"sqlite:///{tmp_path}/optuna.db")
    ]
    assert in_any_order(found[0]) == in_any_order(found[1])


def test_what_a_cluster_cannot_do_is_told_in_a_line(
    tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small(tmp_path)
    with pytest.raises(RequestError, match=r"room for 2 workers with 1 CPU each, not for 3: .* give --workers 2"):
        study.run(workers=3, engine="ray", address=nodes.address)
    with pytest.raises(RequestError, match="belongs to the Ray cluster at"):
        study.run(engine="ray", address="127.0.0.1:1")
    with pytest.raises(RequestError, match="Ray Client"):
        study.run(engine="ray", address="ray://127.0.0.1:10001")
    for wrong in (":", "a:b", "local", "127.0.0.1:99999999", "127.0.0.1", "a b:1"):
        with pytest.raises(RequestError, match="address takes HOST:PORT"):
            study.run(engine="ray", address=wrong)
    with pytest.raises(RequestError) as told:
        study.run(engine="ray", address="postgresql://me:s3cret@127.0.0.1/db")
    assert "s3cret" not in str(told.value)
    with pytest.raises(RequestError, match=r"unknown engine 'rai': did you mean 'ray'"):
        study.run(engine="rai")
    with pytest.raises(RequestError, match="it needs engine ray"):
        study.run(address="auto")
    assert not (tmp_path / "study.db").exists()
    there = shipping.versions()
    monkeypatch.setattr(shipping, "versions", lambda: there | {"torch": "1.0"})
    with pytest.raises(RequestError, match=r"node [\d.]+ has torch .*, not 1\.0: install the same"):
        study.run(engine="ray", address=nodes.address)


def test_no_cluster_is_told_in_a_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    words = ["l2", "--dataset", "wine", "--engine", "ray", "--address", "127.0.0.1:1"]
    told = subprocess.run(
        [sys.executable, "-m", "search.run", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 1
    assert told.stderr.startswith("error: there is no Ray cluster at address 127.0.0.1:1")
    assert told.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_workers_share_a_clusters_cores_and_have_a_gpu_each() -> None:
    cores = [{"CPU": 8.0}, {"CPU": 4.0}]
    assert share(cores, 1, "auto") == Share(8, 0)
    assert share(cores, 3, "auto") == Share(4, 0)
    assert share(cores, 4, "cpu") == Share(2, 0)  # of three CPUs each, only three fit
    gpus = [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0}]
    assert share(gpus, 4, "auto") == Share(1, 1)
    assert share(gpus, 2, "cpu") == Share(8, 0)
    with pytest.raises(RequestError, match=r"room for 4 workers with 1 CPU and 1 GPU each, not for 5"):
        share(gpus, 5, "auto")
    with pytest.raises(RequestError, match="room for 0 workers"):
        share(cores, 1, "cuda")


@given(some.lists(some.integers(1, 64), min_size=1, max_size=6), some.integers(1, 40))
def test_a_share_is_the_largest_that_fits(cpus: list[int], workers: int) -> None:
    nodes = [{"CPU": float(each)} for each in cpus]
    if sum(cpus) < workers:
        with pytest.raises(RequestError):
            share(nodes, workers, "cpu")
        return
    found = share(nodes, workers, "cpu")
    assert sum(each // found.cpus for each in cpus) >= workers > sum(each // (found.cpus + 1) for each in cpus)
