"""What an export is asked for, and what is refused before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import RequestError, clip
from search.export import onnx_file
from search.predict import threshold as deciding
from search.train.metrics.decided import decided_metric

if TYPE_CHECKING:
    from search.study.study import BaseStudy

FORMATS = ("safetensors", "onnx")
"""The formats of the file; each is also the end of its name."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and how.

    Attributes:
        file: the file to write; the end of its name is the format.
        trial: the number of the trial; by default the chosen one.
        one_se: whether to take the most strongly regularised trial within one standard error of the best.
        ensemble: the number of choices for an ensemble (`search.export.ensemble`); None for a single network.
        refit: whether to train on training and validation rows (`search.export.refit`).
        calibrate: whether to fit a temperature on the validation rows (`search.export.calibrate`).
        force: whether to overwrite files that hold something else.
        threshold: the metric for which to choose a threshold between two classes (`search.predict.threshold`).
    """

    file: Path
    trial: int | None = None
    one_se: bool = False
    ensemble: int | None = None
    refit: bool = False
    calibrate: bool = False
    force: bool = True
    threshold: str | None = None

    @property
    def format(self) -> str:
        """The format of the file."""
        return self.file.suffix.removeprefix(".")

    def validate(self) -> None:
        """Refuse what is wrong with any study.

        Raises:
            RequestError: the file's name does not end in a format, its folder does not exist, or two options exclude
                each other.
            EnvironmentFault: the format needs a library that is missing.
        """
        if self.format not in FORMATS:
            raise RequestError(f"output takes a name that ends in .safetensors or .onnx, got {clip(str(self.file))!r}")
        if not self.file.absolute().parent.is_dir():
            raise RequestError(f"output: the folder {clip(str(self.file.absolute().parent))!r} does not exist")
        if self.one_se and self.trial is not None:
            raise RequestError(f"give either --trial {self.trial} or --one-se, not both")
        if self.ensemble is not None:
            if self.ensemble < 1:
                raise RequestError(f"ensemble takes a number of choices, 2 or more, got {self.ensemble}")
            if self.one_se or self.trial is not None:
                other = "--one-se" if self.one_se else f"--trial {self.trial}"
                raise RequestError(f"give either --ensemble {self.ensemble}, which chooses the trials, or {other}")
        if self.refit and self.calibrate:
            raise RequestError(
                "give either --refit or --calibrate: a temperature is fitted on validation rows that the network was"
                " not trained on"
            )
        if self.threshold is not None:
            decided_metric(self.threshold)
        if self.format == "onnx":
            onnx_file.validate_installed()

    def validate_for(self, study: BaseStudy) -> None:
        """Refuse what is wrong with this study.

        Raises:
            RequestError: a temperature is asked for in a regression, a threshold cannot be chosen, or the validation
                rows are the test rows.
        """
        if self.calibrate and study.data.task == "regression":
            raise RequestError(
                f"calibrate fits the temperature of probabilities, but {study.data.name} is a regression"
            )
        if self.threshold is not None:
            deciding.validate(self.threshold, study.data)
        if self.refit and study.recipe.data.validation == "test":
            raise RequestError(
                f"refit trains on the validation rows too, but those of {study.name!r} are its test rows"
                " (validation = 'test')"
            )
