"""Work that a GPU repeats without the host: it is recorded once as a CUDA graph, and then replayed.

    first call    the work as it is; constants are made
    second call   the work as it is, which shows whether the host waits for the device in it
    third call    recorded, without being done; then replayed
    later calls   replayed

A replay does the same operations on the same memory. So work can be recorded if what differs from call to call is in
tensors that keep their place (`search.train.step_tables`), and if the host reads nothing of what it computes.

Source: "CUDA Graphs" in PyTorch's notes on CUDA semantics. `torch.cuda.graph` is not used, because it collects garbage
and empties torch's cache of memory for each graph, and a pack records three.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

Work = Callable[[], dict[str, Tensor]]
"""What is done again and again; it returns tensors by name, or none."""
_WAITS = "called a synchronizing CUDA operation"
"""What torch warns of in its synchronization debug mode."""


class Recording(Protocol):
    """Recorded work; the argument is the work, which is recorded and not done.

    Attributes:
        result: what the work has returned, in tensors that every replay fills anew.
    """

    result: dict[str, Tensor]

    def __init__(self, work: Work) -> None: ...

    def replay(self) -> None: ...

    @staticmethod
    def tried(work: Work) -> tuple[dict[str, Tensor], bool]:
        """Do the work; return its result, and whether the host has never waited for the device."""
        ...


class CudaGraph:
    """Work as a CUDA graph on the current device (`Recording`).

    Raises:
        RuntimeError: the work cannot be recorded, for instance because the host waits for the device in it.
    """

    def __init__(self, work: Work) -> None:
        self._graph = torch.cuda.CUDAGraph()
        stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._graph.capture_begin(capture_error_mode="thread_local")
            try:
                self.result = work()
            finally:
                self._graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)

    def replay(self) -> None:
        self._graph.replay()

    @staticmethod
    def tried(work: Work) -> tuple[dict[str, Tensor], bool]:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = work()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return result, not any(_WAITS in str(one.message) for one in said)


def recorder(device: torch.device) -> type[Recording] | None:
    """Return what records work on a device, None if nothing does."""
    return CudaGraph if device.type == "cuda" else None


class Repeated:
    """Work that is done again and again, and recorded where that is possible.

    Args:
        work: the work.
        device: the device on which it is done.
        may_record: a function that is called after the second call and returns whether the work can be recorded.
    """

    def __init__(self, work: Work, device: torch.device, may_record: Callable[[], bool] = lambda: True) -> None:
        self._work, self._may_record = work, may_record
        self._recorder = recorder(device)
        self._recording: Recording | None = None
        self._calls = 0

    def __call__(self) -> dict[str, Tensor]:
        """Do the work, or replay it, and return its result."""
        self._calls += 1
        if self._recorder is None or self._calls == 1:
            return self._work()
        if self._calls == 2:
            result, replayable = self._recorder.tried(self._work)
            if not (replayable and self._may_record()):
                self._recorder = None
            return result
        if self._recording is None:
            try:
                self._recording = self._recorder(self._work)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                _say_slower(str(error))
                self._recorder = None
                return self._work()
        self._recording.replay()
        # The caller may keep the result, and the next replay overwrites that of the recording.
        return {name: value.clone() for name, value in self._recording.result.items()}


@cache
def _say_slower(reason: str) -> None:
    print(f"note: training goes on without CUDA graphs, which takes longer: {reason}", file=sys.stderr)
