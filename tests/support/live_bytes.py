"""Count the bytes of the tensors that are alive at a time, on a device without numbers."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # it has no public name
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts what is made inside of it.

    Attributes:
        now: the bytes of the tensors that are alive; views share theirs.
        most: the most that were alive at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        given = {id(one.untyped_storage()) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for one in tree_leaves(out):
            if isinstance(one, Tensor) and id(storage := one.untyped_storage()) not in self._seen | given:
                self._seen.add(id(storage))
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._free, id(storage), storage.nbytes())
        return out

    def reset(self) -> None:
        """Forget what was alive before."""
        self.most = self.now

    def _free(self, storage: int, size: int) -> None:
        self._seen.discard(storage)
        self.now -= size
