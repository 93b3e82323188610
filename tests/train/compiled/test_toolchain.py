"""Machines without compiled kernels train with torch; a cache that fails costs time, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.data import random_data
from support.marks import slow
from support.packs import adam, make_pack, needs_kernels, train_pack, with_engine
from support.processes import environment

from search.recipe.discovery import discover
from search.train import streams
from search.train.compiled import toolchain

TRAIN = """
import hashlib, json, torch
from search.recipe.discovery import discover
from support.data import random_data
from support.packs import adam, make_pack, train_pack

def trained():
    slots = [adam(dropout=0.3), adam(3e-3, dropout=0.1)]
    pack = make_pack(random_data(100, 13, 3), slots, techniques=[discover()["dropout"]], hidden="12x20")
    train_pack(pack, 2)
    return pack

def told(pack):
    theta = pack.state["theta"]
    return {"engine": pack.program.engine, "bits": hashlib.sha256(theta.numpy().tobytes()).hexdigest()}

torch.set_num_threads(1)
"""
TWICE = f"{TRAIN}\ntrained()\nprint(json.dumps(told(trained())))"
DRAW = "from search.train import streams; print(streams.dense_uniform(7, 5).tolist())"
SLOWER = "torch trains without compiled kernels, which takes longer"


def python(code: str, **changes: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", code]
    return subprocess.Popen(
        words, env=environment(**changes), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process: subprocess.Popen[str]) -> tuple[Any, list[str]]:
    """Return what a process printed, and the lines of its stderr; it must end well."""
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return json.loads(out), said.splitlines()


def told(engine: str) -> dict[str, str]:
    """Return what a process prints that trains with this engine."""
    slots = [adam(dropout=0.3), adam(3e-3, dropout=0.1)]
    pack = make_pack(random_data(100, 13, 3), slots, techniques=[discover()["dropout"]], hidden="12x20")
    pack = with_engine(pack, engine)  # type: ignore[arg-type]
    train_pack(pack, 2)
    return {"engine": engine, "bits": hashlib.sha256(pack.state["theta"].numpy().tobytes()).hexdigest()}


MACHINES = {
    "NUMBA_DISABLE_JIT is set": ("", {"NUMBA_DISABLE_JIT": "1"}),
    "numba cannot be imported (import of numba halted; None in sys.modules)": (
        "import sys; sys.modules['numba'] = None",
        {},
    ),
    "numba cannot be imported (libllvm is gone)": (
        "import sys; sys.meta_path.insert(0, type('Broken', (), {'find_spec': staticmethod(broken)}))",
        {},
    ),
    "this processor has no AVX2": (
        "from llvmlite import binding; own = binding.get_host_cpu_features();"
        "binding.get_host_cpu_features = lambda: {**own, 'avx2': False};"
        "binding.get_process_triple = lambda: 'x86_64-unknown-linux-gnu'",
        {},
    ),
}
BROKEN = """
def broken(name, path=None, target=None):
    if name == "numba":
        raise OSError("libllvm is gone\\nmore about it")
"""


UNSET, HALTED, NO_LIBRARY, OLD = MACHINES


@needs_kernels
@pytest.mark.parametrize("reason", [UNSET, NO_LIBRARY, *slow(HALTED, OLD)])
def test_torch_trains_and_one_line_says_why(reason: str) -> None:
    """The line comes once, though two packs train; the results are those of torch's engine on any machine."""
    before, changes = MACHINES[reason]
    found, said = answer(python(f"{BROKEN}\n{before}\n{TWICE}", **changes))
    assert said == [f"note: {reason}: {SLOWER}"]
    assert found == told("torch")


@pytest.mark.parametrize(
    ("triple", "features", "reason"),
    [
        ("x86_64-unknown-linux-gnu", {"avx2": True, "fma": True}, None),
        ("x86_64-unknown-linux-gnu", {"avx2": True, "fma": False}, "this processor has no AVX2"),
        ("x86_64-unknown-linux-gnu", {}, "this processor has no AVX2"),
        ("arm64-apple-darwin23", {"neon": True}, None),
        ("aarch64-unknown-linux-gnu", {}, None),
        ("riscv64-unknown-linux-gnu", {"avx2": True}, "there are no kernels for riscv64 processors"),
    ],
)
@needs_kernels
def test_processors(monkeypatch: pytest.MonkeyPatch, triple: str, features: dict[str, bool], reason: str) -> None:
    binding = pytest.importorskip("llvmlite.binding")
    monkeypatch.setattr(binding, "get_process_triple", lambda: triple)
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    assert toolchain.unavailable.__wrapped__() == reason


def below_a_file(folder: Path) -> str:
    (folder / "file").write_text("")
    return str(folder / "file" / "cache")


