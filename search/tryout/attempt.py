"""One attempt at a technique: the same slots train in different company, and must come to the same results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from search.errors import RequestError, TechniqueError, clip
from search.technique import Numeric, Structural, Technique
from search.technique.guarded import Hook, hooks_of
from search.train.engine import Engine
from search.train.pack import Pack
from search.train.plain_network import mean
from search.tryout.bench import EPOCHS, Bench, Numbers
from search.tryout.compare import Training, difference, trained
from search.tryout.fault import FailedTraining, Fault, fault, named
from search.tryout.results import first_padded
from search.tryout.watch import Watch

Compared = Callable[[Technique], bool]
"""A function that returns whether a technique shows a fault."""

_CLOSE = 1e-3
"""The relative difference of losses that rounding explains, where two programs compute the same."""
_LOSSES = ("train_loss", "train_objective", "val_loss", "val_objective")
_CROWD = 16
"""With so many more trials, a number for each slot fills vector registers, in which torch rounds some functions
differently."""
_DIMS = "sum or average over the batch or the weights (dim 1), not over the slots (dim 0)"
_SAID = {
    "again": "gives another result in a second, equal training: it draws random numbers of its own, for which there are"
    " values.uniform and values.normal, or keeps something outside of values.state",
    "beside other neighbours": "gives a slot another result when the hyperparameters of its neighbours change:"
    f" {_DIMS}",
    "in another place": "gives a slot another result in another place of a pack: use no index of slots, such as"
    " torch.arange(values.slots) or values['x'][0]",
    "without another replicate": "gives a slot another result without the slots of another replicate: each replicate"
    " has minibatches and draws of its own, so use values.uniform as it is, not one slot's draws for all",
    "alone": f"gives a slot another result alone than in a pack: {_DIMS}, and use values.slots for shapes only",
    "in a wider pack": f"gives a slot another result in a wider pack: {_DIMS}, and use values.slots for shapes only",
    "once others have left its pack": "gives a slot another result once others have left its pack: keep what lasts in"
    " values.state, with slots as its first dimension",
}
_SHARED_INPUTS = "; before a gradient in inputs that slots share, expand them by values.per_slot(batch.x)"
_ROUNDED = (
    "gives a slot other last bits {}: torch rounds exp, log, sigmoid, pow, einsum and matrix products differently where"
    " a vector register is not full, so compute them in float64 and round, as torch.exp(x.double()).to(x.dtype) does"
)


class Attempt:
    """A technique on a bench.

    Args:
        technique: the technique, guarded.
        bench: what it trains.
    """

    def __init__(self, technique: Technique, bench: Bench) -> None:
        self._technique, self._bench = technique, bench
        self._hooks = list(hooks_of(technique).values())

    def run(self) -> None:
        """Refuse a technique that breaks a contract.

        Raises:
            Fault: it does; the message names the hook.
            TechniqueError: a hook fails.
        """
        try:
            self._run()
        except RequestError:
            raise
        except Exception as error:
            hook = self._responsible(lambda one: self._train(one) is None)
            what = clip(" ".join(f"{type(error).__name__}: {error}".split()), 300)
            raise FailedTraining(f"{self._named(hook)} makes training fail: {what}") from error

    def _run(self) -> None:
        first = self._train(self._technique, strict=True)
        if (padded := _padded(first)) is not None:
            hook = self._responsible(lambda one: _padded(self._train(one)) is not None)
            raise Fault(f"{self._named(hook)} makes the padding of {padded} nonzero: weights must stay 0 there")
        trials, others, replicates = self._bench.trials, self._bench.others, self._bench.replicates
        places = [(trial, replicate) for trial in range(len(trials)) for replicate in replicates]
        same = [(trial, trial, replicate) for trial, replicate in places]
        self._agree("again", first, self._train, same)
        self._agree("beside other neighbours", first, lambda one: self._train(one, others), same[: len(replicates)])
        turned = [(trial, 2 - trial, replicate) for trial, replicate in places]
        self._agree("in another place", first, lambda one: self._train(one, trials[::-1]), turned)
        crowd = [*trials[::-1], *([trials[1]] * _CROWD)]
        self._agree("in a wider pack", first, lambda one: self._train(one, crowd), turned)
        last = replicates[-1:]
        of_last = [place for place in same if place[2] in last]
        self._agree("without another replicate", first, lambda one: self._train(one, replicates=last), of_last)
        self._agree("alone", first, lambda one: self._train(one, trials[:1], replicates[:1]), [(0, 0, replicates[0])])
        self._agree("alone", first, lambda one: self._train(one, trials[2:], last), [(2, 0, last[0])])
        self._agree("once others have left its pack", first, self._taken_out, [(1, 1, last[0])])
        self._stays_neutral()
        self._has_equal_forms(first)
        self._is_affine(first.pack)

    def _train(
        self,
        technique: Technique | None,
        trials: Sequence[Numbers] | None = None,
        replicates: Sequence[int] | None = None,
        *,
        strict: bool = False,
        engine: Engine | None = None,
    ) -> Training:
        """Train some trials with what stands in the technique's place, None for nothing."""
        watch = Watch(self._bench.batches.device, strict)
        watched = None if technique is None else watch.hooks(technique)
        return trained(self._bench.pack(watched, self._technique.name, trials, replicates, engine), watch)

    def _taken_out(self, technique: Technique) -> Training:
        """Train one epoch of all slots, and the others of the last slot but one trial alone."""
        watch = Watch(self._bench.batches.device, strict=False)
        whole = self._bench.pack(watch.hooks(technique), self._technique.name)
        whole.run_epoch()
        wanted = (1, self._bench.replicates[-1])
        at = next(at for at, slot in enumerate(whole.slots) if (slot.trial, slot.replicate) == wanted)
        watch.calls.clear()
        return trained(Pack.gather([whole], [(0, at)]), watch, EPOCHS - 1)

    def _agree(
        self, how: str, first: Training, train: Callable[[Technique], Training], slots: Sequence[tuple[int, int, int]]
    ) -> None:
        """Refuse a technique with which slots differ between the first training and another one."""
        found = difference(first, train(self._technique), slots)
        if found is None:
            return
        hook = found.hook or self._responsible(lambda one: difference(self._train(one), train(one), slots) is not None)
        # In the same place, every number is in the same lane of a vector register.
        moved = how not in ("again", "beside other neighbours")
        said = _ROUNDED.format(how) if found.rounding and moved else _SAID[how]
        advice = _SHARED_INPUTS if how == "beside other neighbours" and hook is not None and hook.name == "loss" else ""
        raise Fault(f"{self._named(hook)} {said}{advice}")

    def _stays_neutral(self) -> None:
        """Refuse a technique that does something at its neutral values."""
        own, structure = self._technique.hyperparameters, self._bench.structure
        if any(
            isinstance(one, Structural) and one.neutral is not None and structure.get(name, one.neutral) != one.neutral
            for name, one in own.items()
        ):
            return  # its own structural hyperparameters turn it on
        names = self._bench.trials[0]
        neutral = {
            name: float(one.neutral)
            for name, one in own.items()
            if isinstance(one, Numeric) and one.neutral is not None and name in names
        }
        if not neutral:
            return
        trials = [{**trial, **neutral} for trial in self._bench.trials]
        bare = [{name: value for name, value in trial.items() if name not in own} for trial in trials]
        absent = self._train(None, bare)

        def shows(technique: Technique) -> str | None:
            return _apart(self._train(technique, [*self._bench.trials, *trials]), absent, len(trials))

        try:
            apart = shows(self._technique)
        except TechniqueError:
            return  # a trial at its neutral values trains without it, so it need not work there
        if apart is not None:
            hook = self._responsible(lambda one: shows(one) is not None)
            where = ", ".join(f"{name}={value:g}" for name, value in neutral.items())
            raise Fault(
                f"{self._named(hook)} changes training at {where}, which is declared neutral ({apart} without the"
                " technique): there it must do nothing, or another value is neutral"
            )

    def _has_equal_forms(self, first: Training) -> None:
        """Refuse a technique whose compiled form does something else than its hook in torch."""
        technique = self._technique
        forms = {"powers": "penalty", "gate": "layer", "loops": "layer", "mix_loops": "mix"}
        stated = [name for name in forms if getattr(technique, name)]
        if not stated or first.pack.program.engine == "torch":
            return
        if (apart := _apart(first, self._train(technique, engine="torch"))) is not None:
            hooks = " and ".join(repr(hook) for hook in dict.fromkeys(forms[name] for name in stated))
            raise Fault(
                f"{self._hooks[0].place}: {' and '.join(stated)} and hook {hooks} do different things ({apart} by the"
                " hook): both state the same function"
            )

    def _is_affine(self, pack: Pack) -> None:
        """Refuse an `affine` hook with which the exported layers predict something else."""
        affine = next((hook for hook in self._hooks if hook.name == "affine"), None)
        if affine is None or _predicts_plainly(pack):
            return
        if _predicts_plainly(self._train(None).pack):  # the study's other techniques have plain layers
            raise fault(affine, "states another map than layer computes in evaluation: layer must be h * scale + shift")

    def _responsible(self, fails: Compared) -> Hook | None:
        """Return the first hook without which the technique shows no fault; the only one if it has no other."""
        for hook in self._hooks if len(self._hooks) > 1 else ():
            try:
                if not fails(_without(self._technique, hook)):
                    return hook
            except Exception:
                continue
        return self._hooks[0] if len(self._hooks) == 1 else None

    def _named(self, hook: Hook | None) -> str:
        if hook is not None:
            return named(hook)
        return f"{self._hooks[0].place}: one of the hooks {', '.join(hook.name for hook in self._hooks)}"


