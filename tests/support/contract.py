"""Cases of techniques for the contract suite: settings to train, and the same in plain torch.

Each `tests/objectives/cases/NAME.py` defines `CASES`, a list of `Case`; `test_contract.py` runs every one of them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from reference import Draws

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Numeric, Structural, Technique, Value
from search.train.pack import Pack
from support.data import random_data, random_images
from support.packs import STRUCTURE, Fixed, adam, make_pack

CASES = Path(__file__).parents[1] / "objectives" / "cases"
Plain = Callable[[Mapping[str, Any], Draws], Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """One way to use a technique, and the same in plain torch.

    Args:
        name: the case's part of the test's name.
        slots: the technique's own numeric hyperparameters in each slot; at least two slots differ, where the technique
            has any. Values of lr and of Adam are added unless they are given.
        plain: a function of a slot's values (with the structure) and the named draws, which returns arguments of
            `reference.train`, such as ``{"penalty": ...}``. Without "optimiser" Adam with the slot's values is used.
        structure: structural hyperparameters that differ from `packs.STRUCTURE`.
        techniques: all techniques of the study, the one under test among them; by default that one alone.
        data: "table" (100 rows, 13 features, 3 classes), "regression" (2 outputs) or "images" (1 x 6 x 5 pixels).
        loss: the loss of a regression.
        epochs: the number of epochs that are trained and compared.
    """

    name: str
    slots: Sequence[Mapping[str, float]]
    plain: Plain
    structure: Mapping[str, Value] = field(default_factory=dict)
    techniques: Sequence[str] = ()
    data: str = "table"
    loss: str | None = None
    epochs: int = 3


@cache
def _data(kind: str) -> Data:
    if kind == "images":
        return random_images(100)
    if kind == "regression":
        return random_data(100, 13, 2, task="regression")
    return random_data(100, 13, 3)


@dataclass(frozen=True)
class Bench:
    """A case ready to train.

    Attributes:
        case: the case.
        techniques: the techniques, in the case's order.
    """

    case: Case
    techniques: tuple[Technique, ...]

    @property
    def data(self) -> Data:
        """The data, as the techniques have prepared them."""
        data, names = _data(self.case.data), [technique.name for technique in self.techniques]
        for technique in self.techniques:
            if technique.prepare is not None:
                data = technique.prepare(data, Fixed(data, self.structure, names, self.loss))
        return data

    @property
    def structure(self) -> dict[str, Value]:
        return {**STRUCTURE, **self.case.structure}

    @property
    def slots(self) -> list[dict[str, float]]:
        own = self.case.slots
        if self.structure["optimizer"] in ("adam", "adamw"):
            return [{**adam(2e-3), **slot} for slot in own]
        return [{"lr": 0.05, **slot} for slot in own]

    @property
    def loss(self) -> str:
        return self.case.loss or ("mse" if self.case.data == "regression" else "cross_entropy")

    def pack(self, slots: Sequence[Mapping[str, float]] | None = None, **options: Any) -> Pack:
        """Build a pack of these slots, by default the case's; `options` are those of `packs.make_pack`."""
        given = {"techniques": self.techniques, "loss": self.loss} | options | dict(self.case.structure)
        return make_pack(_data(self.case.data), self.slots if slots is None else slots, **given)

    def without(self) -> dict[str, Any]:
        """Return arguments of `pack` for a study without the technique and its numeric hyperparameters.

        Structural hyperparameters stay, because nothing reads them.
        """
        own = self.case_technique.hyperparameters
        slots = [{name: value for name, value in slot.items() if name not in own} for slot in self.slots]
        return {"slots": slots, "techniques": [one for one in self.techniques if one is not self.case_technique]}

    @property
    def case_technique(self) -> Technique:
        """The technique under test: the last one."""
        return self.techniques[-1]

    def neutral(self) -> list[dict[str, float]] | None:
        """Return the slots with the technique's numeric hyperparameters at their neutral values.

        Return None where that does not turn the technique off: it has no neutral values, or the case turns it on by a
        structural hyperparameter.
        """
        own, structure = self.case_technique.hyperparameters, self.structure
        if any(
            isinstance(one, Structural) and structure.get(n, one.neutral) != one.neutral
            for n, one in own.items()
            if one.neutral is not None
        ):
            return None
        numeric = {n: one for n, one in own.items() if isinstance(one, Numeric)}
        values = {
            name: one.neutral for name, one in numeric.items() if one.neutral is not None and name in self.slots[0]
        }
        if not values:
            return None
        return [{**slot, **values} for slot in self.slots]

    def plain(self, slot: int, replicate: int = 0) -> dict[str, Any]:
        """Return arguments of `reference.train` that must give the same as this slot of a float64 pack."""
        values = self.slots[slot]
        draws = Draws(0, replicate, torch.float64)
        hidden = [int(width) for width in str(self.structure["hidden"]).split("x") if width not in ("", "0")]
        data = self.data
        usual: dict[str, Any] = {
            "widths": (data.features, *hidden, data.outputs),
            "epochs": self.case.epochs,
            "batch_size": int(self.structure["batch_size"]),
            "activation": str(self.structure["activation"]),
            "loss": self.loss,
            "draws": draws,
            "replicate": replicate,
            "optimiser": lambda parameters: torch.optim.Adam(
                parameters, lr=values["lr"], betas=(values["beta1"], values["beta2"]), eps=values["eps"]
            ),
        }
        return usual | dict(self.case.plain({**self.structure, **values}, draws))


def load_cases(path: Path) -> list[Case]:
    """Return the `CASES` of a file."""
    spec = importlib.util.spec_from_file_location(f"cases_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases: list[Case] = module.CASES
    return cases


def bench(technique: Technique, case: Case, known: Mapping[str, Technique] | None = None) -> Bench:
    """Return a case of a technique, ready to train, after the other techniques that it needs."""
    known = {**discover(), **(known or {}), technique.name: technique}
    names = [name for name in case.techniques if name != technique.name]
    return Bench(case, (*(known[name] for name in names), technique))
