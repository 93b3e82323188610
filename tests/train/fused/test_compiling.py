"""Triton compiles every form of the kernels for a GPU (sm_90), which takes none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import pytest

from search.train.fused import toolchain

pytestmark = [
    pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.skipif(toolchain.interpreted(), reason="the interpreter is on, and compiles nothing"),
]
FORMS: Mapping[str, tuple[Mapping[str, bool | int], bool]] = {
    "plain": ({}, False),
    "everything": ({"DECAY": True, "PENALISED": True, "APART": True, "LOW": True}, True),
    "AdamW, in one slot": ({"DECAY": True, "DECOUPLED": True, "PENALISED": True, "slots": 1}, False),
}


def compiled(kernel: Any, constants: Mapping[str, bool | int], types: Mapping[str, str]) -> str:
    """Return the PTX code of a kernel whose other arguments are float32; a machine code for the GPU exists as well."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
    # As at a launch, torch's memory and the size of a padded row are multiples of 16.
    multiples = [at for at, name in enumerate(names) if signature[name] != "constexpr" and name != "slots"]
    aligned = {(at,): [["tt.divisibility", 16]] for at in multiples}
    source = ASTSource(kernel, signature, {(names.index(name),): one for name, one in constants.items()}, aligned)
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert built.asm["cubin"]
    return str(built.asm["ptx"])


@pytest.fixture(autouse=True)
def compiled_anew(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("form", FORMS)
def test_adam_is_compiled(form: str) -> None:
    from search.train.fused import kernels

    given, rounds = FORMS[form]
    flags = dict.fromkeys(("DECAY", "DECOUPLED", "PENALISED", "APART", "LOW"), False) | dict(given)
    types = {"low": "*bf16" if flags["LOW"] else "*fp32", "slots": "i32", "size": "i32"}
    code = compiled(kernels.adam, {**flags, "BLOCK": kernels.BLOCK}, types)
    # It reads and writes 16 bytes at a time, and rounds to the nearest number in bfloat16.
    assert "ld.global.v4.b32" in code
    assert "st.global.v4.b32" in code
    assert ("cvt.rn.bf16" in code) == rounds


def test_the_bound_of_norms_is_compiled() -> None:
    from search.train.fused import kernels

    types = dict.fromkeys(("size", "offset", "inputs", "outputs"), "i32")
    code = compiled(kernels.bound_norms, {"ROWS": kernels.ROWS, "COLUMNS": kernels.COLUMNS}, types)
    assert "ld.global.v4.b32" in code


def test_the_count_of_steps_is_compiled() -> None:
    from search.train.fused import kernels

    types = {"power1": "*fp64", "power2": "*fp64", "slots": "i32"}
    code = compiled(kernels.advance, {"BLOCK": kernels.SLOTS}, types)
    assert "sqrt.rn.f64" in code
