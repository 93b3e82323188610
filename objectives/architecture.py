"""Architecture searches the shape of the network: the number of hidden layers, their width, and the activation.

``hidden = "WIDTHxWIDTHx..."`` with `depth` layers of `width` units. Depth 0 is a linear model, "0", and has no width.
`hidden` follows from `depth` and `width`, so a study cannot set it.

Hyperparameters searched: `depth`, `width` and `activation`. Each combination is a signature, so the trials of one shape
train together.

Source: Bergstra and Bengio, "Random search for hyper-parameter optimization" (JMLR 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from search.technique import Structural, Technique, Value

_DEEPEST, _WIDEST = 64, 65536


def whole(low: int, high: int) -> Callable[[object], Value]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"takes a whole number from {low} to {high}")
        return value

    return parse


def hidden(values: Mapping[str, Value]) -> str:
    """Return ``"128x128"`` for width 128 and depth 2; "0" for depth 0."""
    return "x".join(str(values["width"]) for _ in range(int(values["depth"]))) or "0"


technique = Technique(
    name="architecture",
    hyperparameters={
        "depth": Structural(default=2, choices=(0, 1, 2, 3), parse=whole(0, _DEEPEST), searched=True),
        "width": Structural(
            default=128,
            choices=(16, 32, 64, 128, 256),
            parse=whole(1, _WIDEST),
            searched=True,
            when={"depth": tuple(range(1, _DEEPEST + 1))},
        ),
    },
    space={"activation": {"choices": ["leaky_relu", "relu", "tanh", "gelu"]}},
    derive={"hidden": hidden},
)
