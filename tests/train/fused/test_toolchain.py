"""Where the kernels for a GPU cannot be used, torch trains, and says so once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch

from search.train import engine
from search.train.fused import toolchain


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    caches = toolchain.unavailable, engine._say_slower
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Let torch see a GPU on which launches fail with an error, or succeed."""
    tried = []

    class Kernel:
        def __getitem__(self, _grid: tuple[int, ...]) -> object:
            def launch(*_given: object, **_named: object) -> None:
                tried.append(self)
                if error is not None:
                    raise error

            return launch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "full", lambda *_given, **_named: None)
    monkeypatch.setattr(toolchain, "find_spec", lambda _name: object())
    fake = SimpleNamespace(advance=Kernel(), SLOTS=1)
    monkeypatch.setitem(sys.modules, "search.train.fused.kernels", fake)  # type: ignore[arg-type]
    import search.train.fused as package

    monkeypatch.setattr(package, "kernels", fake, raising=False)


def test_a_cpu_has_none() -> None:
    assert toolchain.unavailable("cpu") == "kernels in Triton are for a GPU, not for cpu"


def test_without_triton_torch_trains(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(toolchain, "find_spec", lambda _name: None)
    for _ in range(2):
        assert engine.choose_engine(torch.device("cuda"), "bf16") == "torch"
    note = "note: Triton is not installed: torch trains without compiled kernels, which takes longer\n"
    assert capsys.readouterr().err == note
    assert engine.describe_engine(torch.device("cuda"), "fp32") == "torch"


def test_without_a_c_compiler_torch_trains(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    on_a_gpu(monkeypatch, RuntimeError("Failed to find\nC compiler"))
    assert engine.choose_engine(torch.device("cuda"), "fp32") == "torch"
    said = "Triton does not work here (RuntimeError: Failed to find C compiler)"
    assert capsys.readouterr().err == f"note: {said}: torch trains without compiled kernels, which takes longer\n"


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_engine_is_recorded_with_the_version_of_triton(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import triton

    on_a_gpu(monkeypatch)
    assert engine.describe_engine(torch.device("cuda"), "fp32") == f"torch (triton {triton.__version__})"
    assert not capsys.readouterr().err
