"""Measure how uncertain a trial's predictions are, by Monte Carlo passes through its networks.

    trial --> train again, to its best epoch --> T passes --> mean, spread --> how well they agree with the truth

The networks are those that the study saw, or their counterparts with another activation. They predict the validation
rows; the test split is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.errors import RequestError
from search.recipe.declared import CORE
from search.recipe.discovery import discover
from search.study.retrain import Retrained, Retraining, complete_trial, retrain
from search.train.pack import Pack
from search.train.sampling import monte_carlo
from search.uncertainty import calibration
from search.uncertainty.calibration import Floats
from search.uncertainty.networks import Network, Spread
from search.uncertainty.result import Uncertainty

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def measure(
    study: BaseStudy, trial: int | None = None, *, passes: int = 100, activations: Sequence[str] = ()
) -> Uncertainty:
    """Train a trial again and make Monte Carlo passes over the validation rows.

    Args:
        study: the study.
        trial: the number of the trial; by default that of the best one.
        passes: the number of passes.
        activations: the activations to train it with instead of its own.

    Raises:
        RequestError: there is no such trial, fewer than two passes are asked for, an activation is unknown, or the
            trial has no noise to sample.
    """
    if passes < 2:
        raise RequestError(f"passes must be >= 2, got {passes}")
    chosen = complete_trial(study, trial)
    own = Retraining.of(study, chosen.number, chosen.params, range(study.recipe.replicates))
    if not any(technique.monte_carlo for technique in own.program.techniques):
        sampled = " or ".join(name for name, technique in discover().items() if technique.monte_carlo)
        raise RequestError(
            f"Monte Carlo passes need {sampled} in use: trial {chosen.number} of study {study.name!r} has none"
        )
    names = [str(CORE["activation"].validate("activation", name)) for name in activations] or [own.program.activation]
    grid = _grid(study)
    networks = [
        _network(
            study,
            Retraining.of(study, chosen.number, chosen.params, own.replicates, activation=name),
            passes,
            grid,
        )
        for name in dict.fromkeys(names)
    ]
    return Uncertainty(
        study=study.name,
        trial=chosen.number,
        value=chosen.values[0],
        activation=own.program.activation,
        passes=passes,
        truth=_truth(study),
        networks=networks,
        grid=grid,
        points=None if grid is None else _numbers(study.data.inputs.invert(study.data.x_val))[:, 0],
    )


def _grid(study: BaseStudy) -> Floats | None:
    """Return inputs in the user's units, from half the range of the training rows before it to half after it."""
    if study.data.features > 1 or study.data.task != "regression":
        return None
    seen = _numbers(study.data.inputs.invert(study.data.x_train))
    margin = (seen.max() - seen.min()) / 2
    return np.linspace(seen.min() - margin, seen.max() + margin, 400)


def _truth(study: BaseStudy) -> NDArray[Any]:
    if study.data.targets is None:
        return study.data.y_val.numpy()
    return _numbers(study.data.targets.invert(study.data.y_val))


def _network(study: BaseStudy, retraining: Retraining, passes: int, grid: Floats | None) -> Network:
    """Train the networks of a trial with one activation and measure them."""
    data, batches, activation = study.data, study.batches, retraining.program.activation
    trained: list[Retrained] = sorted(retrain([retraining]), key=lambda one: one.replicate)
    if len(trained) < len(retraining.replicates):
        raise RequestError(f"with activation {activation} the trial diverges: its loss is never finite")
    truth, noise, curve = _truth(study), None, None
    packs = [one.network for one in trained]
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
    value = float(np.mean([one.val_loss for one in trained]))
    means = {
        prediction: {name: float(np.mean([one[prediction][name] for one in figures])) for name in measures}
        for prediction, measures in figures[0].items()
    }
    return Network(activation, value, noise, spread, curve, means)


def _spread(study: BaseStudy, pack: Pack, x: Tensor, passes: int) -> Spread:
    point = _user_units(study, pack.predict(x)[0])
    drawn = np.stack([_user_units(study, one) for one in monte_carlo(pack, x, passes)])
    return Spread(point, drawn.mean(0), drawn.std(0, ddof=1))


def _user_units(study: BaseStudy, predictions: Tensor) -> Floats:
    """Return predictions ``rows x outputs`` (or padded) as class probabilities, or as values in the user's units."""
    real = predictions[:, : study.data.outputs].double().cpu()
    if study.data.targets is None:
        return _numbers(real.softmax(-1))
    return _numbers(study.data.targets.invert(real))


def _numbers(tensor: Tensor) -> Floats:
    return np.asarray(tensor.double().cpu().numpy())


def _class_figures(spread: Spread, truth: NDArray[Any]) -> dict[str, dict[str, float]]:
    def measures(probabilities: Floats) -> dict[str, float]:
        return {
            "accuracy": calibration.accuracy(probabilities, truth),
            "log_loss": calibration.log_loss(probabilities, truth),
            "calibration_error": calibration.calibration_error(probabilities, truth),
            "entropy": float(calibration.entropy(probabilities).mean()),
        }

    variance = float(np.square(spread.deviation).mean())
    return {"network": measures(spread.point), "monte_carlo": measures(spread.mean) | {"variance": variance}}


def _value_figures(spread: Spread, truth: Floats, noise: Floats) -> dict[str, dict[str, float]]:
    coverage = partial(calibration.coverage, truth, spread.mean)
    return {
        "network": {"rmse": calibration.rmse(truth, spread.point)},
        "monte_carlo": {
            "rmse": calibration.rmse(truth, spread.mean),
            "sd": float(spread.deviation.mean()),
            "coverage": coverage(spread.deviation),
            "coverage_with_noise": coverage(np.sqrt(np.square(spread.deviation) + np.square(noise))),
        },
    }
