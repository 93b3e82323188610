"""`python -m search.uncertainty` on tiny studies: what it prints agrees with the study and with plain numpy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search import RequestError, Study
from search.record.curves import CURVES
from search.uncertainty import __main__ as uncertainty

TINY = {"epochs": 4, "hidden": "16"}
DIABETES: dict[str, Any] = {
    "dataset": "diabetes",
    "pruner": {"name": "halving", "min_epochs": 1, "reduction_factor": 3},
}
LINE: dict[str, Any] = {"dataset": "line", "set": TINY | {"lr": 0.01, "epochs": 20}}


def study(folder: Path, recipe: str = "dropout", dataset: str = "digits", **changes: Any) -> Study:
    changes = {"set": TINY, "trials": 3, "pruner": {"name": "none"}} | changes
    storage = f"sqlite:///{folder / 'optuna.db'}"
    return Study(recipe, dataset=dataset, storage=storage, tracking_uri=None, device="cpu", **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With studies of digits (two replicates), diabetes and line, one of them pruned, one without dropout."""
    folder = tmp_path_factory.mktemp("uncertainty")
    study(folder, replicates=2).run(observers=(), decide=False)
    study(folder, **DIABETES).run(observers=(), decide=False)
    study(folder, **LINE).run(trials=1, observers=(), decide=False)
    study(folder, recipe="l2", dataset="wine").run(trials=1, observers=(), decide=False)
    space = {"lr": {"low": 0.01, "high": 0.02}}
    study(folder, dataset="wine", set=TINY | {"dropout": 0.0}, space=space).run(trials=1, observers=(), decide=False)
    return folder


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def command(folder: Path, *words: str) -> int:
    return uncertainty.main([*words, "--storage", f"sqlite:///{folder / 'optuna.db'}", "--device", "cpu"])


