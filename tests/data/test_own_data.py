"""Tests of studies on a user's own data: their names, the paths of the data, and the columns in a model file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from search import Study, run
from search.errors import RequestError
from search.record.curves import RECIPE
from search.replay import __main__ as replay
from search.train.model_file import load as load_model
from search.uncertainty import __main__ as uncertainty

FAST = ["--epochs", "2", "--hidden", "8", "--device", "cpu"]
QUIET = ["--trials", "2", "--tracking-uri", "none"]


@pytest.fixture
def homes(in_an_empty_folder: Path) -> pd.DataFrame:
    """Write 60 homes to data/homes.csv (rooms, some of them missing, town and price), and return the table."""
    del in_an_empty_folder
    rows = range(60)
    table = pd.DataFrame(
        {
            "rooms": [None if i % 7 == 3 else i % 5 for i in rows],
            "town": [("Ulm", "Bern", None)[i % 3] for i in rows],
            "price": [round(100 + 7.5 * (i % 5) + 3 * (i % 3) + i / 60, 3) for i in rows],
        }
    )
    Path("data").mkdir()
    table.to_csv("data/homes.csv", index=False)
    return table


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.usefixtures("homes")
def test_a_table_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["l2", "--dataset", "data/homes.csv", "--target", "price", *FAST, *QUIET, "--json"]
    assert run.main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["study"] == "l2-homes"
    assert "note: homes.csv: regression, 1 target in price; 2 columns, 5 inputs\n" in err
    # Another target makes another study, and the error says so.
    assert run.main([*words[:4], "rooms", *words[5:], "--data", "task=regression"]) == 2
    assert "rooms' is missing in line 5" in capsys.readouterr().err
    assert run.main([*words[:4], "town", *words[5:]]) == 2
    Path("data/more.csv").write_text(Path("data/homes.csv").read_text().replace("Ulm", "Rom"))
    Path("data/homes.csv").unlink()
    Path("data/more.csv").rename("data/homes.csv")
    assert run.main([*words, "--data", "drop=rooms"]) == 2
    assert "study 'l2-homes' exists and differs in data: " in capsys.readouterr().err


@pytest.mark.usefixtures("homes")
def test_a_file_that_has_moved_is_the_same_study(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*FAST, *QUIET, "--json", "--target", "price"]
    assert run.main(["l2", "--dataset", "data/homes.csv", *words]) == 0
    Path("data/homes.csv").rename("homes.csv")
    capsys.readouterr()
    assert run.main(["l2", "--dataset", "homes.csv", *words]) == 0
    assert "already has its 2 trials" in capsys.readouterr().err


@pytest.mark.usefixtures("homes")
def test_a_recipe_names_data_that_lie_beside_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    techniques = ["dropout"]
    [data]
    dataset = "homes.csv"
    target = "price"
    options = { drop = ["rooms"] }
    [space]
    dropout = { low = 0.1, high = 0.5 }
    """
    Path("data/rates.toml").write_text(text)
    assert run.main(["data/rates.toml", *FAST, *QUIET, "--json"]) == 0
    assert said(capsys)["study"] == "rates-homes"
    # In another folder the study is opened by its name, and its data are found by the stored path.
    storage = f"sqlite:///{Path('optuna.db').absolute()}"
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    ask = ["--storage", storage, "--device", "cpu", "--passes", "3", "--json"]
    assert uncertainty.main(["rates-homes", *ask]) == 0
    assert said(capsys)["study"] == "rates-homes"
    assert uncertainty.main(["../data/rates.toml", *ask]) == 0
    # If the data have moved, --dataset gives the new path.
    Path("../data/homes.csv").rename("homes.csv")
    capsys.readouterr()
    assert uncertainty.main(["rates-homes", *ask]) == 2
    assert "there is no dataset" in capsys.readouterr().err
    for now in ("homes.csv", str(Path("homes.csv").absolute())):
        assert uncertainty.main(["rates-homes", "--dataset", now, *ask]) == 0
    assert replay.main(["rates-homes", "0", "--dataset", "homes.csv", *ask[:4]]) == 0


