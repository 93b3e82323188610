"""Workers of a machine take its GPUs in turn. No GPU is needed: their number is what torch is made to say."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.small_studies import small
from support.worker_orders import orders

from search import api
from search.errors import EnvironmentFault, RequestError
from search.train.device import choose_device
from search.workers import gpus
from search.workers.cluster import share
from search.workers.local import LocalEngine
from search.workers.team import Ended

# Stands for the worker's module: it tells what it was given.
TOLD = """
import json, os, sys
device = json.loads(sys.stdin.readline())["device"]
print(json.dumps([device, os.environ.get("CUDA_VISIBLE_DEVICES")]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that lets torch see so many GPUs, which the environment may name."""

    def see(count: int, named: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.delenv(gpus.VISIBLE, raising=False)
        if named is not None:
            monkeypatch.setenv(gpus.VISIBLE, named)

    return see


@pytest.mark.parametrize(
    ("device", "count", "named", "seen"),
    [
        ("auto", 2, None, ["0", "1", "0"]),
        ("cuda", 3, "GPU-a, GPU-b,7", ["GPU-a", "GPU-b", "7"]),
        ("auto", 1, None, [None, None, None]),
        ("cpu", 2, None, [None, None, None]),
        ("cuda:1", 2, "4,5", ["4,5", "4,5", "4,5"]),
    ],
)
def test_each_worker_sees_its_gpu(
    tmp_path: Path,
    there: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    count: int,
    named: str | None,
    seen: list[str | None],
) -> None:
    (tmp_path / "stands_for_a_worker.py").write_text(TOLD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    given = orders(tmp_path, device=device)
    there(count, named)
    engine = LocalEngine(3, "stands_for_a_worker")
    heard: queue.Queue[str | Ended] = queue.Queue()
    told = []
    # The last one is worker 2 that has died and is started again.
    for index in (0, 1, 2, 2):
        engine.start(index, replace(given), heard.put)
        told.append(json.loads(str(heard.get(timeout=60))))
        if index == 2:
            engine.stop(index)
            assert isinstance(heard.get(timeout=60), Ended)
    engine.close()
    assert told == [[device, one] for one in [*seen, seen[2]]]


def test_a_run_says_that_its_workers_share_gpus(
    tmp_path: Path, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = small(tmp_path)
    study.given["device"] = "auto"
    monkeypatch.setattr(api, "run_study", lambda *_: None)
    there(2)
    study.run(workers=3, decide=False)
    assert "note: 3 workers take 2 GPUs in turn: for one of them give --device cuda:0, for" in capsys.readouterr().err
    there(4)
    study.run(workers=3, decide=False)
    assert "3 workers take 4 GPUs in turn, so 1 of them stays idle: for" in capsys.readouterr().err
    study.run(decide=False)
    there(1)
    study.run(workers=3, decide=False)
    assert "GPU" not in capsys.readouterr().err


def test_a_device_may_be_one_of_several_gpus(there: Callable[..., None]) -> None:
    there(2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")
    with pytest.raises(EnvironmentFault, match=r"cuda:2 .* sees only cuda:0 and cuda:1 here: use cuda:0 or cuda:1"):
        choose_device("cuda:2")
    with pytest.raises(RequestError, match=r"unknown device 'cuda:-1': did you mean 'cuda'\?"):
        choose_device("cuda:-1")
    there(0)
    with pytest.raises(EnvironmentFault, match=r"cuda:0 was asked for, but torch sees none here: use --device cpu"):
        choose_device("cuda:0")


def test_ray_chooses_the_gpu_of_each_worker() -> None:
    with pytest.raises(RequestError, match="use --device cuda or auto, got cuda:1"):
        share([{"CPU": 4, "GPU": 2}], 2, "cuda:1")