def said(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert command(folder, *words, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    return found


def test_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The network alone is the one that the study measured; the settings come from the study, not from the command."""
    here = study(folder, replicates=2)
    found = said(folder, capsys, "dropout", "--passes", "10")
    best = here.best
    assert best is not None
    assert (found["study"], found["trial"], found["value"]) == ("dropout-digits", best.number, best.value)
    (network,) = found["networks"]
    assert network["activation"] == "leaky_relu"
    assert network["value"] == pytest.approx(best.value, rel=1e-6)
    assert network["network"]["log_loss"] == pytest.approx(best.value, rel=1e-6)
    assert said(folder, capsys, "dropout-digits", "--passes", "10") == found
    table = here.uncertainty(passes=10).predictions()
    index = ["activation", "replicate", "row", "output"]
    assert list(table.columns) == [*index, "truth", "mean", "sd", "low", "high"]
    assert len(table) == len(table[index].drop_duplicates()) == 2 * len(here.data.x_val) * 10
    by_row = table.groupby(["replicate", "row"])
    assert by_row["mean"].sum().to_numpy() == pytest.approx(1)
    hits = [group["mean"].argmax() == group["truth"].argmax() for _, group in by_row]
    assert np.mean(hits) == pytest.approx(network["monte_carlo"]["accuracy"])
    surprise = (-table["mean"] * np.log(table["mean"])).groupby([table["replicate"], table["row"]]).sum()
    assert surprise.mean() == pytest.approx(network["monte_carlo"]["entropy"])
    assert 0 < (table["sd"] ** 2).mean() == pytest.approx(network["monte_carlo"]["variance"])


def test_another_trial_and_other_activations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Side by side; its own among them is what it is alone."""
    alone = said(folder, capsys, "dropout", "--trial", "1", "--passes", "3")
    both = said(folder, capsys, "dropout", "--trial", "1", "--passes", "3", "--activation", "tanh,leaky_relu")
    assert [one["activation"] for one in both["networks"]] == ["tanh", "leaky_relu"]
    assert both["networks"][1] == alone["networks"][0]
    assert both["networks"][0]["value"] != alone["networks"][0]["value"]
    assert command(folder, "dropout", "--passes", "3") == 0
    out = capsys.readouterr().out
    assert "in the study this trial has activation leaky_relu and val_loss " in out
    assert both["activation"] == "leaky_relu"
    assert "mean of passes" in out
    assert "calibration error" in out


def test_values_in_the_users_units(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Root mean squared error as the study has it; coverage counted from the table of predictions."""
    here = study(folder, **DIABETES)
    best = here.best
    assert best is not None
    found = said(folder, capsys, "dropout", "--dataset", "diabetes", "--passes", "20")["networks"][0]
    curves = here.curves()
    row = curves[curves["trial"] == best.number].sort_values("val_loss").iloc[0]
    assert found["network"]["rmse"] == pytest.approx(row["val_rmse"], rel=1e-5)
    table = here.uncertainty(passes=20).predictions()
    inside = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    assert found["monte_carlo"]["coverage"] == pytest.approx(inside.mean())
    assert found["monte_carlo"]["coverage_with_noise"] > found["monte_carlo"]["coverage"]
    assert (table["high"] - table["low"]).to_numpy() == pytest.approx(2 * 1.96 * table["sd"].to_numpy())
    assert np.sqrt(((table["mean"] - table["truth"]) ** 2).mean()) == pytest.approx(found["monte_carlo"]["rmse"])
    assert table["truth"].to_numpy() == pytest.approx(here.data.targets.invert(here.data.y_val)[:, 0].numpy())  # type: ignore[union-attr]


def test_a_figure_of_one_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dropout", "--dataset", "line", "--passes", "5", "--activation", "relu,tanh", "--figure", "band.png"]
    found = said(folder, capsys, *words)
    assert Path("band.png").read_bytes().startswith(b"\x89PNG")
    assert len(found["networks"]) == 2
    curve = study(folder, **LINE).uncertainty(passes=5)
    assert curve.grid is not None
    assert curve.points is not None
    network = curve.networks[0]
    assert network.curve is not None
    # The curve passes through the predictions of the rows themselves.
    at = np.interp(curve.points, curve.grid, network.curve.point[:, 0])
    assert at == pytest.approx(network.spread[0].point[:, 0], abs=0.5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["dropout", "--trial", "9"], "study 'dropout-digits' has no trial 9: it has 3 trials, numbered from 0"),
        (["dropout", "--passes", "1"], "passes must be >= 2, got 1"),
        (["dropout", "--activation", "rellu"], "unknown value of activation 'rellu': did you mean 'relu'?"),
        (["dropout", "--figure", "x.png"], "figure: needs a regression of one target on one input, such as line or"),
        (["dropout", "--figure", "no/x.png"], "figure: there is no folder '"),
        (["dropout", "--figure", "x.pdf"], "figure takes a file that ends in .png or .svg, got 'x.pdf'"),
        (["dropout", "--dataset", "mnist"], "unknown study in sqlite:///"),
        (["drpout"], "unknown study 'drpout': did you mean 'dropout'?"),
        (["dropout", "--study-name", "dropout-digit"], "'dropout-digit': did you mean 'dropout-digits'?"),
        (
            ["l2-wine"],
            "passes need dropout or input_dropout or shake_drop or shake_shake or stochastic_depth in use: trial 0 of"
            " study 'l2-wine'",
        ),
        (["dropout", "--dataset", "wine"], "in use: trial 0 of study 'dropout-wine' has none"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    capsys.readouterr()
    assert command(folder, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", err)
    assert says in err
    assert not list(Path().iterdir())


def test_a_storage_that_is_not_there_is_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert uncertainty.main(["dropout", "--storage", "sqlite:///none.db"]) == 2
    assert "run a study first" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_a_trial_that_is_not_complete(folder: Path) -> None:
    here = study(folder, **DIABETES)
    pruned = next(trial for trial in here.optuna_study.trials if trial.state.name == "PRUNED")
    assert CURVES in pruned.user_attrs
    with pytest.raises(RequestError, match=f"trial {pruned.number} is pruned: give the number of a complete trial"):
        here.uncertainty(pruned.number)
