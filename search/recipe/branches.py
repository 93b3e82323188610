"""The branches of a space: which parameters exist in a trial, which are off, and the order in which they are drawn.

A conditional hyperparameter comes after those that its existence depends on. The order has no other meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from optuna.distributions import BaseDistribution

from search.recipe.switches import Switches
from search.technique import Hyperparameter, Value


@dataclass(frozen=True)
class Branches:
    """Hyperparameters with what decides whether they exist, and how their values are found.

    Attributes:
        declared: the declarations of all hyperparameters, by name.
        fixed: the values of the hyperparameters that are the same in every trial.
        searched: Optuna's distributions of what the sampler chooses: hyperparameters, groups and switches.
        derived: for each hyperparameter that is computed from others, the names of those and the function, which gets
            all values.
        switches: what may be off in some trials, and what decides it.
    """

    declared: Mapping[str, Hyperparameter]
    fixed: Mapping[str, Value]
    searched: Mapping[str, BaseDistribution]
    derived: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Value]], Value]]] = field(
        default_factory=dict, kw_only=True
    )
    switches: Switches = field(default_factory=Switches, kw_only=True)

    @property
    def conditional(self) -> bool:
        """Whether some searched hyperparameter exists only for some values of another one."""
        return any(self.depends(name) for name in self.searched)

    def depends(self, name: str) -> bool:
        """Return whether a hyperparameter's existence depends, directly or through others, on a searched one."""
        if name in self.switches.groups:
            return False
        hyperparameter = self.switches.switched.get(name, name)
        deciding = [parent for parent in self.switches.deciding(hyperparameter) if parent != name]
        parents = (*self.declared[hyperparameter].when, *deciding)
        return any(parent in self.searched or self.depends(parent) for parent in parents)

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Return whether a parameter exists, given the values of those before it; a switch does with its range."""
        declared = self.declared.get(self.switches.switched.get(name, name))
        return declared is None or all(values.get(parent) in allowed for parent, allowed in declared.when.items())

    def values_by(self, chosen: Callable[[str], Value]) -> dict[str, Value]:
        """Return all values of a trial, given a function that returns the drawn value of a parameter."""
        values: dict[str, Value] = {}
        for name in self.order:
            if not self.exists(name, values):
                continue
            if not self.switches.turn_off(name, values):
                values[name] = self.fixed[name] if name in self.fixed else chosen(name)
            elif (neutral := self.declared[name].neutral) is not None:
                values[name] = neutral
        return self._derive({name: value for name, value in values.items() if name in self.declared})

    @property
    def dimensions(self) -> list[str]:
        """The names of what is searched, in the user's words: a range with its switch is one dimension."""
        return [name for name in self.searched if name not in self.switches.switched]

    def text(self, name: str) -> str:
        """Return what a dimension is searched over, as the command line takes it: ``off,1e-06:0.1:log``."""
        return self.switches.text(name, self.searched[name], self.declared)

    @cached_property
    def order(self) -> list[str]:
        """All parameters, each one after those on which it depends."""
        return self.switches.order(self.declared)

    def _derive(self, values: dict[str, Value]) -> dict[str, Value]:
        for name, (_, function) in self.derived.items():
            values[name] = self.declared[name].validate(name, function(values))
        return values

    def product(self, axes: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
        """Yield every combination of values of the searched hyperparameters that can exist together."""
        return self._product(self.order, axes, {}, ())

    def _product(
        self, names: Sequence[str], axes: Mapping[str, Sequence[Value]], values: dict[str, Value], drawn: Sequence[str]
    ) -> Iterator[dict[str, Value]]:
        for at, name in enumerate(names):
            if not self.exists(name, values):
                continue
            if self.switches.turn_off(name, values):
                if (neutral := self.declared[name].neutral) is not None:
                    values = values | {name: neutral}
            elif name in self.fixed:
                values = values | {name: self.fixed[name]}
            elif name in self.searched:
                for value in axes[name]:
                    yield from self._product(names[at + 1 :], axes, values | {name: value}, (*drawn, name))
                return
        yield {name: values[name] for name in drawn}
