"""Draw the README's picture, an L2 study on digits, from the `optuna.db` in the working directory.

uv run regsearch run l2
uv run python docs/picture.py docs/l2-digits.png
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt

from search import Study


def main(path: str) -> None:
    study = Study("l2", tracking_uri=None)
    trials, curves = study.trials(), study.curves()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for state, marker in (("complete", "o"), ("pruned", "x")):
        in_state = trials[trials["state"] == state]
        left.plot(in_state["l2"], in_state["value"], marker, label=state, alpha=0.8)
    left.set(xscale="log", yscale="log", xlabel="L2 strength", ylabel="validation loss", title=f"{len(trials)} trials")
    left.legend()
    by_strength = trials.sort_values("l2")
    shown = {
        "weakest": (by_strength.iloc[0], "C2"),
        "best": (trials.loc[trials["value"].idxmin()], "C0"),
        "strongest": (by_strength.iloc[-1], "C3"),
    }
    for name, (trial, colour) in shown.items():
        curve = curves[curves["trial"] == trial["number"]]
        right.plot(curve["epoch"], curve["val_loss"], colour, label=f"{name}: {trial['l2']:.1e}")
        right.plot(curve["epoch"], curve["train_loss"], colour, linestyle=":")
    right.set(yscale="log", xlabel="epoch", ylabel="loss", title="validation (line) and training (dots)")
    right.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
