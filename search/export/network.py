"""The export of a trial's network, or of an ensemble: its file, and the lines that load it without this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from search.cli import invocation
from search.errors import RequestError, clip, counted, listed
from search.export import ensemble as selection
from search.export import onnx_file, registry
from search.export.calibrate import calibrated
from search.export.loading import loading_code
from search.export.one_se import one_standard_error
from search.export.options import ExportOptions
from search.export.refit import refit, validate_refit
from search.predict import threshold as deciding
from search.predict.conformal import with_scores
from search.show import html
from search.storage.files import write_whole
from search.storage.tracking import AUTO, required_uri
from search.study.model import Chosen, ensemble_of, model_of, own_data
from search.study.progress import Log
from search.study.retrain import complete_trial, retrained
from search.technique import Structural
from search.train.crew import one_thread
from search.train.model_file import Model, load, save
from search.train.model_meta import Meta
from search.train.model_parts import Threshold
from search.train.model_titles import ensemble_title, trial_title
from search.train.program import SCALE

if TYPE_CHECKING:
    from search.study.study import BaseStudy

_EXAMPLES = 8


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """A network, or an ensemble, that was saved. Its text shows how to load it without this package.

    Attributes:
        file: the file of the network.
        description: the JSON file that describes it.
        model: the content of both files.
        rows: some rows as they are in the data, ``examples x inputs``.
        notes: what was done besides training a trial again, and what it changed, a line each.
        table: the path of the table that the study learned from; "" for other data.
    """

    file: Path
    description: Path
    model: Model
    rows: Tensor
    notes: Sequence[str] = ()
    table: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines that load the file without this package, and predict `rows`: `loading_code`.

        If the inputs are not the numbers of a table's columns, these are the lines that predict the table.
        """
        if self._encodes and self.file.suffix == ".safetensors":
            return self.table_lines
        return loading_code(self.model, str(self.file))

    @property
    def table_lines(self) -> list[str]:
        """The lines that load the file with this package and predict the table itself."""
        return ["import search", f"predictions = search.load({str(self.file)!r}).predict({self.table!r})"]

    @property
    def _encodes(self) -> bool:
        """Whether the inputs are something else than numbers in the data: text, dates or filled cells of a table."""
        preprocessor = self.model.meta.preprocessor
        return preprocessor is not None and not preprocessor.is_plain

    def register(self, name: str, tracking_uri: str = AUTO) -> str:
        """Register it as a model in MLflow too, and return its URI: `search.export.registry.register`."""
        return registry.register(self.model, name, required_uri(tracking_uri), self.rows)

    def __repr__(self) -> str:
        code = [f"    {line}" for line in self.lines]
        return "\n".join([*self._summary(), "", *code])

    def _summary(self) -> list[str]:
        """Return lines on the network, and on what the code below them does."""
        meta = self.model.meta
        loss = "" if meta.val_loss is None else f", val_loss {meta.val_loss:.4g}"
        return [
            f"{meta.title}{loss}: {self.file}, {self.description}",
            *self.notes,
            self._introduction(),
        ]

    def _introduction(self) -> str:
        """Say what the lines do, and what `rows` is."""
        meta = self.model.meta
        if meta.preprocessor is None:
            return "These lines load it, and predict `rows` as they are in the data:"
        if self.file.suffix == ".safetensors" and self._encodes:
            return "These lines load it, and predict a table with the columns of the training data:"
        if self._encodes:
            return (
                f"These lines load it, and predict `rows` of inputs, which `columns` in {self.description} describes:"
            )
        predicts = invocation.command("predict", str(self.file), self.table)
        columns = listed([spec.name for spec in meta.preprocessor.specs], 6)
        return (
            f"`{predicts}` predicts a table. These lines load it, and predict `rows` of numbers, in the order of"
            f" `columns` in {self.description} ({columns}):"
        )

    def _repr_html_(self) -> str:
        return html.block(html.lines(self._summary()), html.code(self.lines))


