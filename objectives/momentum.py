"""Momentum makes each step of SGD follow a running sum of past gradients, in the classical form or Nesterov's.

``b <- momentum * b + (1 - dampening) * g``,  ``w <- w - lr * (g + momentum * b if nesterov else b)``

The optimiser computes this itself, so the technique has no hooks. Unless the study sets them, the optimiser is SGD and
`lr` is 0.01: at Adam's default of 1e-3, SGD hardly moves without momentum, and above 0.01 strong momentum diverges.

Shapes: `momentum` and `dampening` are ``(slots,)``; b, g and w are ``slots x size``. Hyperparameters searched:
`momentum` and `nesterov`; `dampening` is 0 unless a study sets or searches it.

Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964); Sutskever et al., "On the
importance of initialization and momentum in deep learning" (ICML 2013); `torch.optim.SGD`.
"""

from __future__ import annotations

from search.technique import StudyContext, Technique


def check(context: StudyContext) -> None:
    """Refuse Nesterov momentum with dampening: its step is derived without dampening, and torch refuses the pair."""
    dampening = max(map(float, context.possible("dampening")))
    if True in context.possible("nesterov") and dampening > 0:
        raise ValueError(f"nesterov takes dampening 0, got {dampening:g}; --set nesterov=false allows dampening")


technique = Technique(
    name="momentum",
    set={"optimizer": "sgd", "lr": 0.01},
    space={"momentum": {"low": 0.0, "high": 0.99}, "nesterov": {"choices": [False, True]}},
    check=check,
)
