"""The export of a trial's network: its file, the lines of plain PyTorch that load it, and MLflow's registry."""

from __future__ import annotations

import sys
from dataclasses import dataclass
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
from search.study.progress import Log
from search.study.retrain import complete_trial, retrained_model
from search.train.activations import ACTIVATIONS
from search.train.crew import one_thread
from search.train.model_file import Meta, Model, load, save

if TYPE_CHECKING:
    from search.study.study import BaseStudy

_EXAMPLES = 8


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """A network that was saved. Its text shows how to load it without this package.

    Attributes:
        file: the file of the network.
        description: the JSON file that describes it.
        model: the content of both files.
        rows: some rows as they are in the data, ``examples x inputs``.
    """

    file: Path
    description: Path
    model: Model
    rows: Tensor

    @property
    def lines(self) -> list[str]:
        """The lines that load the file with PyTorch and safetensors alone, and predict `rows`."""
        return loading_code(self.model, str(self.file))

    def register(self, name: str, tracking_uri: str = DEFAULT_TRACKING) -> str:
        """Register it as a model in MLflow too, and return its URI: `register`."""
        meta = self.model.meta
        return register(self.model, f"{meta.study}/{meta.trial}", name, tracking_uri, self.rows)

    def __repr__(self) -> str:
        code = [f"    {line}" for line in self.lines]
        return "\n".join([*self._summary(), "", *code])

    def _summary(self) -> list[str]:
        """Return two lines on the network and on what the code below them does."""
        meta = self.model.meta
        return [
            f"trial {meta.trial} of {meta.study}, val_loss {meta.val_loss:.4g}: {self.file}, {self.description}",
            "These lines load it, and predict `rows` as they are in the data:",
        ]

    def _repr_html_(self) -> str:
        return html.block(html.lines(self._summary()), html.code(self.lines))


def validate_export(file: Path, trial: int | None, *, one_se: bool) -> None:
    """Refuse an export that is not possible, before anything is trained.

    Raises:
        RequestError: the file's name does not end in .safetensors, its folder does not exist, or the trial is chosen in
            two ways.
    """
    if file.suffix != ".safetensors":
        raise RequestError(f"output takes a name that ends in .safetensors, got {str(file)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"output: the folder {str(file.absolute().parent)!r} does not exist")
    if one_se and trial is not None:
        raise RequestError(f"give either --trial {trial} or --one-se, not both")


@one_thread()
def export(
    study: BaseStudy, file: Path, trial: int | None = None, *, one_se: bool = False, force: bool = True
) -> ExportedNetwork:
    """Train a trial again and save its network, with its scaling, and a description of it as JSON in the same folder.

    Args:
        study: the study of the trial.
        file: the file to write, a name that ends in .safetensors.
        trial: the number of the trial; by default the best one.
        one_se: whether to take the most strongly regularised trial within one standard error of the best.
        force: whether to overwrite files that hold something other than this trial's network.

    Raises:
        RequestError: there is no such trial, its network is more than linear layers and activations, the file's name
            does not end in .safetensors, or it holds something else.
        EnvironmentFault: the file cannot be written.
    """
    validate_export(file, trial, one_se=one_se)
    number = one_standard_error(study) if one_se else complete_trial(study, trial).number
    if not force:
        _validate_overwrite(file, study.name, number)
    model = retrained_model(study, number)
    save(file, model)
    description = file.with_suffix(".json")
    description.write_text(model.meta.model_dump_json(indent=2) + "\n")
    return ExportedNetwork(file, description, model, study.data.inputs.invert(study.data.x_train[:_EXAMPLES]))


def _validate_overwrite(file: Path, study: str, trial: int) -> None:
    """Refuse to overwrite a model file, or its description, of anything but this trial.

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
            f"{clip(str(path), 200)} already exists and holds {holds}, not trial {trial} of {study}:"
            " give another --output, or overwrite it with --force"
        )


def one_standard_error(study: BaseStudy, log: Log | None = None) -> int:
    """Return the number of the most strongly regularised trial within one standard error of the best.

    If the study has fewer than three replicates, its best trials are trained on more first: `search.report.replicates`.

    Args:
        study: the study to choose from.
        log: a function that gets lines on what is trained and chosen; by default they are shown on stderr.

    Raises:
        RequestError: the study has several objectives, no searched hyperparameter has a direction of regularisation, or
            no complete trial has a finite loss on its replicates.
    """
    if study.objectives.several:
        raise RequestError(
            f"one-se takes a study of one objective, but {study.name!r} has several: choose a trial of its front by"
            " --trial"
        )
    known = record.read(study)
    if not strengths(known):
        raise RequestError(
            f"one-se: no hyperparameter that study {study.name!r} searches has a direction of regularisation: choose a"
            " trial by --trial"
        )
    choice = statistics.one_standard_error(replicates.train(study, known, log))
    if choice is None:
        lacks = "no complete trial" if not known.complete else "no complete trial with a finite loss on its replicates"
        raise RequestError(f"one-se: study {study.name!r} has {lacks}")
    say = log or (lambda line: print(line, file=sys.stderr))
    if choice.chosen is choice.best:
        say(
            f"trial {choice.best.number} is the best over {choice.replicates} replicates, and no more strongly"
            " regularised trial is within one standard error of it"
        )
    else:
        say(
            f"trial {choice.chosen.number} is within one standard error of the best trial, {choice.best.number}: its"
            f" loss is {choice.difference:.3g} higher, with a standard error of {choice.error:.3g} over"
            f" {choice.replicates} replicates"
        )
    return choice.chosen.number


def loading_code(model: Model, file: str) -> list[str]:
    """Return the five lines that load a model file with PyTorch and safetensors alone, and predict raw `rows`."""
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


def plain_network(model: Model) -> nn.Sequential:
    """Return the network as plain modules, which take raw rows and return logits or the units of the data.

    The scaling becomes part of the first and the last layer: ``W ((x - shift) / scale) + b = W' x + b'``.
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
    """Log the network to its trial's run, register it in MLflow, and return its URI, ``models:/name/version``.

    It is stored as a traced graph (pt2), which loads without running code from the file.

    Args:
        model: the network and its description.
        key: the tag of the trial's run, ``study/number``.
        name: the name of the registered model.
        tracking_uri: the tracking URI of MLflow.
        example: some raw rows; the model takes any number of rows.

    Raises:
        RequestError: the trial has no run there.
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
        candidates = client.search_runs(experiments, tagged(KEY_TAG, key))
        runs = [run for run in candidates if run.data.tags.get(KEY_TAG) == key]
        if not runs:
            study = key.rpartition("/")[0]
            raise RequestError(f"MLflow has no run of {key}: run this first: {invocation.command('sync', study)}")
        with mlflow.start_run(run_id=runs[0].info.run_id):
            logged = mlflow.pytorch.log_model(
                plain_network(model),
                name="model",
                registered_model_name=name,
                input_example=example.numpy(),
                pip_requirements=[f"torch=={torch.__version__}"],
                serialization_format="pt2",
            )
        # The end of the block above has set the run's end to now. The next sync would take that for a different record.
        client.set_terminated(runs[0].info.run_id, runs[0].info.status, runs[0].info.end_time)
    except MlflowException as error:
        raise EnvironmentFault(f"MLflow at {tracking_uri}: {str(error).splitlines()[0]}") from None
    return f"models:/{name}/{logged.registered_model_version}"
