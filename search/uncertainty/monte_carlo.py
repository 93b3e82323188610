"""Measure how uncertain a trial's predictions are, by Monte Carlo passes through its networks.

    trial --> train again, to its best epoch --> T passes --> mean, spread --> how well they agree with the truth

The networks are those that the study saw, or their counterparts with another activation. They predict the validation
rows, which count equally, whatever their weights; in a cross-validation, they are the networks and rows of the first
fold. The test split is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.errors import RequestError
from search.recipe.declared import CORE
from search.recipe.discovery import discover
from search.record.curves import SUMMARY
from search.study.progress import Steps
from search.study.retrain import Retrained, Retraining, complete_trial, retrain
from search.train.crew import one_thread, side_by_side, threads
from search.train.pack import Pack
from search.train.sampling import monte_carlo
from search.uncertainty import calibration
from search.uncertainty.calibration import Floats
from search.uncertainty.networks import Network, Spread
from search.uncertainty.result import Uncertainty

if TYPE_CHECKING:
    from search.study.study import BaseStudy


@one_thread()
def measure(
    study: BaseStudy, trial: int | None = None, *, passes: int = 100, activations: Sequence[str] = ()
) -> Uncertainty:
    """Train a trial again and make Monte Carlo passes over the validation rows.

    Args:
        study: the study.
        trial: the number of the trial; by default that of the chosen one.
        passes: the number of passes.
        activations: the activations to train it with instead of its own.

    Raises:
        RequestError: there is no such trial, fewer than two passes are asked for, an activation is unknown, or the
            trial has no noise to sample.
    """
    if passes < 2:
        raise RequestError(f"passes must be >= 2, got {passes}")
    chosen = complete_trial(study, trial)
    # Of a cross-validation, the networks of the first fold, which have the same validation rows.
    own = Retraining.of(study, chosen.number, chosen.params, range(0, study.recipe.networks, len(study.batches.folds)))
    if not any(technique.monte_carlo for technique in own.program.techniques):
        sampled = " or ".join(name for name, technique in discover().items() if technique.monte_carlo)
        raise RequestError(
            f"Monte Carlo passes need {sampled} in use: trial {chosen.number} of study {study.name!r} has none"
        )
    names = [str(CORE["activation"].validate("activation", name)) for name in activations] or [own.program.activation]
    grid = _grid(study)
    retrainings = [
        # Numbered by activation.
        replace(Retraining.of(study, chosen.number, chosen.params, own.replicates, activation=name), trial=place)
        for place, name in enumerate(dict.fromkeys(names))
    ]
    networks = _networks(study, chosen.number, retrainings, passes, grid)
    return Uncertainty(
        study=study.name,
        trial=chosen.number,
        value=chosen.user_attrs[SUMMARY]["best_val_loss"],
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


class _Measured(NamedTuple):
    """One network's predictions.

    Attributes:
        network: the network.
        spread: the predictions for the validation rows.
        noise: the standard deviation of the residuals of the training rows, ``(outputs,)``; None for classes.
        curve: the predictions for the inputs of the grid; None without one.
    """

    network: Retrained
    spread: Spread
    noise: Floats | None
    curve: Spread | None


def _networks(
    study: BaseStudy, trial: int, retrainings: Sequence[Retraining], passes: int, grid: Floats | None
) -> list[Network]:
    """Train the networks of a trial with each activation, and measure them; both side by side."""
    activations = [one.program.activation for one in retrainings]
    trained = list(retrain(retrainings, f"training trial {trial} again, with activation {' and '.join(activations)}"))
    for one, activation in zip(retrainings, activations, strict=True):
        if sum(network.trial == one.trial for network in trained) < len(one.replicates):
            raise RequestError(f"with activation {activation} the trial diverges: its loss is never finite")
    what = f"making {passes} passes through each network"
    jobs = [partial(_measure, study, network, passes, grid) for network in trained]
    measured = []
    with (
        Steps(what, len(jobs), "networks") as steps,
        closing(side_by_side(jobs, threads(study.device))) as found,
    ):
        for each in found:
            measured.append(each)
            steps.advance()
    measured.sort(key=lambda each: each.network.replicate)
    return [
        _summarise(study, activation, [each for each in measured if each.network.trial == place])
        for place, activation in enumerate(activations)
    ]


def _measure(study: BaseStudy, network: Retrained, passes: int, grid: Floats | None) -> Iterator[_Measured]:
    """Yield the measures of one network."""
    pack = network.network
    data, batches = pack.program.own(study.data), pack.batches
    noise, curve = None, None
    if data.targets is not None:
        residuals = _numbers(data.targets.invert(data.y_train)) - _user_units(study, pack.predict(batches.x_train)[0])
        noise = np.sqrt(np.square(residuals).mean(0))
    if grid is not None and network.replicate == 0:
        inputs = torch.from_numpy(grid.astype(np.float32))[:, None]
        curve = _spread(study, pack, batches.pad(data.inputs.apply(inputs)), passes)
    yield _Measured(network, _spread(study, pack, batches.x_val, passes), noise, curve)


def _summarise(study: BaseStudy, activation: str, measured: Sequence[_Measured]) -> Network:
    """Return the networks of all replicates with one activation, with the means of their measures."""
    truth, spread = _truth(study), [one.spread for one in measured]
    deviations = [one.noise for one in measured if one.noise is not None]
    if deviations:
        figures = [_value_figures(one, truth, sd) for one, sd in zip(spread, deviations, strict=True)]
    else:
        figures = [_class_figures(one, truth) for one in spread]
    noise = np.mean(deviations, axis=0) if deviations else None
    value = float(np.mean([one.network.val_loss for one in measured]))
    means = {
        prediction: {name: float(np.mean([one[prediction][name] for one in figures])) for name in measures}
        for prediction, measures in figures[0].items()
    }
    return Network(activation, value, noise, spread, measured[0].curve, means)


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
