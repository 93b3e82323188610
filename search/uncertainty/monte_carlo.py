"""How uncertain a trial's predictions are, by Monte Carlo passes through its networks; read from the validation split.

    trial --> train again, to its best epoch --> T passes --> mean, spread --> how well they agree with the truth

A trial is a pure function, so training it again gives the network that the study saw; with another activation, that
network's counterpart. The test split is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.errors import RequestError
from search.recipe.declared import CORE
from search.recipe.discovery import discover
from search.show import html
from search.show.sheet import Sheet
from search.show.text import number, plain
from search.study.retrain import chosen
from search.train.pack import Pack, Slot
from search.train.sampling import best_networks, monte_carlo
from search.uncertainty import calibration
from search.uncertainty.calibration import NORMAL_95, Floats

if TYPE_CHECKING:
    import pandas as pd

    from search.study.study import BaseStudy


@dataclass(frozen=True)
class Spread:
    """What the passes through one network predict of some rows, in the user's units; classes as probabilities.

    Attributes:
        point: the prediction without noise, ``rows x outputs``.
        mean: of the passes, ``rows x outputs``.
        deviation: their standard deviation, ``rows x outputs``.
    """

    point: Floats
    mean: Floats
    deviation: Floats


@dataclass(frozen=True)
class Network:
    """A trial's network, trained with one activation.

    Attributes:
        value: validation loss at the best epoch, mean over replicates, as the study has it.
        noise: standard deviation of the residuals of training rows, ``(outputs,)``; None for classes.
        spread: of the validation rows, one for each replicate.
        curve: of one input spread over a range (`Uncertainty.grid`), of the first replicate; None with more inputs.
        figures: what is measured, means over replicates: by name, of the network alone and of the mean of its passes.
    """

    activation: str
    value: float
    noise: Floats | None
    spread: Sequence[Spread]
    curve: Spread | None
    figures: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Uncertainty:
    """A trial's predictions of the validation rows and how uncertain they are.

    Attributes:
        study: its name. trial: its number, with the value that the study holds and the activation that it had there.
        passes: Monte Carlo passes.
        truth: class numbers ``(rows,)``, or values ``rows x outputs`` in the user's units.
        grid: inputs ``(points,)`` in the user's units where there is one input, from half its range before to after.
        points: the validation rows' inputs ``(rows,)`` there.
    """

    study: str
    trial: int
    value: float
    activation: str
    passes: int
    truth: NDArray[Any]
    networks: Sequence[Network]
    grid: Floats | None
    points: Floats | None

    def outcome(self) -> dict[str, Any]:
        """What was measured, as JSON can hold it."""
        networks = [plain({"activation": one.activation, "value": one.value, **one.figures}) for one in self.networks]
        head = {"study": self.study, "trial": self.trial, "value": self.value, "activation": self.activation}
        head["passes"] = self.passes
        return head | {"networks": networks}

    def __repr__(self) -> str:
        return f"{table(self)}" + "\n".join(notes(self))

    def _repr_html_(self) -> str:
        from search.uncertainty import figure

        made = figure.figure(self)
        picture = "" if made is None else html.picture(made, "validation rows, mean of the passes and band")
        return html.block(html.table(table(self)), picture, html.lines(notes(self)))

    def draw(self, file: Path | str) -> None:
        """Save the figure, PNG or SVG: points, mean and band, where there is one input and one target."""
        from search.show import figure_file
        from search.uncertainty import figure

        figure_file.check(Path(file))
        figure.draw(self, Path(file))

    def predictions(self) -> pd.DataFrame:
        """One row per activation, replicate, validation row and output: truth, mean, sd, low, high.

        The interval is mean +- 1.96 sd of the passes: what the network does not know, not the noise of observations.
        Of classes, `output` is the class, `truth` 1 or 0, and the mean its probability.
        """
        import pandas as pd

        parts = []
        for network in self.networks:
            for replicate, spread in enumerate(network.spread):
                classes = np.arange(spread.mean.shape[1])
                truth = self.truth if self.truth.ndim == 2 else (self.truth[:, None] == classes).astype(np.float64)
                row, output = np.indices(spread.mean.shape).reshape(2, -1)
                half = NORMAL_95 * spread.deviation
                columns = {"truth": truth, "mean": spread.mean, "sd": spread.deviation,
                           "low": spread.mean - half, "high": spread.mean + half}  # fmt: skip
                index = {"activation": network.activation, "replicate": replicate, "row": row, "output": output}
                parts.append(pd.DataFrame(index | {name: value.ravel() for name, value in columns.items()}))
        return pd.concat(parts, ignore_index=True)


def measure(
    study: BaseStudy, trial: int | None = None, *, passes: int = 100, activations: Sequence[str] = ()
) -> Uncertainty:
    """Train a trial again and make Monte Carlo passes over the validation rows.

    Args:
        trial: its number; default the best.
        passes: how many.
        activations: train it with each of these instead of its own.

    Raises:
        RequestError: no such trial, fewer than two passes, an unknown activation, or no noise to sample.
    """
    if passes < 2:
        raise RequestError(f"passes must be >= 2, got {passes}")
    found = chosen(study, trial)
    values = study.space.complete(found.params)
    assert values is not None
    if not any(one.monte_carlo for one in study.program(values).techniques):
        sampled = " or ".join(name for name, one in discover().items() if one.monte_carlo)
        raise RequestError(
            f"Monte Carlo passes take {sampled} at work: trial {found.number} of study {study.name!r} has none"
        )
    own = str(values["activation"])
    names = [str(CORE["activation"].validate("activation", name)) for name in activations] or [own]
    grid = _grid(study)
    networks = [_network(study, values | {"activation": name}, passes, grid) for name in dict.fromkeys(names)]
    points = None if grid is None else _numbers(study.data.inputs.invert(study.data.x_val))[:, 0]
    return Uncertainty(study.name, found.number, found.values[0], own, passes, _truth(study), networks, grid, points)


def _grid(study: BaseStudy) -> Floats | None:
    """Inputs in the user's units, from half their range before the first to half after the last."""
    if study.data.features > 1 or study.data.task != "regression":
        return None
    seen = _numbers(study.data.inputs.invert(study.data.x_train))
    margin = (seen.max() - seen.min()) / 2
    return np.linspace(seen.min() - margin, seen.max() + margin, 400)


