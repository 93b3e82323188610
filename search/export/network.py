"""A chosen network for use elsewhere: its file, the lines of plain PyTorch that load it, and MLflow's registry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search.cli import invocation
from search.errors import EnvironmentFault, RequestError, clip
from search.report import record, replicates, statistics
from search.report.strength import strengths
from search.show import html
from search.storage.database import DEFAULT_TRACKING
from search.study.retrain import chosen, trained
from search.train.activations import ACTIVATIONS
from search.train.model_file import Meta, Model, load, save

if TYPE_CHECKING:
    from search.study.study import BaseStudy

_EXAMPLES = 8


@dataclass(frozen=True, eq=False)
class Exported:
    """A network that was saved; as text, how it is loaded without this package.

    Attributes:
        file, described: the network, and what it is as JSON.
        model: what they hold.
        rows: some rows as they are in the data, ``examples x inputs``.
    """

    file: Path
    described: Path
    model: Model
    rows: Tensor

    @property
    def lines(self) -> list[str]:
        """Five lines that load the file with PyTorch and safetensors alone, and predict `rows`."""
        return lines(self.model, str(self.file))

    def register(self, name: str, tracking_uri: str = DEFAULT_TRACKING) -> str:
        """Register it as a model in MLflow too: `register`."""
        meta = self.model.meta
        return register(self.model, f"{meta.study}/{meta.trial}", name, tracking_uri, self.rows)

    def __repr__(self) -> str:
        code = [f"    {line}" for line in self.lines]
        return "\n".join([self.said(), "to load it, and predict `rows` as they are in the data:", "", *code])

    def said(self) -> str:
        """Which network it is, and where."""
        meta = self.model.meta
        return f"trial {meta.trial} of {meta.study}, val_loss {meta.val_loss:.4g}: {self.file}, {self.described}"

    def _repr_html_(self) -> str:
        code = escape("\n".join(self.lines))
        return html.block(
            html.lines([self.said(), "to load it, and predict rows as they are in the data:"]), f"<pre>{code}</pre>"
        )


def confirm(file: Path, trial: int | None, *, one_se: bool) -> None:
    """Refuse what cannot be exported, before anything is trained.

    Raises:
        RequestError: the file's name or folder, or two ways of choosing the trial.
    """
    if file.suffix != ".safetensors":
        raise RequestError(f"output takes a name that ends in .safetensors, got {str(file)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"output: no folder {str(file.absolute().parent)!r}")
    if one_se and trial is not None:
        raise RequestError("takes either --trial or --one-se, not both")


def export(
    study: BaseStudy, file: Path, trial: int | None = None, *, one_se: bool = False, force: bool = True
) -> Exported:
    """Save a trial's network, trained again, with its scaling, and what it is as JSON beside it.

    Args:
        trial: its number; default the best.
        one_se: take the most strongly regularised trial within one standard error of the best.
        force: whether to overwrite files that hold something else than this trial's network.

    Raises:
        RequestError: there is no such trial, its network is more than linear layers and activations, the file's name
            does not end in .safetensors, or it holds something else.
        EnvironmentFault: it cannot be written there.
    """
    confirm(file, trial, one_se=one_se)
    number = one_standard_error(study) if one_se else chosen(study, trial).number
    if not force:
        _check_overwrite(file, study.name, number)
    model = trained(study, number)
    save(file, model)
    described = file.with_suffix(".json")
    described.write_text(model.meta.model_dump_json(indent=2) + "\n")
    return Exported(file, described, model, study.data.inputs.invert(study.data.x_train[:_EXAMPLES]))


def _check_overwrite(file: Path, study: str, trial: int) -> None:
    """Refuse to overwrite a model file, or the description beside it, of anything but this trial.

    Raises:
        RequestError: one of the files holds something else; the message says what.
    """
    for path in (file, file.with_suffix(".json")):
        if not path.exists():
            continue
        try:
            text = path.read_text() if path.suffix == ".json" else ""
            meta = Meta.model_validate_json(text) if text else load(path).meta
        except ValueError:
            holds = "something else"
        else:
            if (meta.study, meta.trial) == (study, trial):
                continue
            holds = f"trial {meta.trial} of {meta.study}"
        raise RequestError(
            f"{clip(str(path), 200)} is there already and holds {holds}, not trial {trial} of {study}:"
            " give another --output, or overwrite it with --force"
        )


def one_standard_error(study: BaseStudy, told: Callable[[str], None] | None = None) -> int:
    """The number of the most strongly regularised trial within one standard error of the best.

    A study with fewer than three replicates gets more of its best trials first: `search.report.replicates`.

    Args:
        told: is given a line on what is trained; default: printed on stderr.

    Raises:
        RequestError: the study cannot tell: it has several objectives, nothing searched regularises, or no complete
            trial has finite replicates.
    """
    told = told or (lambda line: print(line, file=sys.stderr))
    if study.objectives.several:
        raise RequestError(f"one-se takes a study of one objective: choose from the front of {study.name!r} by --trial")
    known = record.read(study)
    if not strengths(known):
        raise RequestError(f"one-se: nothing that study {study.name!r} searches has a direction of regularisation")
    choice = statistics.one_standard_error(replicates.train(study, known, told))
    if choice is None:
        has = "no complete trial" if not known.complete else "no complete trial with finite replicates"
        raise RequestError(f"one-se: study {study.name!r} has {has}")
    if choice.chosen is choice.best:
        told(f"trial {choice.best.number} is the best of {choice.replicates} replicates, and the choice")
    else:
        told(
            f"trial {choice.chosen.number} is within one standard error of the best, {choice.best.number}: "
            f"{choice.difference:.3g} higher, standard error {choice.error:.3g}, {choice.replicates} replicates"
        )
    return choice.chosen.number


def lines(model: Model, file: str) -> list[str]:
    """Five lines that load a model file with PyTorch and safetensors alone, and predict `rows`, raw ones."""
    modules = []
    for layer in range(len(model.meta.widths) - 1):
        inputs, outputs = model.meta.widths[layer : layer + 2]
        modules.append(f"torch.nn.Linear({inputs}, {outputs})")
        if layer < len(model.meta.widths) - 2:
            modules.append(f"torch.nn.{ACTIVATIONS[model.meta.activation].module.__name__}()")
    result = 'network((rows - weights["inputs.shift"]) / weights["inputs.scale"])'
    if model.meta.task == "regression":
        result += ' * weights["targets.scale"] + weights["targets.shift"]'
    return [
        "import safetensors.torch, torch",
        f"weights = safetensors.torch.load_file({file!r})",
        f"network = torch.nn.Sequential({', '.join(modules)})",
        "network.load_state_dict({name: weights[name] for name in network.state_dict()})",
        f"outputs = {result}",
    ]


def network(model: Model) -> nn.Sequential:
    """The network as plain modules, from raw rows to logits or the user's units.

    The scaling is part of the first and the last layer: ``W ((x - shift) / scale) + b = W' x + b'``.
    """
    last = len(model.meta.widths) - 2
    layers: list[nn.Module] = []
    for number in range(last + 1):
        weight, bias = (tensor.double() for tensor in model.layer(number))
        if number == 0:
            weight = weight / model.inputs.scale.double()
            bias = bias - weight @ model.inputs.shift.double()
        if number == last and model.targets is not None:
            scale = model.targets.scale.double()
            weight, bias = weight * scale[:, None], bias * scale + model.targets.shift.double()
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight.float(), "bias": bias.float()})
        layers += [linear] if number == last else [linear, ACTIVATIONS[model.meta.activation].module()]
    return nn.Sequential(*layers).eval()


def register(model: Model, key: str, name: str, tracking_uri: str, example: Tensor) -> str:
    """Log the network to its trial's run and register it in MLflow; returns its URI, ``models:/name/version``.

    Stored as a traced graph (pt2), which loads without running code of the file's.

    Args:
        key: the run's tag, ``study/number``.
        name: of the registered model.
        tracking_uri: MLflow's.
        example: some raw rows; any number of rows may be given later.

    Raises:
        RequestError: the trial has no run there, or MLflow does not take the name.
        EnvironmentFault: MLflow fails.
    """
    from search.tracking.writer import silence_mlflow

    silence_mlflow()
    import mlflow
    from mlflow.exceptions import MlflowException

    from search.tracking.plan import KEY_TAG
    from search.tracking.store import opened, tagged

    try:
        client = opened(tracking_uri)
        mlflow.set_tracking_uri(tracking_uri)
        experiments = [one.experiment_id for one in client.search_experiments()]
        found = client.search_runs(experiments, tagged(KEY_TAG, key))
        runs = [run for run in found if run.data.tags.get(KEY_TAG) == key]
        if not runs:
            study = key.rpartition("/")[0]
            raise RequestError(f"MLflow has no run of {key}: run this first: {invocation.command('sync', study)}")
        with mlflow.start_run(run_id=runs[0].info.run_id):
            logged = mlflow.pytorch.log_model(
                network(model), name="model", registered_model_name=name, input_example=example.numpy(),
                pip_requirements=[f"torch=={torch.__version__}"], serialization_format="pt2",
            )  # fmt: skip
        # Ending the block above has set the run's end to now, which the next sync would take for another record.
        client.set_terminated(runs[0].info.run_id, runs[0].info.status, runs[0].info.end_time)
    except MlflowException as error:
        raise EnvironmentFault(f"MLflow at {tracking_uri}: {str(error).splitlines()[0]}") from None
    return f"models:/{name}/{logged.registered_model_version}"