def _without(technique: Technique, hook: Hook) -> Technique:
    if hook.name == "layer":
        return replace(technique, layer=None, gate=None, loops=None, affine=None)
    if hook.name == "mix":
        return replace(technique, mix=lambda h, _number, _values: mean(list(h)), mix_loops=None)
    if hook.name == "branches":
        return technique  # without it nothing is mixed, so that every fault of `mix` would be its own
    if hook.name == "penalty":
        return replace(technique, penalty=None, powers={})
    removed: dict[str, Any] = {"loops" if hook.name == "loops.given" else hook.name: None}
    return replace(technique, **removed)


def _padded(training: Training) -> str | None:
    return first_padded(training.pack.state["theta"], training.pack.program.layout)


def _apart(one: Training, other: Training, first: int = 0) -> str | None:
    """Return a loss that is not the same in two trainings, or None.

    Args:
        one, other: the trainings, with the same replicates.
        first: the number of the trial of `one` with which the first of `other` is compared.
    """
    for at, slot in enumerate(other.pack.slots):
        place = one.place(slot.trial + first, slot.replicate)
        for epoch, (mine, there) in enumerate(zip(one.curves, other.curves, strict=True), 1):
            for name in [one for one in _LOSSES if one in mine and one in there]:
                a, b = float(mine[name][place]), float(there[name][at])
                if not abs(a - b) <= _CLOSE * max(abs(a), abs(b), 1e-6) and not (a != a and b != b):
                    return f"{name} {a:.5g} after epoch {epoch}, {b:.5g}"
    return None


@torch.no_grad()
def _predicts_plainly(pack: Pack) -> bool:
    """Return whether the layers that are exported predict what a pack does in evaluation."""
    x, outputs = pack.batches.x_val, pack.batches.outputs
    predicted = pack.predict(x)[..., :outputs]
    plain = torch.stack([pack.predict_plainly(pack.plain_weights(slot), x) for slot in range(len(pack.slots))])
    return torch.allclose(predicted, plain, rtol=_CLOSE, atol=_CLOSE)
