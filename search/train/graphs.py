"""Work that a GPU repeats without the host: it is recorded once as a CUDA graph, and then replayed.

    first call    the work as it is, which shows whether it can be recorded
    second call   recorded, without being done; then replayed
    later calls   replayed

A replay does the same operations on the same memory. So work can be recorded if what differs from call to call is in
tensors that keep their place (`search.train.step_tables`), and if the host reads nothing of what it computes.

Source: "CUDA Graphs" in PyTorch's documentation ("CUDA semantics"), which also says that the first call belongs on a
stream of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import torch

Result = TypeVar("Result")


class Recording(Protocol[Result]):
    """Recorded work.

    Attributes:
        result: what the work has returned, in tensors that every replay fills anew.
    """

    result: Result

    def replay(self) -> None: ...


class CudaGraph(Generic[Result]):
    """Work as a CUDA graph; the argument is the work, which is recorded and not done."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self.result = work()

    def replay(self) -> None:
        self._graph.replay()

    @staticmethod
    def first(work: Callable[[], Result]) -> tuple[Result, bool]:
        """Do the work; return its result, and whether the host has waited for no number of the device."""
        stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        before = torch.cuda.get_sync_debug_mode()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = work()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        torch.cuda.current_stream().wait_stream(stream)
        return result, not any("synchroniz" in str(one.message) for one in said)


def recorder(device: torch.device) -> type[CudaGraph[Any]] | None:
    """Return what records work on a device, None if nothing does."""
    return CudaGraph if device.type == "cuda" else None


class Repeated(Generic[Result]):
    """Work that is done again and again, and recorded where that is possible.

    Args:
        work: the work.
        device: the device on which it is done.
        may_record: a function that is called after the first call and returns whether the work can be recorded.
    """

    def __init__(
        self, work: Callable[[], Result], device: torch.device, may_record: Callable[[], bool] = lambda: True
    ) -> None:
        self._work, self._may_record = work, may_record
        self._recorder = recorder(device)
        self._recording: Recording[Result] | None = None
        self._is_first = True

    def __call__(self) -> Result:
        """Do the work, or replay it; the result of a replay is overwritten by the next one."""
        if self._recorder is None:
            return self._work()
        if self._is_first:
            self._is_first = False
            result: Result
            result, replayable = self._recorder.first(self._work)
            if not (replayable and self._may_record()):
                self._recorder = None
            return result
        if self._recording is None:
            self._recording = self._recorder(self._work)
        recording: Recording[Result] = self._recording
        recording.replay()
        return recording.result
