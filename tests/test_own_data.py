"""Studies of a user's own data: their names, and where their data are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search import Study, run, uncertainty
from search.errors import RequestError
from search.record.curves import RECIPE

FAST = ["--epochs", "2", "--hidden", "8", "--device", "cpu"]
QUIET = ["--trials", "2", "--tracking-uri", "none"]


@pytest.fixture
def homes(in_an_empty_folder: Path) -> pd.DataFrame:
    """60 homes in data/homes.csv: rooms, some unknown, town and price; and their table."""
    del in_an_empty_folder
    rows = range(60)
    table = pd.DataFrame({
        "rooms": [None if i % 7 == 3 else i % 5 for i in rows],
        "town": [("Ulm", "Bern", None)[i % 3] for i in rows],
        "price": [round(100 + 7.5 * (i % 5) + 3 * (i % 3) + i / 60, 3) for i in rows],
    })  # fmt: skip
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
    # Another target is another study, and says so.
    assert run.main([*words[:4], "rooms", *words[5:], "--data", "task=regression"]) == 2
    assert "rooms' is missing in row 4" in capsys.readouterr().err
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
    # From another folder, by the name in the storage: the study knows where its data are.
    storage = f"sqlite:///{Path('optuna.db').absolute()}"
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    ask = ["--storage", storage, "--device", "cpu", "--passes", "3", "--json"]
    assert uncertainty.main(["rates-homes", *ask]) == 0
    assert said(capsys)["study"] == "rates-homes"
    assert uncertainty.main(["../data/rates.toml", *ask]) == 0
    # Unless they have moved: then --dataset says where to.
    Path("../data/homes.csv").rename("homes.csv")
    capsys.readouterr()
    assert uncertainty.main(["rates-homes", *ask]) == 2
    assert "there is no dataset" in capsys.readouterr().err
    assert uncertainty.main(["rates-homes", "--dataset", "homes.csv", *ask]) == 0


@pytest.mark.usefixtures("homes")
def test_from_python() -> None:
    study = Study("l2", dataset=Path("data/homes.csv"), target="price", device="cpu", tracking_uri=None)
    assert study.name == "l2-homes"
    assert study.data.task == "regression"
    kept = study.optuna_study.user_attrs[RECIPE]["data"]
    assert (kept["dataset"], kept["target"]) == (str(Path("data/homes.csv").absolute()), "price")
    with pytest.raises(RequestError, match="target 'price' is for a table"):
        Study(study.recipe, dataset="digits")
