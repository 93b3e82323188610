"""No step waits for the host or takes numbers from it, which would leave a GPU idle.

The "meta" device has shapes but no numbers, so code that reads a tensor (`.item()`, `bool(tensor)`, `nonzero`, a copy
to the CPU) or mixes devices fails there. The CPU shows code that makes a tensor of Python numbers (`torch.tensor`, an
index that is a list), which on a GPU would be a copy to the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.contract import CASES, Case, bench, load_cases
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # it has no public name

from search.recipe.discovery import discover
from search.technique import Technique
from search.train.step_tables import StepTables
from search.train.trainer import Trainer

# The quantile of a Beta distribution is computed on the host, as its docstring says.
WAITS = ("mixup",)
EACH = [
    pytest.param(technique, case, id=f"{name}: {case.name}")
    for name, technique in discover().items()
    if name not in WAITS
    for case in load_cases(CASES / f"{name}.py")
]


class NothingFromTheHost(TorchDispatchMode):
    """Refuses tensors on another device, and tensors made of Python numbers."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = device
        self.may_take = False

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if self.may_take:
            return out
        assert function is not torch.ops.aten.lift_fresh.default, "a tensor is made of Python's numbers"
        for one in out if isinstance(out, tuple | list) else [out]:
            assert not isinstance(one, Tensor) or one.device.type == self._device, f"{function} leaves the device"
        return out


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(("technique", "case"), EACH)
def test_steps_neither_read_nor_take_from_the_host(
    technique: Technique, case: Case, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "meta" and technique.edges is not None:
        pytest.skip("bins are found in the numbers, before training")
    one = bench(technique, case)
    pack = one.pack([*one.slots, *one.slots], replicates=(0, 2), device=device)
    program = replace(pack.program, engine="torch")  # kernels run where the host is
    trainer = Trainer(program, pack.batches, pack.state, [slot.replicate for slot in pack.slots], 0)
    trainer.run_epoch()  # constants are created at first use
    watch, fill = NothingFromTheHost(device), StepTables.begin

    def begin(*given: Any) -> None:
        watch.may_take = True
        fill(*given)
        watch.may_take = False

    # The tables of the steps are copied to the device once in an epoch, before its steps.
    monkeypatch.setattr(StepTables, "begin", begin)
    with watch:
        trainer.run_epoch()
