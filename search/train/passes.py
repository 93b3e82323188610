"""Further passes of a step: the gradient at other inputs or at other weights, computed from the first one.

    perturb_inputs   x' = f(x, dL/dx)    the step's gradient is the mean of those at x and at x'
    perturb_weights  w' = f(w, dL/dw)    the step's gradient is that at w'; then the weights are w again

Where several techniques have these hooks, one pass contains the other: what a technique perturbs is the gradient with
all techniques before it, and inputs come before weights. All passes of a step have the same random draws, so that a
perturbation of 0 changes nothing. Losses are recorded of the first pass only, and only that one changes moving
estimates (`Technique.moving`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from search.technique import Technique
from search.train.batches import Targets
from search.train.values import Moment, TechniqueValues

Pass = Callable[[Tensor, Targets, Tensor, Tensor, bool], Tensor | None]
"""A pass writes the gradient for a minibatch (inputs and targets), and adds up losses and further terms, ``(slots,)``.

The last argument is whether it returns the gradient in the inputs, ``slots x batch x padded features``.
"""


class Passes:
    """The pass of a program: the first one with the further ones that its techniques take.

    Args:
        first: the pass over a minibatch as it is.
        techniques: the program's techniques.
        values: each technique's view of the pack.
        moment: the point that the pack has reached.
        theta, gradient: the weights, and where passes write the gradient, ``slots x size``.
    """

    def __init__(
        self,
        first: Pass,
        techniques: Sequence[Technique],
        values: Sequence[TechniqueValues],
        moment: Moment,
        theta: Tensor,
        gradient: Tensor,
    ) -> None:
        self._moment, self._theta, self._gradient = moment, theta, gradient
        of_pack = list(zip(techniques, values, strict=True))
        self._moving = [own for technique, own in of_pack if technique.moving]
        self._whole = first
        for technique, own in of_pack:
            if technique.perturb_inputs is not None:
                self._whole = self._with_other_inputs(self._whole, technique.perturb_inputs, own)
        for technique, own in of_pack:
            if technique.perturb_weights is not None:
                self._whole = self._at_other_weights(self._whole, technique.perturb_weights, own)

    def __call__(self, x: Tensor, y: Targets, losses: Tensor, extra: Tensor) -> None:
        """Write the gradient for a minibatch ``groups or slots x batch``; add to its `losses` and the `extra` terms."""
        self._whole(x, y, losses, extra, False)

    def _with_other_inputs(self, inner: Pass, perturb: Callable[..., Tensor], values: TechniqueValues) -> Pass:
        def whole(x: Tensor, y: Targets, losses: Tensor, extra: Tensor, _needs_input: bool) -> Tensor | None:
            slope = inner(x, y, losses, extra, True)
            first = self._gradient.clone()
            with torch.no_grad():
                other = perturb(values.per_slot(x), slope, values)
            self._again(inner, other, y, losses)
            self._gradient.add_(first).mul_(0.5)
            return slope

        return whole

    def _at_other_weights(self, inner: Pass, perturb: Callable[..., Tensor], values: TechniqueValues) -> Pass:
        def whole(x: Tensor, y: Targets, losses: Tensor, extra: Tensor, needs_input: bool) -> Tensor | None:
            slope = inner(x, y, losses, extra, needs_input)
            trained = self._theta.clone()
            with torch.no_grad():
                self._theta.copy_(perturb(trained, self._gradient, values))
            self._again(inner, x, y, losses)
            self._theta.copy_(trained)
            return slope

        return whole

    def _again(self, inner: Pass, x: Tensor, y: Targets, losses: Tensor) -> None:
        """Take a pass with the draws of the first one, which adds no losses and leaves moving estimates as they are."""
        self._moment.forward = 0
        states = [tensor for own in self._moving for tensor in own.state.values()]
        before = [tensor.clone() for tensor in states]
        inner(x, y, torch.zeros_like(losses), torch.zeros_like(losses), False)
        for tensor, old in zip(states, before, strict=True):
            tensor.copy_(old)
