"""A schedule changes strengths of regularisation from step to step: in most shapes they fall to 0 by the end.

``strength_t = strength * f(t)``, for each hyperparameter that `scheduled` names, with t the share of the training steps
that are over, from 0 to 1:

    constant     1
    linear       1 - t
    cosine       (1 + cos(pi t)) / 2
    flat_cosine  1 in the first half, then half a cosine: (1 + cos(pi (max(1, 2 t) - 1))) / 2
    coslog4      (1 - cos(2 pi log2(1 + 15 t))) / 2: from 0 up to 1 and back, four times

`scheduled` is one name or several, joined by +: ``--set scheduled=dropout+weight_decay``. A strength is a number that
does nothing at 0 and regularises more as it grows, such as `dropout`, `weight_decay`, `l2` or `label_smoothing`. Those
of your own techniques count too, where a hook reads them at every step. The learning rate has `lr_schedule`.

Only training steps are scheduled. What is measured after an epoch, such as `val_objective`, has the strengths of the
trial, and so have Monte Carlo passes of dropout. On a CPU, kernels take many steps at once if dropout or input dropout
is scheduled; where anything else is, they take one by one, which takes longer for small networks.

Shapes: the factor is ``(slots,)``. Hyperparameters searched: the shape, named `schedule`; `scheduled` is dropout unless
a study sets or searches it.

Source: Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted trees on tabular data" (NeurIPS 2024):
RealMLP, whose dropout and weight decay follow flat_cosine (flat_cos there).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Hyperparameter, Numeric, Structural, StudyContext, Technique, Value, Values
from search.technique.shapes import coslog4, flat_cosine

_FLAT = {"cosine": 0.0, "flat_cosine": 0.5}


def parse(value: object) -> Value:
    """Return names in their standard form, ``"dropout+weight_decay"``; raise ValueError for anything else."""
    names = [name.strip() for name in str(value).split("+")]
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError("takes names of hyperparameters joined by '+', each once, such as dropout+weight_decay")
    return "+".join(names)


def check(context: StudyContext) -> None:
    """Refuse names that are no strengths of the study, and strengths that no trial uses."""
    strengths = [name for name, one in context.hyperparameters.items() if is_strength(one)]
    for names in context.possible("scheduled"):
        for name in str(names).split("+"):
            if name not in strengths:
                raise ValueError(f"scheduled takes strengths of this study ({', '.join(strengths)}), got {name!r}")
            if context.possible(name) == [0]:
                raise ValueError(f"scheduled names {name}, which is 0 in every trial: give it a value or a range")


def is_strength(declared: Hyperparameter) -> bool:
    """Return whether a hyperparameter does nothing at 0 and regularises more as it grows."""
    return isinstance(declared, Numeric) and declared.neutral == 0 and declared.stronger == "up" and not declared.whole


def schedule(step: int, steps: int, values: Values) -> Mapping[str, Tensor]:
    """Return the factors of a step, ``(slots,)`` each, by the names of the hyperparameters."""
    share, shape = step / (int(values.structure["epochs"]) * steps), str(values.structure["schedule"])
    ones = torch.ones(values.slots, dtype=torch.float64, device=values.device)
    if shape in _FLAT:
        factor = flat_cosine(share, ones * _FLAT[shape])
    else:
        factor = ones * (coslog4(share) if shape == "coslog4" else 1 - share)
    return dict.fromkeys(str(values.structure["scheduled"]).split("+"), factor.to(values.dtype))


technique = Technique(
    name="schedule",
    hyperparameters={
        "schedule": Structural(
            default="flat_cosine",
            choices=("constant", "linear", "cosine", "flat_cosine", "coslog4"),
            neutral="constant",
            searched=True,
        ),
        "scheduled": Structural(default="dropout", parse=parse),
    },
    check=check,
    schedule=schedule,
)
