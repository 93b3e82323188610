"""A study of data in memory: named, found and refused; its workers have the data too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small_studies import Quiet

from search import RequestError, Study, load_study
from search.__main__ import main

SMALL: dict[str, Any] = {"tracking_uri": None, "trials": 2, "set": {"epochs": 2}}


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "kind": rng.choice(["x", "y"], 60)})
    table["price"] = table["a"] + (table["kind"] == "x") + 0.1 * rng.normal(size=60)
    return table


def test_it_is_named_by_memory_and_found_with_its_data(tmp_path: Path, frame: pd.DataFrame) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study = Study("l2", data=frame, target="price", storage=storage, **SMALL).run(observers=[Quiet()])
    assert study.name == "l2-memory"
    found = load_study("l2", dataset="memory", storage=storage, data=frame)
    assert found.best == study.best
    pd.testing.assert_frame_equal(found.predict(frame), study.predict(frame))
    with pytest.raises(RequestError, match="differs in data"):
        Study("l2", data=frame.iloc[:50], target="price", storage=storage, **SMALL).run(observers=[Quiet()])


def test_without_its_data_it_is_refused(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Study("l2", data=frame, target="price", **SMALL).run(observers=[Quiet()])
    with pytest.raises(RequestError, match="given in memory"):
        load_study("l2-memory")
    with pytest.raises(RequestError, match="given in memory"):
        Study("l2", dataset="memory")
    assert main(["predict", "l2-memory", "new.csv"]) == 2
    assert "load_study('l2-memory', data=...)" in capsys.readouterr().err


def test_the_rules_of_the_split_are_arguments(frame: pd.DataFrame) -> None:
    study = Study("l2", data=frame, target="price", folds=3, test=0.1, options={"drop": ["kind"]}, **SMALL)
    assert study.recipe.data.folds == len(study.data.folds) == 3
    assert len(study.data.x_test) == 6
    assert {feature.column for feature in study.data.columns} == {"a"}


def test_test_rows_are_given_in_memory_too(tmp_path: Path, frame: pd.DataFrame) -> None:
    arguments = {"data": frame[:40], "test": frame[40:], "storage": f"sqlite:///{tmp_path}/optuna.db"}
    study = Study("l2", target="price", **arguments, **SMALL).run(observers=[Quiet()])
    assert len(study.data.x_test) == 20
    assert load_study("l2-memory", **arguments).best == study.best
    with pytest.raises(RequestError, match=r"the test rows .* were given in memory: give them again"):
        load_study("l2-memory", **{**arguments, "test": None})
    with pytest.raises(RequestError, match="test is given in memory, so data must be too"):
        Study("l2", dataset="wine", test=frame)


def test_a_mapping_is_still_the_table_of_the_recipe() -> None:
    study = Study("l2", dataset="wine", data={"seed": 3, "scale": "none"}, **SMALL)
    assert (study.recipe.data.dataset, study.recipe.data.seed, study.recipe.data.scale) == ("wine", 3, "none")


def test_data_and_dataset_exclude_each_other(frame: pd.DataFrame) -> None:
    with pytest.raises(RequestError, match="either data or dataset 'wine'"):
        Study("l2", data=frame, target="price", dataset="wine")


def test_workers_have_the_data(tmp_path: Path, frame: pd.DataFrame) -> None:
    values = []
    for workers in (1, 2):
        study = Study(
            "l2",
            data=(frame[["a", "kind"]], frame["price"]),
            storage=f"sqlite:///{tmp_path}/{workers}.db",
            sampler="random",
            pruner={"name": "none"},
            **SMALL,
        )
        study.run(workers=workers, observers=[Quiet()])
        values.append(sorted(study.trials()["value"]))
    assert values[0] == values[1]
