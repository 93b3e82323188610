"""The description of the networks in a model file (`search.train.model_file`), JSON in its header."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, WrapSerializer, model_validator

from search.data import Feature, Preprocessor
from search.storage.fields import Part
from search.train.model_parts import (
    Branches,
    Calibration,
    EncodedInputs,
    Member,
    NonlinearInputs,
    Residual,
    Threshold,
    Waves,
    Widths,
)
from search.train.model_titles import ensemble_title, trial_title

FORMATS = (1, 2)
# The fields of version 0.1.0, which every description has. A later field is left out at its default, so that files of
# one network stay what they were: their digests, and older versions that read them.
_ALWAYS = {
    *("format", "widths", "activation", "task", "classes", "dataset", "pixel_max"),
    *("study", "trial", "val_loss", "version"),
}


def _without_newer_fields(feature: Feature, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """Leave out fields of later versions at their defaults: model files, and their digests, stay what they were."""
    fields: dict[str, Any] = serialise(feature)
    return {name: value for name, value in fields.items() if name not in ("part", "offset") or value}


class Meta(Part):
    """The description of the network, or of the ensemble, in a model file."""

    format: Literal[1, 2] = Field(default=1, description="1 for a network, 2 for an ensemble")
    widths: Widths = Field(
        description="the widths of inputs, hidden layers and outputs; of an ensemble, those of inputs and outputs"
    )
    activation: str = Field(description='the activation after every layer but the last; of an ensemble, ""')
    task: Literal["classification", "regression"]
    classes: tuple[str, ...] = Field(default=(), description="the names of the classes, in the order of the outputs")
    dataset: str
    columns: tuple[Annotated[Feature, WrapSerializer(_without_newer_fields)], ...] = Field(
        default=(), description="for a table, the source of each raw input (`search.data.Feature`)"
    )
    preprocessor: Preprocessor | None = Field(default=None, description="what turns a table's columns into raw inputs")
    pixel_max: float | None = Field(default=None, description="the largest raw value of a pixel, if rows are images")
    study: str = Field(default="", description="the study that trained the network")
    trial: int | None = None
    val_loss: float | None = None
    version: str = Field(default="", description="the version of regsearch")
    refit_epochs: int | None = Field(
        default=None, description="the epochs of training on training and validation rows, if it was trained on both"
    )
    residual: Residual = ()
    branches: Branches = ()
    waves: Waves = 0
    members: tuple[Member, ...] = Field(default=(), description="the networks of an ensemble")
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    target_names: tuple[str, ...] = Field(default=(), description="for a table, the columns that it predicts")
    nonlinear: NonlinearInputs | None = None
    encoded: EncodedInputs | None = None
    scored_rows: int = Field(default=0, ge=0, description="the number of validation rows in `validation.scores`")

    @model_validator(mode="after")
    def _each_input_is_described(self) -> Meta:
        if len(self.columns) not in (0, self.features):
            raise ValueError(f"columns should describe {self.features} inputs, got {len(self.columns)}")
        if self.preprocessor is not None and self.preprocessor.features != self.columns:
            raise ValueError("preprocessor should make the inputs that columns describe")
        return self

    @model_validator(mode="after")
    def _branches_fit(self) -> Meta:
        described = [(one.widths, one.branches) for one in self.members]
        for widths, branches in [(self.widths, self.branches), *described]:
            if len(branches) not in (0, len(widths) - 2):
                raise ValueError(f"branches should be given for {len(widths) - 2} hidden layers, got {len(branches)}")
        return self

    @model_validator(mode="after")
    def _members_fit(self) -> Meta:
        if (self.format == 2) != bool(self.members):
            raise ValueError(f"members should be of an ensemble, format 2, got {len(self.members)} in {self.format}")
        if self.widths[0] % (1 + self.waves) or any(member.widths[0] % (1 + member.waves) for member in self.members):
            raise ValueError("widths should begin with the inputs and all of their waves")
        ends = self.entering, self.widths[-1]
        if any((member.features, member.widths[-1]) != ends for member in self.members):
            raise ValueError(f"members should each have {ends[0]} inputs and {ends[1]} outputs")
        return self

    @model_validator(mode="after")
    def _threshold_is_of_two_classes(self) -> Meta:
        if self.threshold is not None and (self.task, len(self.classes)) != ("classification", 2):
            raise ValueError(f"threshold should be of two classes, got {len(self.classes)}")
        return self

    @property
    def features(self) -> int:
        """The number of raw inputs, which is that of the networks' inputs if there is no encoding."""
        return self.entering if self.encoded is None else self.encoded.features

    @property
    def entering(self) -> int:
        """The number of the networks' inputs, without their waves."""
        return self.widths[0] // (1 + self.waves)

    @property
    def title(self) -> str:
        """What the file holds: ``trial 3 of l2-digits``, or ``an ensemble of l2-digits``."""
        several = self.members and self.trial is None
        return ensemble_title(self.study) if several else trial_title(self.study, self.trial)

    def stored(self, indent: int | None = None) -> str:
        """Return the description as JSON, without later fields at their defaults."""
        fields = type(self).model_fields
        absent = {
            name
            for name in fields.keys() - _ALWAYS
            if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        }
        return self.model_dump_json(exclude=absent, indent=indent)
