"""Whether kernels can be compiled on this machine, how, and where the compiled code is kept.

numba compiles a kernel when it is first called, in about 15 seconds for all of them, and keeps the machine code in the
user's cache folder, in a folder named after the kernels' sources and the compiler's versions. Later processes load it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

COMPILERS = ("numba", "llvmlite")
"""The packages whose versions decide a kernel's bits."""
_ROOM = 2**22  # the bytes that the compiled kernels of a few programs take
_setting = threading.Lock()


@cache
def unavailable() -> str | None:
    """Return why kernels cannot be compiled here, None if they can."""
    try:
        import numba
        from llvmlite import binding
    except (ImportError, OSError) as error:  # OSError: llvmlite's library is not there
        return f"numba cannot be imported ({str(error).strip().partition(chr(10))[0]})"
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set"
    machine = binding.get_process_triple().partition("-")[0]
    if machine not in ("x86_64", "aarch64", "arm64"):
        return f"there are no kernels for {machine} processors"
    features = binding.get_host_cpu_features()
    if machine == "x86_64" and not (features.get("avx2") and features.get("fma")):
        return "this processor has no AVX2"
    return None


def vector_bytes() -> int:
    """Return the bytes of one of the processor's vector registers."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of loops over arrays as numba compiles it: a decorator.

    Other threads run beside it, and 1 / 0 is infinite, as in torch.
    """
    import numba

    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")(function)
    _keep(compiled)
    return compiled


def _keep(compiled: Any) -> None:
    """Let numba keep the machine code of a function; it decides here on the folder."""
    import numba

    # The setting is ours for this moment only, in which no other pack that trains beside this one may change it.
    with _setting:
        if (folder := cache_folder()) is None:
            return
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            # What was typed at a prompt is not kept: no file says when it changes.
            with suppress(RuntimeError):
                compiled.enable_caching()
        finally:
            numba.config.CACHE_DIR = before


def versions() -> dict[str, str]:
    """Return the versions of the compilers, "" for one that is not installed."""
    return {name: _version(name) for name in COMPILERS}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def cache_folder() -> Path | None:
    """Return the folder of compiled kernels; None, and a note, if it can't be written."""
    try:
        folder = kernels_folder()
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
        _remove_damaged(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows where the user's home is
        print(
            f"note: compiled kernels can't be kept ({error}): each process compiles them anew, which takes about 15 s; "
            "set NUMBA_CACHE_DIR to a folder that can be written",
            file=sys.stderr,
        )
        return None
    if new:
        print("note: kernels are compiled for this processor, which takes about 15 s, once", file=sys.stderr)
    return folder


def kernels_folder() -> Path:
    """Return the place of compiled kernels; it exists once some have been compiled.

    Raises:
        RuntimeError: nobody knows where the user's home is.
    """
    return _user_cache() / f"kernels-{_digest()}"


def _remove_damaged(folder: Path) -> None:
    """Remove files that a power failure cut short, on which numba would fail in every later process.

    They are pickles, whose last byte is a full stop.
    """
    for kept in folder.rglob("*.nb[ic]"):
        with suppress(FileNotFoundError):  # another process was faster
            if not kept.read_bytes().endswith(b"."):
                kept.unlink()


def _digest() -> str:
    """Return a text that differs for other kernels and other compilers."""
    digest = hashlib.blake2b(digest_size=8)
    here = Path(__file__).parent
    # Kernels contain the slope of leaky_relu, too.
    for source in (*sorted(here.glob("*.py")), here.parent / "activations.py"):
        digest.update(source.read_bytes())
    digest.update(repr(sorted(versions().items())).encode())
    return digest.hexdigest()


def _user_cache() -> Path:
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "regsearch"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "regsearch"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regsearch"
