"""Draws the README's picture: an L2 study on digits. Run it where the study's `optuna.db` lies.

python docs/picture.py docs/l2-digits.png
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
        some = trials[trials["state"] == state]
        left.plot(some["l2"], some["value"], marker, label=state, alpha=0.8)
    left.set(xscale="log", yscale="log", xlabel="L2 strength", ylabel="validation loss", title=f"{len(trials)} trials")
    left.legend()
    order = trials.sort_values("l2")
    best = trials.loc[trials["value"].idxmin()]
    for label, row, colour in (
        ("weakest", order.iloc[0], "C2"), ("best", best, "C0"), ("strongest", order.iloc[-1], "C3")
    ):  # fmt: skip
        mine = curves[curves["trial"] == row["number"]]
        name = f"{label}: {row['l2']:.1e}"
        right.plot(mine["epoch"], mine["val_loss"], colour, label=name)
        right.plot(mine["epoch"], mine["train_loss"], colour, linestyle=":")
    right.set(yscale="log", xlabel="epoch", ylabel="loss", title="validation (line) and training (dots)")
    right.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