@pytest.mark.usefixtures("homes")
def test_from_python() -> None:
    study = Study("l2", dataset=Path("data/homes.csv"), target="price", device="cpu", tracking_uri=None)
    assert study.name == "l2-homes"
    assert study.data.task == "regression"
    kept = study.optuna_study.user_attrs[RECIPE]["data"]
    assert (kept["dataset"], kept["target"]) == (str(Path("data/homes.csv").absolute()), "price")
    with pytest.raises(RequestError, match="target 'price' is for a table"):
        Study(study.recipe, dataset="digits")


def test_a_model_file_says_how_to_encode_raw_rows(homes: pd.DataFrame) -> None:
    study = Study(
        "l2",
        dataset="data/homes.csv",
        target="price",
        device="cpu",
        tracking_uri=None,
        trials=2,
        set={"epochs": 3, "hidden": "8"},
    )
    study.run(observers=())
    study.export("model.safetensors")
    model = load_model("model.safetensors")
    assert [(one.column, one.equals, one.missing) for one in model.meta.columns] == [
        ("rooms", None, False),
        ("rooms", None, True),
        ("town", "Bern", False),
        ("town", "Ulm", False),
        ("town", None, True),
    ]
    # The inputs are made from the file alone, without any other part of this package.
    inputs = []
    for feature in model.meta.columns:
        column = homes[feature.column]
        if feature.missing:
            inputs.append(column.isna().astype(float))
        elif feature.equals is not None:
            inputs.append((column == feature.equals).astype(float))
        else:
            inputs.append(column.fillna(feature.fill))
    raw = torch.tensor(pd.concat(inputs, axis=1).to_numpy(), dtype=torch.float32)
    network = nn.Sequential(nn.Linear(5, 8), nn.LeakyReLU(), nn.Linear(8, 1))
    network.load_state_dict({name: model.tensors[name] for name in network.state_dict()})
    scale = model.targets
    assert scale is not None
    with torch.no_grad():
        predicted = network((raw - model.tensors["inputs.shift"]) / model.tensors["inputs.scale"])
    price = torch.tensor(homes["price"].to_numpy(), dtype=torch.float32)[:, None]
    scaled = (price - scale.shift) / scale.scale
    # All prices differ, so they tell which rows are validation rows.
    validates = torch.isclose(scaled, study.data.y_val.T, atol=1e-5).any(1)
    assert validates.sum() == len(study.data.y_val)
    assert float(mse_loss(predicted[validates], scaled[validates])) == pytest.approx(model.meta.val_loss, rel=1e-4)


def test_a_model_goes_on_only_with_inputs_that_mean_the_same(homes: pd.DataFrame) -> None:
    settings: dict[str, Any] = {"target": "price", "device": "cpu", "tracking_uri": None}
    study = Study("l2", dataset="data/homes.csv", trials=1, set={"epochs": 2, "hidden": "8"}, **settings)
    study.run(observers=())
    study.export("model.safetensors")
    source = {"set": {"source": "model.safetensors", "hidden": "8"}}
    assert Study("fine_tune", dataset="data/homes.csv", **source, **settings).data.features == 5
    homes.replace({"town": {"Ulm": "Rom"}}).to_csv("data/others.csv", index=False)
    with pytest.raises(RequestError, match="an input 'town = Ulm', but others has 'town = Rom'"):
        Study("fine_tune", dataset="data/others.csv", **source, **settings)


def test_a_run_takes_its_split_from_options(homes: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    homes.assign(street=[f"s{row // 8}" for row in range(len(homes))], mass=1.5).to_csv("streets.csv", index=False)
    fast = ["--trials", "1", "--epochs", "1", "--hidden", "8", "--device", "cpu", "--tracking-uri", "none"]
    words = ["l2", "--dataset", "streets.csv", "--target", "price", "--weights", "mass", "--test", "0.3", *fast]
    assert run.main([*words, "--group", "street", "--folds", "2", "--split-seed", "3"]) == 0
    said = capsys.readouterr().err
    assert "note: streets.csv: the rows of a group in street stay in one part" in said
    assert "note: streets.csv: rows are weighted by mass, from 1.5 to 1.5\n" in said
    assert "split by whole groups\n" in said
    assert run.main([*words, "--folds", "2", "--split-seed", "3"]) == 2
    assert "group: street there, none here" in capsys.readouterr().err
    assert run.main([*words, "--study-name", "one-split"]) == 0
    assert "validation rows decide which trial is best: on so few" in capsys.readouterr().err