def _truth(study: BaseStudy) -> NDArray[Any]:
    if study.data.targets is None:
        return study.data.y_val.numpy()
    return _numbers(study.data.targets.invert(study.data.y_val))


def _network(study: BaseStudy, values: Mapping[str, Any], passes: int, grid: Floats | None) -> Network:
    """One activation's network, measured."""
    data, batches = study.data, study.batches
    slots = [Slot(0, replicate, study.numeric(values)) for replicate in range(study.recipe.replicates)]
    found = best_networks(study.program(values), batches, slots)
    if len(found) < len(slots):
        raise RequestError(f"with activation {values['activation']} the trial diverges: its loss is never finite")
    truth, noise, curve = _truth(study), None, None
    packs = [pack for pack, _ in found]
    spread = [_spread(study, pack, batches.x_val, passes) for pack in packs]
    if data.targets is None:
        figures = [_class_figures(one, truth) for one in spread]
    else:
        raw = _numbers(data.targets.invert(data.y_train))
        residuals = [raw - _user_units(study, pack.predict(batches.x_train)[0]) for pack in packs]
        deviations = [np.sqrt(np.square(one).mean(0)) for one in residuals]
        noise = np.mean(deviations, axis=0)
        figures = [_value_figures(one, truth, sd) for one, sd in zip(spread, deviations, strict=True)]
    if grid is not None:
        inputs = torch.from_numpy(grid.astype(np.float32))[:, None]
        curve = _spread(study, packs[0], batches.pad(data.inputs.apply(inputs)), passes)
    value = float(np.mean([loss for _, loss in found]))
    means = {who: {name: float(np.mean([one[who][name] for one in figures])) for name in figures[0][who]}
             for who in figures[0]}  # fmt: skip
    return Network(str(values["activation"]), value, noise, spread, curve, means)


def _spread(study: BaseStudy, pack: Pack, x: Tensor, passes: int) -> Spread:
    point = _user_units(study, pack.predict(x)[0])
    drawn = np.stack([_user_units(study, one) for one in monte_carlo(pack, x, passes)])
    return Spread(point, drawn.mean(0), drawn.std(0, ddof=1))


def _user_units(study: BaseStudy, predictions: Tensor) -> Floats:
    """Predictions ``rows x outputs`` (or padded) as class probabilities, or as values in the user's units."""
    real = predictions[:, : study.data.outputs].double().cpu()
    if study.data.targets is None:
        return _numbers(real.softmax(-1))
    return _numbers(study.data.targets.invert(real))


def _numbers(tensor: Tensor) -> Floats:
    return np.asarray(tensor.double().cpu().numpy())


def _class_figures(spread: Spread, truth: NDArray[Any]) -> dict[str, dict[str, float]]:
    def of(probabilities: Floats) -> dict[str, float]:
        return {
            "accuracy": calibration.accuracy(probabilities, truth),
            "log_loss": calibration.log_loss(probabilities, truth),
            "calibration_error": calibration.calibration_error(probabilities, truth),
            "entropy": float(calibration.entropy(probabilities).mean()),
        }

    variance = float(np.square(spread.deviation).mean())
    return {"network": of(spread.point), "monte_carlo": of(spread.mean) | {"variance": variance}}


def _value_figures(spread: Spread, truth: Floats, noise: Floats) -> dict[str, dict[str, float]]:
    covers = partial(calibration.coverage, truth, spread.mean)
    return {
        "network": {"rmse": calibration.rmse(truth, spread.point)},
        "monte_carlo": {
            "rmse": calibration.rmse(truth, spread.mean),
            "sd": float(spread.deviation.mean()),
            "coverage": covers(spread.deviation),
            "coverage_with_noise": covers(np.sqrt(np.square(spread.deviation) + np.square(noise))),
        },
    }


_NOTES = {
    "classification": "calibration error: expected, of 15 bins of confidence; entropy in nats; variance: mean over "
    "classes and rows of the passes' variance",
    "regression": "coverage: share of validation values within mean +- 1.96 SD of the passes, which leaves out the "
    "noise of observations; with noise: the variance of the training residuals added; 0.95 would be right",
}


def table(found: Uncertainty) -> Sheet:
    """Each network and the mean of its passes."""
    title = f"{found.study}: trial {found.trial}, {found.passes} Monte Carlo passes over the validation rows"
    names = list(found.networks[0].figures["monte_carlo"])
    headings = ("activation", "val_loss", "prediction", *(name.replace("_", " ") for name in names))
    rows = []
    for network in found.networks:
        for who, figures in network.figures.items():
            label = "network" if who == "network" else "mean of passes"
            cells = [number(figures.get(name)) for name in names]
            rows.append((network.activation, number(network.value) if who == "network" else "", label, *cells))
    return Sheet(headings, rows, ("activation", "prediction"), title)


def notes(found: Uncertainty) -> list[str]:
    """What the study has for the trial, and what the figures mean."""
    task = "classification" if "accuracy" in found.networks[0].figures["monte_carlo"] else "regression"
    told = f"in the study this trial has activation {found.activation} and val_loss {found.value:.4g}"
    return [told, _NOTES[task]]
