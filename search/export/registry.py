"""The registry of MLflow: an exported model as a version of a registered model."""

from __future__ import annotations

import torch
from torch import Tensor

from search.cli import invocation
from search.errors import EnvironmentFault, RequestError
from search.export.loading import plain_network
from search.train.model_file import Model


def register(model: Model, name: str, tracking_uri: str, example: Tensor) -> str:
    """Log the network to its trial's run, register it in MLflow, and return its URI, ``models:/name/version``.

    It is stored as a traced graph (pt2), which loads without running code from the file.

    Args:
        model: the network and its description.
        name: the name of the registered model.
        tracking_uri: the tracking URI of MLflow.
        example: some raw rows; the model takes any number of rows.

    Raises:
        RequestError: the trial has no run there.
        EnvironmentFault: MLflow fails.
    """
    from search.tracking.writer import silence_mlflow

    key = model.meta.study if model.meta.members else f"{model.meta.study}/{model.meta.trial}"

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
            sync = invocation.command("sync", model.meta.study)
            raise RequestError(f"MLflow has no run of {key}: run this first: {sync}")
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