@needs_kernels
def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    where = below_a_file(tmp_path)
    found, (said,) = answer(python(DRAW, NUMBA_CACHE_DIR=where))
    assert found == streams.dense_uniform(7, 5).tolist()
    why = f"[Errno 20] Not a directory: '{where}/regsearch/kernels"
    assert said.startswith(f"note: compiled kernels can't be kept ({why}")
    assert said.endswith(
        "each process compiles them anew, which takes about 15 s; set NUMBA_CACHE_DIR to a folder that can be written"
    )


@needs_kernels
def test_a_full_disk_costs_time_only(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: some can be made, but the kernels do not fit."""
    most = 2**12

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, "-c", DRAW], env=environment(NUMBA_CACHE_DIR=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
    assert json.loads(done.stdout) == streams.dense_uniform(7, 5).tolist()
    assert done.stderr.startswith("note: compiled kernels can't be kept ([Errno 27] File too large")
    assert done.stderr.count("\n") == 1


def test_no_home_costs_time_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert toolchain.cache_folder.__wrapped__() is None
    assert "can't be kept (Could not determine home directory.)" in capsys.readouterr().err


@pytest.mark.slow
@needs_kernels
def test_a_power_failure_in_the_cache_is_repaired(tmp_path: Path) -> None:
    """The files that it emptied or cut short are compiled anew, and then all of them are found."""
    env = {"NUMBA_CACHE_DIR": str(tmp_path)}
    found, said = answer(python(DRAW, **env))
    assert said == ["note: kernels are compiled for this processor, which takes about 15 s, once"]
    for kind, left in (("nbi", 0), ("nbc", 300)):
        files = list(tmp_path.rglob(f"*.{kind}"))
        assert files
        for file in files:
            file.write_bytes(file.read_bytes()[:left])
        assert answer(python(DRAW, **env)) == (found, [])
        assert all(file.stat().st_size > left for file in files)
    repaired = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb?")}
    assert answer(python(DRAW, **env)) == (found, [])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb?")} == repaired


@needs_kernels
def test_threads_that_compile_at_once_leave_the_user_s_setting_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that train side by side may be the first to call a technique's loops, and numba has one setting for all."""
    import numba

    seen: list[str] = []

    class Slow:
        def enable_caching(self) -> None:
            time.sleep(0.01)
            seen.append(numba.config.CACHE_DIR)

    monkeypatch.setattr(numba, "njit", lambda **_options: lambda _function: Slow())
    monkeypatch.setattr(numba.config, "CACHE_DIR", "the user's")
    start = threading.Barrier(5)

    def work() -> None:
        start.wait()
        toolchain.kernel(work)

    team = [threading.Thread(target=work) for _ in range(5)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    assert seen == [str(toolchain.cache_folder())] * 5
    assert numba.config.CACHE_DIR == "the user's"


FORK = f"""{TRAIN}
import os
from search.train.compiled import network
if THREADS > 1:
    network.share, network._SHARED = (lambda: THREADS), 0
before = told(trained())
reading, writing = os.pipe()
if not os.fork():
    os.write(writing, json.dumps(told(trained())).encode())
    os._exit(0)
os.close(writing)
with open(reading) as pipe:
    child = json.loads(pipe.read())
print(json.dumps([before, child, told(trained())]))
"""


@needs_kernels
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("threads", [*slow(1), 3])
def test_a_forked_process_trains_too(threads: int) -> None:
    """Helper threads do not survive a fork: the child makes its own, and parent and child have the same bits."""
    found, said = answer(python(f"THREADS = {threads}\n{FORK}"))
    assert found == [told("compiled")] * 3
    assert said == []


@pytest.mark.slow
@needs_kernels
def test_two_processes_that_compile_at_once(tmp_path: Path) -> None:
    """Both finish with the same bits, and a third finds everything in the cache."""
    env = {"NUMBA_CACHE_DIR": str(tmp_path)}
    both = [answer(process) for process in [python(TWICE, **env) for _ in range(2)]]
    assert [found for found, _ in both] == [told("compiled")] * 2
    note = "note: kernels are compiled for this processor, which takes about 15 s, once"
    assert all(said in ([], [note]) for _, said in both)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb?")}
    assert answer(python(TWICE, **env)) == (told("compiled"), [])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb?")} == kept


@pytest.mark.slow
@needs_kernels
def test_training_without_a_cache_has_the_same_bits(tmp_path: Path) -> None:
    found, said = answer(python(TWICE, NUMBA_CACHE_DIR=below_a_file(tmp_path)))
    assert found == told("compiled")
    assert len(said) == 1


@pytest.mark.slow
def test_the_tests_of_torch_s_engine_pass_where_numba_is_missing(tmp_path: Path) -> None:
    """This is how they are run without numba; `NUMBA_DISABLE_JIT=1 uv run pytest -m torch_engine` is the same."""
    (tmp_path / "numba.py").write_text("raise ImportError('there is no numba')\n")
    root = Path(__file__).parents[3]
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "torch_engine", "tests/train"]
    done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
