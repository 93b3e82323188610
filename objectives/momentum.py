"""Momentum of stochastic gradient descent, classical or Nesterov's.

``b <- momentum * b + (1 - dampening) * g``,  ``w <- w - lr * (g + momentum * b if nesterov else b)``. This is the
optimiser's own arithmetic, so the technique has no hooks. It makes SGD the optimiser, with lr 0.01, unless the study
says otherwise: at Adam's default of 1e-3 SGD hardly moves without momentum, above 0.01 strong momentum diverges.

Sampled: `momentum` and `nesterov`; `dampening` is 0 unless a study gives it a value or a range.

Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964); Sutskever et al., "On the
importance of initialization and momentum in deep learning" (ICML 2013); `torch.optim.SGD`.
"""

from __future__ import annotations

from search.technique import StudyContext, Technique


def check(context: StudyContext) -> None:
    """Nesterov's step is derived without dampening, and torch refuses the two together."""
    dampening = max(map(float, context.possible("dampening")))
    if True in context.possible("nesterov") and dampening > 0:
        raise ValueError(f"nesterov takes dampening 0, got {dampening:g}; --set nesterov=false allows it")


technique = Technique(
    name="momentum",
    set={"optimizer": "sgd", "lr": 0.01},
    space={"momentum": {"low": 0.0, "high": 0.99}, "nesterov": {"choices": [False, True]}},
    check=check,
)
