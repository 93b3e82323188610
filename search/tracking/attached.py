"""What a study's own run in MLflow has besides parameters, tags and metrics: its data set and two files.

    inputs       the data set: its name, digest, source and columns, as `mlflow.log_input` notes them
    recipe.toml  the recipe with every change that the study was run with; `regsearch run recipe.toml` takes it
    trials.csv   a row for each trial

A tag holds the digest of what was attached, so that nothing is attached twice. Files go to the store's folder of
artifacts, which a client may be unable to write to; then one line says so, and everything else is as usual.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import ColSpec, Schema, TensorSpec
from numpy import dtype
from optuna.trial import FrozenTrial

from search.record.dataset import DATASET
from search.record.objectives import Objectives
from search.record.rows import trial_rows
from search.record.stored import stored_recipe
from search.tracking.reach import reason
from search.tracking.said import say

FILES_TAG, DATASET_TAG = "regsearch.files", "regsearch.dataset"
_IDENTITY = "identity"


def recipe_text(attributes: Mapping[str, Any]) -> str:
    """Return the recipe of a study as TOML, from the study's attributes; "" if it has none."""
    import tomli_w

    return tomli_w.dumps(_without_none(stored_recipe(attributes)))


def trials_text(trials: Sequence[FrozenTrial], objectives: Objectives) -> str:
    """Return the trials of a study with these objectives as CSV, a row for each."""
    rows = trial_rows(trials, objectives)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def dataset_input(attributes: Mapping[str, Any]) -> DatasetInput | None:
    """Return the data set of a study as MLflow notes it; None if an older version stored the study without it."""
    noted = attributes.get(DATASET)
    if noted is None:
        return None
    columns = [ColSpec(kind, name) for name, kind in noted["columns"].items()]
    whole = TensorSpec(dtype("float32"), (-1, noted["features"]))
    schema = Schema([*columns] or [whole]).to_dict()
    entity = Dataset(
        name=noted["name"][:500],
        digest=attributes.get(_IDENTITY, {}).get("data", "")[:36],
        source_type="local",
        source=json.dumps({"uri": noted["source"]}),
        schema=json.dumps({"mlflow_colspec": schema} if columns else {"mlflow_tensorspec": {"features": schema}}),
        profile=json.dumps({"task": noted["task"], "outputs": noted["outputs"], **noted["rows"]}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "search")])


def attach_dataset(
    client: MlflowClient, run_id: str, tags: Mapping[str, str], attributes: Mapping[str, Any]
) -> dict[str, str]:
    """Note the data set as an input of a run unless its tags say that it is there; return the new tags."""
    noted = dataset_input(attributes)
    if noted is None or tags.get(DATASET_TAG) == noted.dataset.digest:
        return {}
    client.log_inputs(run_id, [noted])
    return {DATASET_TAG: noted.dataset.digest}


def attach_files(
    client: MlflowClient, run_id: str, tags: Mapping[str, str], files: Mapping[str, str]
) -> dict[str, str]:
    """Attach texts, by the names of their files, to a run unless its tags say that it has them; return the new tags."""
    digest = hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:32]
    if tags.get(FILES_TAG) == digest:
        return {}
    try:
        for name, text in files.items():
            client.log_text(run_id, text, name)
    except Exception as error:  # any store of artifacts, with a library of its own, may be behind this
        say(f"MLflow's run of the study has no files {' and '.join(files)}: {reason(error)}")
        return {}
    return {FILES_TAG: digest}


def _without_none(value: Any) -> Any:
    """Return a value without the entries that TOML cannot hold; a recipe's fields are None where they are not set."""
    if isinstance(value, Mapping):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value
