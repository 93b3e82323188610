"""What MLflow runs for a registered model of a table: rows with the user's columns in, predictions out.

MLflow keeps this file with the model, beside the model file and a copy of the package `search`, and runs it when the
model is loaded (`mlflow.pyfunc.log_model`, "models from code"). Nothing is pickled.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """A model file, which predicts as `search.load(file).predict(rows)` does."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model file."""
        from search.predict.predictor import load

        self._predictor = load(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a data frame of predictions, with the probability of each class in a classification."""
        del context, params
        return self._predictor.predict(model_input)


set_model(ServedModel())
