"""Predictions of new rows: those of the study itself, from the file alone, and refused rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.small_studies import Quiet, small
from torch import Tensor

import regsearch
import search
from search import RequestError, Study
from search.predict import __main__ as predict
from search.study.retrain import Retraining, retrain

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
STORED = ["--storage", "sqlite:///study.db", "--device", "cpu"]


@pytest.fixture
def homes(in_an_empty_folder: Path) -> pd.DataFrame:
    """Write 90 homes to homes.csv: numbers and text, some of them missing, a date and a price that tells rows apart."""
    rng = np.random.default_rng(0)
    rooms = rng.integers(1, 9, 90)
    table = pd.DataFrame(
        {
            "rooms": np.where(rng.random(90) < 0.1, np.nan, rooms),
            "town": rng.choice(["Ulm", "Bern", None], 90),
            "garden": rng.choice(["yes", "no"], 90),
            "seen": 1_700_000_000 + 60.0 * rng.permutation(90),
            "price": np.round(100 + 7.5 * rooms + rng.normal(size=90), 6),
        }
    )
    table.to_csv(in_an_empty_folder / "homes.csv", index=False)
    return table


def study_of(target: str, **changes: Any) -> Study:
    data = {"dataset": "homes.csv", "target": target} | changes.pop("data", {})
    short = {"trials": 2, "data": data, "set": {"epochs": 3, "hidden": "8", "batch_size": 20}}
    return small(Path(), **(short | changes)).run(observers=[Quiet()], decide=False)


def own_predictions(study: Study) -> Tensor:
    """The outputs of the best trial for the validation rows, by the pack that trains."""
    assert study.best is not None
    best = study.best
    (trained,) = retrain([Retraining.of(study, best.number, best.params, [0])], "", log=lambda _: None)
    return trained.network.predict(trained.network.batches.x_val)[0, :, : study.data.outputs]


def validation_rows(study: Study, homes: pd.DataFrame) -> list[int]:
    """The numbers of the rows that validate, in the order of the data; prices tell them apart."""
    targets = study.data.targets
    assert targets is not None
    prices = targets.invert(study.data.y_val)[:, 0].numpy()
    return [int(np.argmin(np.abs(homes["price"] - price))) for price in prices]


def test_the_file_alone_predicts_what_the_study_does(homes: pd.DataFrame) -> None:
    study = study_of("price")
    study.export("model.safetensors")
    rows = validation_rows(study, homes)
    targets = study.data.targets
    assert targets is not None
    expected = targets.invert(own_predictions(study))[:, 0].numpy()
    predictor = search.load("model.safetensors")
    found = predictor.predict(homes.iloc[rows])
    assert list(found.index) == rows
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-6)
    # Other columns and another order change nothing, and a row alone is predicted as among others.
    homes.iloc[rows, ::-1].drop(columns="price").assign(note="x").to_csv("new.csv", index=False)
    np.testing.assert_allclose(predictor.predict("new.csv")["prediction"], expected, rtol=1e-6)
    one = predictor.predict(homes.iloc[rows[3:4]].to_dict("records"))
    assert one["prediction"][0] == pytest.approx(expected[3], rel=1e-6)


@pytest.mark.slow
def test_a_fresh_process_needs_neither_the_study_nor_its_data(homes: pd.DataFrame) -> None:
    study = study_of("price")
    study.export("model.safetensors")
    expected = study.predict(homes)["prediction"]
    homes.to_csv("new.csv", index=False)
    for file in ("homes.csv", "study.db"):
        Path(file).unlink()
    code = "import search; search.load('model.safetensors').predict('new.csv').to_json('out.json', double_precision=15)"
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(pd.read_json("out.json")["prediction"], expected, rtol=1e-6)


@pytest.mark.usefixtures("homes")
def test_the_lines_that_export_prints_predict_the_users_own_file() -> None:
    study = study_of("price")
    exported = study.export("model.safetensors")
    assert exported.lines == ["import search", "predictions = search.load('model.safetensors').predict('homes.csv')"]
    assert "predict a table with the columns of the training data:" in str(exported)
    spaces: dict[str, Any] = {}
    exec("\n".join(exported.lines), spaces)
    pd.testing.assert_frame_equal(spaces["predictions"], study.predict("homes.csv"))
    # Numbers alone need no preprocessing, so plain PyTorch predicts them.
    numbers = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60) % 7, "price": np.arange(60) * 1.5})
    numbers.to_csv("homes.csv", index=False)
    plain = small(Path(), name="plain", trials=1, data={"dataset": "homes.csv", "target": "price"})
    exported = plain.run(observers=[Quiet()], decide=False).export("plain.safetensors")
    assert "predict plain.safetensors homes.csv` predicts a table. These lines load it, and" in str(exported)
    assert "predict `rows` of numbers, in the order of `columns` in plain.json (a, b):" in str(exported)
    rows = torch.tensor(numbers[["a", "b"]].to_numpy(), dtype=torch.float32)
    spaces = {"rows": rows}
    exec("\n".join(exported.lines), spaces)
    np.testing.assert_allclose(spaces["outputs"][:, 0].detach(), plain.predict(numbers)["prediction"], rtol=1e-5)


def test_a_model_of_a_fold_predicts_by_the_folds_own_preprocessing(homes: pd.DataFrame) -> None:
    study = study_of("price", data={"folds": 3})
    expected = own_predictions(study)
    targets = study.data.targets
    assert targets is not None
    found = study.predict(homes.iloc[validation_rows(study, homes)], interval=0.5)
    np.testing.assert_allclose(found["prediction"], targets.invert(expected)[:, 0], rtol=1e-6)
    assert len(found) == len(study.data.y_val) == 24


def test_an_ensemble_predicts_from_its_file_with_intervals_and_a_refit_without(homes: pd.DataFrame) -> None:
    study = study_of("price", replicates=2, pruner={"name": "none"})
    rows = homes.iloc[validation_rows(study, homes)]
    for name, options in (("ensemble", {"ensemble": 3}), ("refit", {"refit": True})):
        exported = study.export(f"{name}.safetensors", **options)
        predictor = search.load(f"{name}.safetensors")
        assert predictor.model.digest == exported.model.digest
        predicted = predictor.predict(rows)["prediction"]
        expected = exported.model.outputs(study.data.x_val)[:, 0]
        np.testing.assert_allclose(predicted, expected, rtol=1e-6)
    by_interval = search.load("ensemble.safetensors").predict(rows, interval=0.8)
    inside = rows["price"].between(by_interval["lower"] - 1e-3, by_interval["upper"] + 1e-3)
    assert inside.sum() == 16  # of 18 rows, of which ceil(19 * 0.8) = 16 have a smaller error or the same
    with pytest.raises(RequestError, match="it was trained on them too"):
        predictor.predict(rows, interval=0.8)


def test_the_package_has_its_own_name_too() -> None:
    assert regsearch.load is search.load
    assert regsearch.Study is Study
    assert set(dir(regsearch)) == set(search.__all__)
    with pytest.raises(AttributeError, match="'regsearch' has no attribute 'run_study'"):
        _ = regsearch.run_study


def test_the_study_itself_predicts_classes_with_their_probabilities(homes: pd.DataFrame) -> None:
    study = study_of("garden")
    predicted = study.predict("homes.csv")
    assert list(predicted.columns) == ["prediction", "probability_no", "probability_yes"]
    np.testing.assert_allclose(predicted.iloc[:, 1:].sum(axis=1), 1, rtol=1e-6)
    chosen = predicted.iloc[:, 1:].to_numpy().argmax(axis=1)
    assert list(predicted["prediction"]) == list(np.array(["no", "yes"])[chosen])
    probabilities = own_predictions(study).softmax(1).numpy()
    rows = predicted.iloc[:, 1:].to_numpy()
    assert all(np.isclose(rows, one, atol=1e-6).all(axis=1).any() for one in probabilities)
    pd.testing.assert_frame_equal(study.predictor().predict(homes), predicted)
    assert predicted.attrs["notes"][-1] == "homes.csv: columns that are not used: garden (the target)"


def test_classes_that_are_numbers_come_back_as_numbers() -> None:
    study = small(Path(), trials=2, data={"dataset": "digits"}).run(observers=[Quiet()], decide=False)
    raw = study.data.inputs.invert(study.data.x_val).round().numpy()
    predicted = study.predict(raw.reshape(-1, 8, 8))
    assert predicted["prediction"].dtype.kind == "i"
    correct = (predicted["prediction"] == study.data.y_val.numpy()).mean()
    assert correct == pytest.approx((own_predictions(study).argmax(1) == study.data.y_val).float().mean().item())
    np.savez("new.npz", x=raw, y=study.data.y_val)
    pd.testing.assert_frame_equal(study.predict("new.npz"), predicted)
    with pytest.raises(RequestError, match="the array has rows of 63 numbers, but small-digits takes 64"):
        study.predict(raw[:, 1:])
    Path("new.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match=r"new.csv is a table, but small-digits takes arrays: give an .npz file"):
        study.predict("new.csv")


def ran(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert predict.main(list(words)) == status, capsys.readouterr().err
    out, err = capsys.readouterr()
    return out, err


def test_the_command_writes_predictions_of_a_study_and_of_a_file(
    homes: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_of("price")
    study.export("model.safetensors")
    new = homes.assign(town="Rom", id=[f"{i:03}" for i in range(90)])
    new.loc[4, "rooms"] = None
    new.to_csv("new.csv", index=False)
    out, err = ran(capsys, "small-homes", "new.csv", "--interval", "0.8", "--keep-columns", "id,rooms", *STORED)
    assert study.best is not None
    assert f"predictions.csv: 90 rows predicted by trial {study.best.number} of small-homes" in out
    assert (
        "note: new.csv: values that no training row has, so that all inputs of their column are 0: town (90 rows)"
        in err
    )
    assert f"treated as in training: rooms ({new['rooms'].isna().sum()} rows)" in err
    assert "columns that are not used: price (the target), id" in err
    assert "the intervals hold the truth for at least 0.8 of new rows like the 18 validation rows" in err
    written = pd.read_csv("predictions.csv", dtype={"id": str})
    assert list(written.columns) == ["id", "rooms", "prediction", "lower", "upper"]
    assert list(written["id"]) == list(new["id"])
    expected = study.predict(new, interval=0.8)
    np.testing.assert_allclose(written[["prediction", "lower", "upper"]], expected, rtol=1e-6)
    said, _ = ran(capsys, "model.safetensors", "new.csv", "--output", "out.parquet", "--json")
    assert json.loads(said)["file"] == "out.parquet"
    by_file = pd.read_parquet("out.parquet")
    assert list(by_file["row"]) == list(range(1, 91))
    np.testing.assert_allclose(by_file["prediction"], expected["prediction"], rtol=1e-6)
    trial = 1 - study.best.number
    if study.optuna_study.trials[trial].state.name == "COMPLETE":
        ran(capsys, "small-homes", "new.csv", "--trial", str(trial), *STORED)
        assert not np.allclose(pd.read_csv("predictions.csv")["prediction"], expected["prediction"], rtol=1e-4)


def test_what_cannot_be_predicted_is_refused_in_one_line(
    homes: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of("price").export("model.safetensors")
    homes.assign(rooms=homes["rooms"].astype(object).where(homes.index != 7, "many")).to_csv("word.csv", index=False)
    homes.drop(columns=["town", "rooms"]).to_csv("few.csv", index=False)
    homes.to_csv("new.csv", index=False)
    homes.assign(prediction=1).to_csv("mine.csv", index=False)
    Path("notes.csv").write_text("a,b\n1,2\n")
    # Nothing may be trained before the rows are known to be right.
    monkeypatch.setattr("search.export.predictor.retrained", None)
    for words, says in (
        (["word.csv"], "word.csv: column 'rooms' holds numbers, and 'many' in line 9"),
        (["few.csv"], "few.csv has no column 'rooms' (it has: garden, seen, price); it also lacks"),
        (["nwe.csv"], "there is no file 'nwe.csv': did you mean 'new.csv'?"),
        (["new.csv", "--interval", "0.99"], "interval 0.99 needs at least 99 validation rows, and the model has 18"),
        (["new.csv", "--interval", "90"], "interval takes a share between 0 and 1, such as 0.9, got 90"),
        (["new.csv", "--keep-columns", "town,adress"], "keep-columns: the table has no column 'adress'"),
        (["mine.csv", "--keep-columns", "all"], "keep-columns: 'prediction' is also the name of a prediction"),
        (["new.csv", "--output", "new.csv", "--force"], "output: new.csv is the file of the rows"),
        (["new.csv", "--output", "notes.csv"], "notes.csv already exists and does not hold predictions"),
        (["new.csv", "--output", "out.txt"], "output takes a name that ends in .csv or .parquet, got 'out.txt'"),
        (["new.csv", "--output", "nowhere/out.csv"], "does not exist"),
        (["new.csv", "--trial", "1", "--one-se"], "give either --trial 1 or --one-se, not both"),
    ):
        for source in ("small-homes", "model.safetensors"):
            if source == "small-homes":
                _, err = ran(capsys, source, *words, *STORED, status=2)
            else:
                _, err = ran(capsys, source, *words, status=2)
            assert says in err
            assert err.count("\n") == 1
    _, err = ran(capsys, "model.safetensors", "new.csv", "--trial", "1", status=2)
    assert "--trial 1 chooses a trial of a study, but model.safetensors is a model file, which holds one" in err
    _, err = ran(capsys, "gone.safetensors", "new.csv", status=2)
    assert "model file 'gone.safetensors': there is no such file" in err
    assert not Path("predictions.csv").exists()


def test_a_frame_names_the_row_by_its_index(homes: pd.DataFrame) -> None:
    study_of("price").export("model.safetensors")
    predictor = search.load("model.safetensors")
    frame = homes.astype({"rooms": object}).set_index("garden", drop=False)
    frame.iloc[7, 0] = "many"
    index = str(frame.index[7])
    with pytest.raises(RequestError, match=rf"'rooms' holds numbers, and 'many' in row 8 \(index {index}\)"):
        predictor.predict(frame)
    with pytest.raises(RequestError, match="the table has 2 columns called 'rooms'"):
        predictor.predict(pd.concat([homes, homes[["rooms"]]], axis=1))
    with pytest.raises(RequestError, match="small-homes takes the columns of a table"):
        predictor.predict(torch.zeros(3, 7))
    with pytest.raises(RequestError, match="predict takes a data frame, a path or an array"):
        predictor.predict(3)  # type: ignore[arg-type]


def test_a_file_that_holds_predictions_is_overwritten(homes: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    study_of("price").export("model.safetensors")
    homes[:5].to_csv("new.csv", index=False)
    for rows in ("homes.csv", "new.csv"):
        ran(capsys, "model.safetensors", rows)
    assert len(pd.read_csv("predictions.csv")) == 5
    Path("mine.csv").write_text("a,b\n1,2\n")
    ran(capsys, "model.safetensors", "new.csv", "--output", "mine.csv", "--force")
    assert "prediction" in pd.read_csv("mine.csv")
