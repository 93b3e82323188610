"""The metrics of a study: those that its recipe names, and the user's own.

A metric of the user's is a Python file that defines `metric = Metric(...)`. It is loaded only if the user names it
(contract C9, docs/design.md).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from search.data import Data
from search.errors import RequestError, clip
from search.recipe import Recipe
from search.recipe.constraints import parsed
from search.recipe.discovery import run_file
from search.train import evaluate
from search.train.batches import Batches
from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric
from search.train.metrics.objective import BUILT_IN, VAL_LOSS, Objective, for_task, validate_names


@dataclass(frozen=True)
class Chosen:
    """The metrics of a study.

    Attributes:
        recipe: the recipe; its `metrics` name the user's own ones as well.
        measured: the metrics to measure each epoch: the objectives, those that the recipe names, and those of its
            constraints.
        objectives: the objectives that are not built in.
        digests: for each of the user's own metrics, a digest of its source.
    """

    recipe: Recipe
    measured: tuple[Metric, ...]
    objectives: tuple[Objective, ...]
    digests: Mapping[str, str]


def choose(recipe: Recipe, given: Sequence[Metric | Path | str] = ()) -> Chosen:
    """Return the metrics of a study.

    Args:
        recipe: the recipe.
        given: names that replace the recipe's; and, in addition, metrics of the user's own or paths of files that
            define one.

    Raises:
        RequestError: a name is unknown, a file cannot be loaded, or two metrics have one name.
    """
    own: dict[str, Metric] = {}
    digests: dict[str, str] = {}
    names = [one for one in given if isinstance(one, str) and not one.endswith(".py")] or list(recipe.metrics)
    for one in given:
        if one in names:
            continue
        metric = one if isinstance(one, Metric) else load_metric(Path(one))
        if metric.name in BUILT_IN or metric.name in own:
            raise RequestError(f"there are two metrics {metric.name!r}: give yours another name")
        own[metric.name] = metric
        digests[metric.name] = _digest(metric if isinstance(one, Metric) else Path(one))
        names.append(metric.name)
    constrained = [one.metric for one in parsed(recipe.constraints)]
    names += [name for name in constrained if name.startswith("val_") and name != VAL_LOSS.name]
    validate_names(recipe.objective, names, own)
    known = {**METRICS, **own}
    names = [name for name in dict.fromkeys(names) if name not in recipe.objective]
    if tuple(names) != recipe.metrics:
        recipe = recipe.but(recipe.name, metrics=names)
    measured = tuple(known[name] for name in dict.fromkeys((*recipe.objective, *names)) if name in known)
    objectives = tuple(known[name].objective for name in recipe.objective if name in own)
    return Chosen(recipe, measured, objectives, digests)


def load_metric(path: Path) -> Metric:
    """Run a user's file and return the metric that it defines.

    Raises:
        RequestError: there is no such file, it fails, or it defines no `metric`.
    """
    metric = getattr(run_file(path, "metric"), "metric", None)
    if not isinstance(metric, Metric):
        raise RequestError(f"--metric: {path} defines no `metric = Metric(...)`")
    return metric


def _digest(source: Metric | Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a metric's file, or of its function's source."""
    if isinstance(source, Path):
        return hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    try:
        text = inspect.getsource(source.function)
    except (OSError, TypeError):
        return "unknown"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def validate(chosen: Chosen, data: Data, batches: Batches) -> list[str]:
    """Refuse metrics that these data do not have, before training; return notes on the others.

    Raises:
        RequestError: a metric is for another task, is not defined for the validation rows, or its function fails, does
            not return a number for each slot, or mixes the slots.
    """
    notes = []
    for metric in chosen.measured:
        if metric.task not in (None, data.task):
            raise RequestError(
                f"{metric.name} is for {metric.task}, and the targets of {data.name} call for {data.task}:"
                f" {', '.join(for_task(data.task))} would work"
            )
        # Each fold of a cross-validation has validation rows of its own.
        found = torch.stack([_tried(metric, data, fold) for fold in batches.folds])
        if metric.name in METRICS and found.isnan().all(1).any():
            what = f"{metric.name} is not defined for the {len(batches.y_val)} validation rows of {data.name}"
            why = "they are all of one class" if data.task == "classification" else "there are too few"
            if metric.name in chosen.recipe.objective:
                raise RequestError(f"{what}, because {why}: choose another objective, such as val_loss")
            notes.append(f"{what}, because {why}")
    if "val_mape" in {metric.name for metric in chosen.measured}:
        targets = evaluate.truth(batches, batches.y_val)
        zero = int((targets.abs() < 1e-6 * targets.abs().mean()).any(-1).sum())
        if zero:
            notes.append(f"val_mape is huge, because the target of {zero} validation rows is 0: consider val_mae")
    return notes


def _tried(metric: Metric, data: Data, batches: Batches) -> torch.Tensor:
    """Return a metric of made-up predictions for the validation rows, ``(2,)``, after trying it slot by slot too."""
    targets = evaluate.truth(batches, batches.y_val)
    generator = torch.Generator().manual_seed(0)
    made_up = torch.randn(2, len(targets), data.outputs, generator=generator, dtype=torch.float64).to(batches.device)
    if data.task == "classification":
        predictions = made_up.softmax(-1)
    else:
        predictions = targets + made_up * targets.std(0, correction=0).clamp(min=1e-6)
    weights = None if batches.w_val is None else batches.w_val.double()
    try:
        found = metric(targets, predictions, weights)
        alone = torch.cat([metric(targets, predictions[slot : slot + 1], weights) for slot in range(2)])
    except Exception as error:
        if metric.name in METRICS:
            raise
        reason = clip(str(error).partition("\n")[0], 300)
        if weights is not None and isinstance(error, TypeError):
            reason += "; the rows have weights, so its function must take them as a third argument"
        raise RequestError(f"metric {metric.name}: {type(error).__name__}: {reason}") from error
    if not torch.equal(found.nan_to_num(), alone.nan_to_num()):
        raise RequestError(
            f"metric {metric.name}: the result of a slot depends on the other slots: reduce over rows, not over slots,"
            " and sum rows with search.train.metrics.sums, whose bits do not depend on the number of slots"
        )
    return found