@one_thread()
def export(study: BaseStudy, options: ExportOptions, log: Log | None = None) -> ExportedNetwork:
    """Train a trial again and save its network, with its scaling, and a description of it as JSON in the same folder.

    Args:
        study: the study of the trial.
        options: what to export, and how.
        log: gets lines on what is trained; by default they are shown on stderr.

    Raises:
        RequestError: there is no such trial, its network is more than a model file holds, an option is wrong
            (`ExportOptions`), or the file holds something else.
        EnvironmentFault: the file cannot be written, or a library is missing.
    """
    options.validate()
    options.validate_for(study)
    notes: list[str] = []
    val_loss: float | None
    if options.ensemble is not None and options.ensemble > 1:
        _validate_overwrite(options, ensemble_title(study.name))
        found = selection.choose(study, options.ensemble, log)
        members, val_loss = list(found.members), found.val_loss
        notes += _on(found, options.ensemble, folds=len(study.batches.folds))
        if len(study.space.scales) > 1:
            scale = members[0].network.program.structure[SCALE]
            notes.append(f"chosen among trials of scale {scale}, that of the best trial: a file has one scaling")
        if encoded_by := _encoded_by(study):
            structure = members[0].network.program.structure
            values = ", ".join(f"{name} {structure[name]}" for name in encoded_by if name in structure)
            notes.append(f"chosen among trials with {values}, as the best trial has: a file has one encoding of inputs")
    else:
        number = one_standard_error(study, log) if options.one_se else complete_trial(study, options.trial).number
        _validate_overwrite(options, trial_title(study.name, number))
        if options.refit:
            validate_refit(study, number)
        members, val_loss = [retrained(study, number, log)], None
        if options.ensemble is not None:
            notes.append("an ensemble of 1 is a single network: that of the chosen trial")
    alone, data = options.ensemble in (None, 1), own_data(study, members[0])
    decision: Threshold | None = None
    if options.refit and options.threshold is not None:
        # Afterwards, no rows are left to choose it on.
        known = deciding.with_threshold(_model(study, members, val_loss, alone=alone), data, options.threshold)
        assert known.meta.threshold is not None
        decision = known.meta.threshold.model_copy(update={"before_refit": True})
    if options.refit:
        before = members[0].val_loss if val_loss is None else val_loss
        members, val_loss = refit(study, members, log), None
        rows = len(data.x_train) + len(data.x_val)
        notes.append(_on_refit(members, rows, before))
    model = _model(study, members, val_loss, alone=alone)
    if alone and model.meta.members:
        count = len(model.meta.members)
        notes.append(f"the trial's {count} networks predict together, so the file holds an ensemble of all {count}")
    if options.calibrate:
        model = calibrated(model, data)
        notes.append(_on_calibration(model))
    if decision is not None:
        model = replace(model, meta=model.meta.model_copy(update={"threshold": decision}))
    elif options.threshold is not None:
        model = deciding.with_threshold(model, data, options.threshold)
    if options.threshold is not None:
        notes += _on_threshold(model, options.format)
    model = with_scores(model, data)
    (onnx_file.save if options.format == "onnx" else save)(options.file, model)
    description = options.file.with_suffix(".json")
    write_whole(description, (model.meta.stored(indent=2) + "\n").encode())
    examples = data.inputs.invert(data.x_train[:_EXAMPLES])
    table = "" if data.preprocessor is None else "new.csv" if study.memory else study.recipe.data.dataset
    return ExportedNetwork(options.file, description, model, examples, notes, table)


def _model(study: BaseStudy, members: Sequence[Chosen], val_loss: float | None, *, alone: bool) -> Model:
    return model_of(study, members[0]) if alone else ensemble_of(study, members, val_loss)


def _encoded_by(study: BaseStudy) -> list[str]:
    """Return the hyperparameters that choose the encoding of the inputs, if trials differ in it."""
    names = [name for one in study.techniques if one.edges is not None for name in one.hyperparameters]
    structural = [name for name in names if isinstance(study.space.declared[name], Structural)]
    return [name for name in structural if len(study.space.possible(name)) > 1]


def _on(found: selection.Ensemble, count: int, folds: int) -> list[str]:
    """Return lines on the choice of an ensemble."""
    chosen = ", ".join(f"{one.count} times trial {one.trial} (replicate {one.replicate})" for one in found.members)
    if len(found.members) == 1:
        chosen += ": no other network improves on it, so the ensemble is this network alone"
    best = "best trial" if found.trials == 1 else f"{found.trials} best trials"
    of = f"{counted(found.candidates, 'network')} of the {best}"
    fold = " (those of the first fold)" if folds > 1 else ""
    return [
        f"{counted(count, 'choice')} from {of}{fold}: {chosen}",
        f"{found.objective}: best single network {found.best_value:.4g}, ensemble {found.value:.4g}"
        " (both were chosen on these rows, so both are optimistic)",
    ]


def _on_refit(members: Sequence[Chosen], rows: int, before: float | None) -> str:
    epochs = sorted({one.refit_epochs for one in members if one.refit_epochs is not None})
    span = f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    return (
        f"refitted on the {rows:,} training and validation rows for {span} epochs, the mean best epoch of a trial's"
        f" replicates; val_loss was {before:.4g} before, and no rows are left to measure it on"
    )


def _on_calibration(model: Model) -> str:
    done = model.meta.calibration
    assert done is not None
    return (
        f"calibrated with temperature {done.temperature:.4g} on {done.rows:,} validation rows: expected calibration"
        f" error {done.error_before:.4f} before, {done.error:.4f} after; val_loss {done.loss_before:.4g} before,"
        f" {done.loss:.4g} after"
    )


def _on_threshold(model: Model, format_: str) -> list[str]:
    """Return lines on the threshold between two classes."""
    lines = [deciding.statement(model)]
    if format_ == "onnx":
        lines.append(
            "the graph returns probabilities, so the threshold is not part of it: the last line below applies it"
        )
    return lines


def _validate_overwrite(options: ExportOptions, title: str) -> None:
    """Refuse to overwrite a model file, or its description, of anything but what is exported, unless that is forced.

    Raises:
        RequestError: one of the files holds something else; the message says what.
    """
    if options.force:
        return
    for path in (options.file, options.file.with_suffix(".json")):
        if not path.exists():
            continue
        try:
            holds = _described(path).title
        except ValueError:
            holds = "something else"
        if holds != title:
            raise RequestError(
                f"{clip(str(path), 200)} already exists and holds {holds}, not {title}: give another --output, or"
                " overwrite it with --force"
            )


def _described(path: Path) -> Meta:
    """Return the description in a model file, an ONNX file or a JSON file; raise ValueError if it has none."""
    if path.suffix == ".json":
        return Meta.model_validate_json(path.read_text())
    return onnx_file.described(path) if path.suffix == ".onnx" else load(path).meta
