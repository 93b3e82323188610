"""All hyperparameters that a study may have: those of the model, of the optimisers and of its techniques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.data.scaling import SCALES
from search.errors import RequestError, nearest, unknown
from search.technique import Hyperparameter, Numeric, Structural, Technique, Value
from search.train.activations import ACTIVATIONS
from search.train.optimisers import OPTIMISERS
from search.train.program import SCALE


def parse_hidden(value: object) -> str:
    """Return hidden widths in their standard form, ``"128x128"``; ``"0"`` is a linear model."""
    parts = [part.strip() for part in str(value).replace(",", "x").split("x")]
    widths = [int(part) if part.isascii() and part.isdecimal() and len(part) < 6 else 0 for part in parts]
    if parts != ["0"] and (min(widths) < 1 or max(widths) > 65536 or len(widths) > 64):
        raise ValueError("takes widths joined by 'x', such as 128x128, each from 1 to 65536; 0 for none")
    return "x".join(map(str, widths))


CORE: Mapping[str, Hyperparameter] = {
    "optimizer": Structural(default="adam", choices=tuple(OPTIMISERS)),
    "lr": Numeric(default=1e-3, low=1e-4, high=1e-1, log=True, above=0.0),
    "batch_size": Structural(default=128),
    "epochs": Structural(default=100),
    "hidden": Structural(default="128x128", parse=parse_hidden),
    "activation": Structural(default="leaky_relu", choices=tuple(ACTIVATIONS)),
}


def declare(techniques: Sequence[Technique], scale: str | None = None) -> dict[str, Hyperparameter]:
    """Return the declarations of the model's, the optimisers' and the techniques' hyperparameters, by name.

    An optimiser's hyperparameter exists only where that optimiser is chosen.

    Args:
        techniques: the techniques of the study.
        scale: the scaling of trials that choose none, if trials may choose it; None if all have one.

    Raises:
        RequestError: a technique declares a name that is taken or is not an identifier, or refers to an unknown one.
    """
    declared: dict[str, Hyperparameter] = dict(CORE)
    # A technique may have a hyperparameter of this name.
    if scale is not None and not any(SCALE in technique.hyperparameters for technique in techniques):
        declared[SCALE] = Structural(default=scale, choices=SCALES)
    choosers: dict[str, list[Value]] = {}
    specific: dict[str, Hyperparameter] = {}
    for chosen, optimiser in OPTIMISERS.items():
        for name, declaration in optimiser.hyperparameters.items():
            choosers.setdefault(name, []).append(chosen)
            specific[name] = declaration
    for name, declaration in specific.items():
        declared[name] = replace(declaration, when={"optimizer": tuple(choosers[name])})
    for technique in techniques:
        for name in (*technique.set, *technique.space, *technique.derive):
            if name not in declared:
                raise unknown(f"hyperparameter of technique {technique.name!r}", name, declared)
        for name, declaration in technique.hyperparameters.items():
            if name in declared:
                raise RequestError(f"technique {technique.name!r} declares {name!r}, which every study has already")
            if not name.isidentifier():
                raise RequestError(f"technique {technique.name!r} declares {name!r}, which is not a name like 'l2'")
            for parent in declaration.when:
                # A parent is declared first, because values are drawn in this order.
                if parent not in declared:
                    raise RequestError(
                        f"technique {technique.name!r} needs the hyperparameter {parent!r}, on which {name} depends: "
                        f"name the technique that has it first, as in {parent}+{technique.name}"
                        f"{nearest(parent, declared)}"
                    )
            declared[name] = declaration
    return declared
