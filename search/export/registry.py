"""The registry of MLflow: an exported model as a version of a registered model.

The model of a table is a pyfunc that takes the user's columns, and returns predictions and the probability of each
class by its name (`search.export.served`). The model of other data is a PyTorch module that takes raw rows. The newest
version has the alias `champion`. A model that is registered once more does not become another version.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from search.cli import invocation
from search.errors import EnvironmentFault, RequestError
from search.export.loading import plain_network
from search.predict.new_rows import Wanted
from search.predict.predictor import class_values
from search.record.dataset import column_types
from search.storage.database import shown
from search.storage.installed import FOLDER
from search.train.model_file import Model, save

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

CHAMPION = "champion"
"""The alias of the newest version."""
DIGEST_TAG = "regsearch.digest"
_NEEDED = ("torch", "numpy", "pandas", "pydantic", "safetensors", "scikit-learn")


def register(model: Model, name: str, tracking_uri: str, example: Tensor) -> str:
    """Log a model to its run, register it in MLflow, and return its URI, ``models:/name/version``.

    The run is that of the trial; that of an ensemble of several trials is the study's.

    Args:
        model: the model.
        name: the name of the registered model.
        tracking_uri: the tracking URI of MLflow.
        example: some raw rows, for a model that takes such.

    Raises:
        RequestError: the trial has no run there.
        EnvironmentFault: MLflow fails.
    """
    from search.tracking.writer import silence_mlflow

    silence_mlflow()
    import mlflow
    from mlflow.exceptions import MlflowException

    from search.tracking.plan import KEY_TAG
    from search.tracking.reach import reason
    from search.tracking.store import opened, tagged

    key = model.meta.study if model.meta.trial is None else f"{model.meta.study}/{model.meta.trial}"
    try:
        client = opened(tracking_uri)
        mlflow.set_tracking_uri(tracking_uri)
        experiments = [one.experiment_id for one in client.search_experiments()]
        candidates = client.search_runs(experiments, tagged(KEY_TAG, key))
        runs = [run for run in candidates if run.data.tags.get(KEY_TAG) == key]
        if not runs:
            sync = invocation.command("sync", model.meta.study)
            raise RequestError(f"MLflow has no run of {key}: run this first: {sync}")
        number = _registered(client, name, model.digest)
        if number is None:
            info = runs[0].info
            with mlflow.start_run(run_id=info.run_id):
                number = str(_log(model, name, example).registered_model_version)
            # The end of the block above has set the run's end to now. The next sync would take that for a different
            # record.
            client.set_terminated(info.run_id, info.status, info.end_time)
            client.set_model_version_tag(name, number, DIGEST_TAG, model.digest)
        client.set_registered_model_alias(name, CHAMPION, number)
    except (MlflowException, OSError, ImportError) as error:
        # A store of files may be out of reach, or need a library of its own.
        raise EnvironmentFault(f"MLflow at {shown(tracking_uri)}: {reason(error)}") from None
    return f"models:/{name}/{number}"


def loader(model: Model) -> str:
    """Return the function of MLflow that loads a registered model."""
    return "mlflow.pyfunc.load_model" if model.meta.preprocessor is not None else "mlflow.pytorch.load_model"


def requirements(*needed: str) -> list[str]:
    """Return requirements of these versions as every package index has them: ``torch==2.13.0``, not 2.13.0+cu130."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in needed]


def signature(model: Model) -> ModelSignature:
    """Return the columns, with their types, that the model of a table takes and returns."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    wanted = Wanted.by_model(model.meta)
    assert wanted.preprocessor is not None
    names = wanted.predicted(intervals=False)
    kinds = dict.fromkeys(names, "double")
    if wanted.classes:
        kinds[names[0]] = "long" if isinstance(class_values(wanted.classes)[0], int) else "string"
    return ModelSignature(
        Schema([ColSpec(kind, name) for name, kind in column_types(wanted.preprocessor).items()]),
        Schema([ColSpec(kind, name) for name, kind in kinds.items()]),
    )


def _registered(client: MlflowClient, name: str, digest: str) -> str | None:
    """Return the number of the version that is this model already, if there is one."""
    quoted = name.replace("'", "''")
    versions = client.search_model_versions(f"name='{quoted}'")
    return next((str(one.version) for one in versions if one.tags.get(DIGEST_TAG) == digest), None)


def _log(model: Model, name: str, example: Tensor) -> Any:
    """Log a model to the active run as a new version of a registered model."""
    import mlflow

    if model.meta.preprocessor is None:
        return mlflow.pytorch.log_model(
            plain_network(model),
            name="model",
            registered_model_name=name,
            input_example=example.numpy(),
            pip_requirements=requirements("torch", "numpy"),
            serialization_format="pt2",  # a traced graph, which loads without running code from the file
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save(file, model)
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"model": str(file)},
            code_paths=[str(FOLDER / "search")],
            registered_model_name=name,
            signature=signature(model),
            pip_requirements=requirements(*_NEEDED),
        )
