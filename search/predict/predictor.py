"""`Predictor`: a model that predicts new rows as they are in the user's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from search.data.encoders import is_whole
from search.errors import RequestError, clip, counted
from search.predict import conformal, threshold
from search.predict.new_rows import NewRows, Rows, Wanted, read
from search.show import html
from search.train import model_file
from search.train.model_file import Model

if TYPE_CHECKING:
    import pandas as pd

# More rows at once would need gigabytes for wide networks.
_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of new rows.

    Attributes:
        frame: the predictions, a row for each row (`Predictor.predict`).
        rows: the rows that they are for.
        notes: what a person should know about the rows, the threshold and the intervals, a line each.
    """

    frame: pd.DataFrame
    rows: NewRows
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network, or an ensemble, with everything that turns a user's rows into its inputs.

    Attributes:
        model: the network, its scaling and its preprocessing, as a model file holds them.
    """

    model: Model

    @property
    def wanted(self) -> Wanted:
        """What the model takes and predicts."""
        return Wanted.by_model(self.model.meta)

    def predict(self, rows: Rows | NewRows, *, interval: float | None = None) -> pd.DataFrame:
        """Predict new rows.

        A classification has the columns `prediction`, the most probable class, and `probability_CLASS` for each class.
        A model with a threshold (`search.predict.threshold`) predicts the second class where its probability is above
        it.
        Classes that are whole numbers are whole numbers in `prediction`. A regression has `prediction`, in the units of
        the data, or `prediction_TARGET` for each of several targets. The index is that of the rows. What is unusual in
        the rows stands in ``frame.attrs["notes"]``.

        Args:
            rows: a data frame, or the path of a table, with the columns of the training data in any order; columns that
                are not needed are ignored. For other data an array ``rows x features`` or of images, or
                the path of an .npz with an array x.
            interval: the share of new rows whose true value should lie within `lower` and `upper`, or whose true class
                should be in `prediction_set`, such as 0.9 (`search.predict.conformal`). None for neither.

        Raises:
            RequestError: a column is missing, a cell cannot be read, or the interval is not possible.
            EnvironmentFault: a file is damaged.
        """
        predictions = self.predictions(rows, interval=interval)
        predictions.frame.attrs["notes"] = list(predictions.notes)
        return predictions.frame

    def predictions(self, rows: Rows | NewRows, *, interval: float | None = None) -> Predictions:
        """Return the same predictions with the rows and the notes; for the arguments see `predict`."""
        reach = None if interval is None else conformal.quantile(self.model, interval)
        new = rows if isinstance(rows, NewRows) else read(rows, self.wanted)
        outputs = self.outputs(new.raw)
        frame = (self._classes if self.wanted.classes else self._numbers)(outputs, reach, new.table.index)
        notes = [*new.notes]
        if self.model.meta.threshold is not None:
            notes.append(threshold.statement(self.model))
        if interval is not None:
            notes.append(conformal.statement(self.model, interval))
        return Predictions(frame, new, tuple(notes))

    def outputs(self, raw: Tensor) -> Tensor:
        """Return probabilities or values, ``rows x outputs``, of raw inputs, ``rows x features``."""
        return torch.cat([self.model.predict(part) for part in torch.split(raw, _AT_ONCE)])

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the numbers of the classes that are predicted, ``(rows,)``, of probabilities ``rows x classes``."""
        chosen = self.model.meta.threshold
        return probabilities.argmax(dim=1) if chosen is None else chosen.decide(probabilities)

    def __repr__(self) -> str:
        meta = self.model.meta
        return f"<Predictor: {meta.title}, {meta.task} of {clip(meta.dataset)}, {counted(meta.features, 'input')}>"

    def _repr_html_(self) -> str:
        return html.block(html.lines([repr(self)]))

    def _classes(self, outputs: Tensor, reach: Tensor | None, index: pd.Index) -> pd.DataFrame:
        import pandas as pd

        classes = self.wanted.classes
        columns = [np.array(class_values(classes))[self.decide(outputs)], *outputs.numpy().T]
        if reach is not None:
            every, within = np.array(classes, dtype=object), (1 - outputs <= reach).numpy()
            columns.append(np.array([" | ".join(every[row]) for row in within], dtype=object))
        names = self.wanted.predicted(intervals=reach is not None)
        return pd.DataFrame(dict(zip(names, columns, strict=True)), index=index)

    def _numbers(self, outputs: Tensor, reach: Tensor | None, index: pd.Index) -> pd.DataFrame:
        import pandas as pd

        columns = []
        for number, values in enumerate(outputs.double().T):
            ends = [] if reach is None else [values - reach[number], values + reach[number]]
            columns += [values, *ends]
        names = self.wanted.predicted(intervals=reach is not None)
        return pd.DataFrame({name: one.numpy() for name, one in zip(names, columns, strict=True)}, index=index)


def class_values(classes: tuple[str, ...]) -> list[int] | list[str]:
    """Return classes that are whole numbers as such, because they were so in the data, and others as text."""
    return [int(name) for name in classes] if all(map(is_whole, classes)) else list(classes)


def load(path: Path | str) -> Predictor:
    """Read a model file that `export` wrote, to predict new rows from the file alone.

    Raises:
        RequestError: the file is missing or not a model file.
    """
    try:
        return Predictor(model_file.load(path))
    except RequestError as error:
        raise RequestError(f"model file {clip(str(path), 200)!r}: {error}") from None
