"""`python -m search.compare` on tiny studies: what differs is told, what does not is not, each reading is counted."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from reference import train
from scipy.stats import binomtest
from support.small_studies import small
from torch.nn import functional as F

from search import RequestError, Study, compare_studies
from search.compare import __main__ as compare
from search.compare.studies import FRESH
from search.compare.verdict import Comparison
from search.recipe import Recipe
from search.record.own import TICKET
from search.record.readings import READINGS
from search.statistics.crossed import crossed, root
from search.study.retrain import Retraining, retrain

SET = {"epochs": 6, "hidden": "16", "batch_size": 50, "l2": 0.0}
GOOD: dict[str, Any] = {"name": "good", "set": SET, "space": {"lr": {"low": 0.01, "high": 0.02}}}
POOR = GOOD | {"name": "poor", "space": {"lr": {"low": 1e-6, "high": 2e-6}}}
BOUND = GOOD | {
    "name": "bound",
    "techniques": ["max_norm"],
    "space": GOOD["space"] | {"max_norm": {"low": 1e6, "high": 2e6}},
}
BOUND["set"] = {name: value for name, value in SET.items() if name != "l2"}
TWIN = GOOD | {"name": "twin", "seed": 1}
# At their best before the end.
FAST = GOOD | {"name": "fast", "set": SET | {"epochs": 12}, "space": {"lr": {"low": 0.05, "high": 0.1}}}
NUMBERS: dict[str, Any] = {"data": {"dataset": "diabetes"}, "set": SET | {"epochs": 3}}

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def study(folder: Path, recipe: dict[str, Any]) -> Study:
    return small(folder, pruner={"name": "none"}, **{"trials": 2} | recipe)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    for recipe in (GOOD, POOR, BOUND, TWIN, FAST, GOOD | NUMBERS, POOR | NUMBERS):
        study(folder, recipe).run(observers=())
    _ = study(folder, GOOD | {"name": "empty"}).optuna_study
    study(folder, GOOD | {"name": "split", "data": {"dataset": "wine", "seed": 1}}).run(trials=1, observers=())
    return folder


def compared(folder: Path, *recipes: dict[str, Any], replicates: int = 5) -> Comparison:
    return compare_studies(*(study(folder, recipe) for recipe in recipes), replicates=replicates, log=lambda _: None)


def command(folder: Path, *words: str) -> int:
    return compare.main(
        [*words, "--storage", f"sqlite:///{folder / 'study.db'}", "--device", "cpu", "--tracking-uri=none"]
    )


def test_a_better_trial_is_told_whichever_way_round(folder: Path) -> None:
    found = compared(folder, GOOD, POOR)
    best = study(folder, GOOD).best
    assert best is not None
    (pair,) = found.pairs
    sentence = rf"the chosen lr=0.01\d* \(good-wine, trial {best.number}\) beats the chosen lr=1\.\de-6 \(poor-wine, "
    sentence += r"trial \d\) by [\d.]+ points of test accuracy, 95% CI [\d.]+ to [\d.]+, 5 replicates, 36 test examples"
    assert re.fullmatch(sentence, found.sentence(pair))
    assert found.sentence(compared(folder, POOR, GOOD).pairs[0]) == found.sentence(pair)
    row = found.frame().iloc[0]
    assert (row["better"], row["first"], row["p"] < 0.05) == ("good-wine", "good-wine", True)
    good, poor = (found.trials().iloc[at] for at in (0, 1))
    assert row["accuracy"] == pytest.approx(good["accuracy"] - poor["accuracy"])
    assert row["accuracy_low"] > 0 > row["loss_high"]
    assert good["params"] == best.params
    # One signature: everything is common.
    assert pair.shared.unshared == ""
    assert pair.shared.parts == ["test examples", "initial weights", "batch order", "noise of training"]
    assert "<table>" in found._repr_html_()
    assert "beats" in found._repr_html_()


def test_equal_trials_are_not_told_apart(folder: Path) -> None:
    """Where a bound is never reached, so that the networks are the same; where only the search's seed differs."""
    same, twin = compared(folder, GOOD, BOUND), compared(folder, GOOD, TWIN)
    interval = same.pairs[0].score.interval
    # The same on 36 examples: by Clopper and Pearson up to 9.7% of others may be told apart.
    unseen = 100 * binomtest(0, 36).proportion_ci(0.95, method="exact").high
    assert (interval.value, same.pairs[0].score.p) == (0, 1)
    assert (-interval.low, interval.high) == (pytest.approx(unseen), pytest.approx(unseen))
    assert "good-wine and bound-wine are right on the same ones of 36 test examples" in str(same)
    assert same.pairs[0].score.effect is None
    shared = "share test examples, initial weights and batch order, but not the noise of training, because the trials "
    assert f"paired replicates {shared}differ in techniques" in str(same)
    assert "drawn with seed 0, that of good-wine" in str(twin)
    for found in (same, twin):
        assert found.frame()["better"].isna().all()
        assert found.sentence(found.pairs[0]).startswith("no significant difference between the chosen lr=")


def test_its_numbers_are_those_of_plain_torch(folder: Path) -> None:
    """Each replicate's network at its best validation epoch, by the oracle; intervals from these tables alone."""
    found = compared(folder, GOOD, FAST, replicates=3)
    data = study(folder, GOOD).data
    for arm, epochs in zip(found.arms, (6, 12), strict=True):
        for number in range(3):
            options: dict[str, Any] = {
                "widths": (13, 16, 3),
                "batch_size": 50,
                "dtype": torch.float32,
                "replicate": FRESH + number,
                "optimiser": lambda weights, arm=arm: torch.optim.Adam(weights, lr=arm.params["lr"]),
            }
            _, curves = train(data, epochs=epochs, **options)
            best = min(range(epochs), key=[curve["val_loss"] for curve in curves].__getitem__)
            assert arm.study == "good-wine" or best < epochs - 1
            model, _ = train(data, epochs=best + 1, **options)
            with torch.no_grad():
                out = model(data.x_test)
            losses = F.cross_entropy(out, data.y_test, reduction="none").double().numpy()
            assert arm.losses[number] == pytest.approx(losses, rel=1e-3, abs=1e-5)
            assert np.array_equal(arm.scores[number], (out.argmax(1) == data.y_test).double().numpy())
    a, b = found.arms
    assert found.pairs[0].score.interval.value == pytest.approx(100 * (a.scores - b.scores).mean())
    assert found.pairs[0].score.interval.low == pytest.approx(crossed(100 * (a.scores - b.scores)).interval()[0])
    assert found.pairs[0].loss is not None
    assert found.pairs[0].loss.p == pytest.approx(crossed(a.losses - b.losses).p())


def test_each_reading_of_the_test_split_is_counted(folder: Path) -> None:
    def readings() -> list[int]:
        return [study(folder, one).optuna_study.user_attrs.get(READINGS, 0) for one in (GOOD, POOR, TWIN)]

    before = readings()
    found = compared(folder, GOOD, POOR, replicates=2)
    assert readings() == [before[0] + 1, before[1] + 1, before[2]]
    assert [arm.readings for arm in found.arms] == readings()[:2]
    again = compared(folder, GOOD, POOR, replicates=2)
    assert f"the test split of poor-wine has now been read {before[1] + 2} times" in str(again)
    assert found.frame().equals(again.frame())
    assert "2 replicates say little" in str(again)


def test_errors_in_the_users_units(folder: Path) -> None:
    found = compared(folder, GOOD | NUMBERS, POOR | NUMBERS)
    assert found.metric == "rmse"
    a, b = (arm.scores for arm in found.arms)
    interval = found.pairs[0].score.interval
    assert interval.value == pytest.approx(np.sqrt(a.mean()) - np.sqrt(b.mean()))
    assert interval.high == pytest.approx(crossed(root(a) - root(b)).interval()[1])
    # Of a smaller error: better; targets vary by 77.
    assert 30 < np.sqrt(a.mean()) < np.sqrt(b.mean()) < 200
    assert re.search(r"\(good-diabetes, trial \d\) beats .* of test RMSE, 95% CI", found.sentence(found.pairs[0]))


def test_all_pairs_of_several_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command; one of the studies is a recipe, and is run first, as long as the others were."""
    recipe = 'techniques = ["l2"]\n[data]\ndataset = "wine"\n[set]\nepochs = 2\nhidden = "16"\n'
    Path("tiny.toml").write_text(recipe)
    words = ["good-wine", "poor-wine", "tiny.toml", "--replicates", "4", "--figure", "all.svg", "--json"]
    assert command(folder, *words) == 0
    out, err = capsys.readouterr()
    found: dict[str, Any] = json.loads(out, parse_constant=pytest.fail)
    assert "study good-wine has 2 trials: nothing to run" in err
    assert "figure: all.svg" in err
    assert "study tiny-wine does not exist yet: running 2 trials" in err
    assert [(one["study"], one["searched"]) for one in found["trials"]] == [
        ("good-wine", 2),
        ("poor-wine", 2),
        ("tiny-wine", 2),
    ]
    assert [(one["first"], one["second"]) for one in found["pairs"]] == [
        ("good-wine", "poor-wine"),
        ("good-wine", "tiny-wine"),
        ("poor-wine", "tiny-wine"),
    ]
    assert all("simultaneous 95% CI" in one["sentence"] for one in found["pairs"])
    alone = compared(folder, GOOD, POOR, replicates=4).pairs[0].score
    assert found["pairs"][0]["accuracy"] == pytest.approx(alone.interval.value)
    assert found["pairs"][0]["accuracy_low"] < alone.interval.low
    assert found["pairs"][0]["p"] == pytest.approx(min(1, 3 * alone.p))
    texts = xml.etree.ElementTree.parse("all.svg").getroot().iter("{http://www.w3.org/2000/svg}g")
    assert sum("LineCollection" in (one.get("id") or "") for one in texts) >= 6
    # Two are taken further only because they are asked to be; what they are is not changed by it.
    assert command(folder, "good-wine", "tiny-wine", "--replicates", "2", "--trials", "3") == 0
    out, err = capsys.readouterr()
    assert "study tiny-wine has 2 trials: continuing to 3 trials" in err
    assert "bonferroni" not in out.lower()
    assert out.count("(of 3)") == 2


def test_a_technique_from_outside_is_of_the_study_that_uses_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        "from search import Numeric, Technique",
        "hyperparameters = {'ridge': Numeric(low=1e-7, high=1e-6, log=True, minimum=0.0, neutral=0.0, stronger='up')}",
        "technique = Technique(name='ridge', hyperparameters=hyperparameters,",
        "                      penalty=lambda weights, values: values['ridge'] * weights.square().sum(1))",
    ]
    Path("ridge.py").write_text("\n".join(lines))
    recipe = {"name": "ridged", "data": {"dataset": "wine"}, "set": {"epochs": 2, "hidden": "16"}}
    storage = f"sqlite:///{folder / 'study.db'}"
    options: dict[str, Any] = {"storage": storage, "tracking_uri": None, "device": "cpu"}
    Study(Recipe.parse(recipe, "test"), techniques=["ridge.py"], **options).run(trials=1, observers=())
    assert command(folder, "good-wine", "ridged-wine", "--replicates", "2", "--technique", "ridge.py") == 0
    assert "ridge=" in capsys.readouterr().out
    assert command(folder, "good-wine", "ridged-wine", "--replicates", "2") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["good-wine"], "needs at least two studies, got 1"),
        (["good-wine", "good-wine"], "study 'good-wine' is named twice"),
        (["good-wine", "poor-wine", "--replicates", "1"], "replicates must be >= 2, got 1"),
        (["good-wine", "empty-wine"], "study 'empty-wine' has no complete trial"),
        (["good-wine", "good-diabetes"], "'good-wine' and 'good-diabetes' differ in dataset (wine and diabetes)"),
        (["good-wine", "split-wine"], "'good-wine' and 'split-wine' differ in seed (0 and 1)"),
        (["good-wine", "poor-win"], "unknown study or recipe 'poor-win': did you mean 'poor-wine'?"),
        (["good-wine", "none.toml"], "there is no recipe file 'none.toml'"),
        (["good-wine", "poor-wine", "--figure", "x.pdf"], "figure takes a file that ends in .png or .svg, got 'x.pdf'"),
        (["good-wine", "poor-wine", "--figure", "no/x.png"], "figure: there is no folder '"),
        (["good-wine", "poor-wine", "--trials", "0"], "trials must be >= 1, got 0"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    before = [study(folder, one).optuna_study.user_attrs.get(READINGS) for one in (GOOD, POOR)]
    capsys.readouterr()
    assert command(folder, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", err)
    assert says in err
    assert not list(Path().iterdir())
    assert [study(folder, one).optuna_study.user_attrs.get(READINGS) for one in (GOOD, POOR)] == before


def test_a_trial_that_diverges_has_no_network(folder: Path) -> None:
    """Whatever its value in the study; the test split is not read."""
    space = {"lr": {"low": 1e-2, "high": 1e20, "log": True}}
    wild = study(folder, GOOD | {"name": "wild", "set": SET | {"optimizer": "sgd"}, "space": space})
    wild.optuna_study.add_trial(
        optuna.trial.create_trial(
            params={"lr": 1e20}, distributions=dict(wild.space.searched), value=0.5, user_attrs={TICKET: 0}
        )
    )
    with pytest.raises(RequestError, match=r"the chosen lr=1e20 \(wild-wine, trial 0\) diverges on 2 of 2 fresh"):
        compare_studies(study(folder, GOOD), wild, replicates=2)
    assert READINGS not in wild.optuna_study.user_attrs


def test_what_the_intervals_leave_out_is_said() -> None:
    rng = np.random.default_rng(0)
    rows = "".join(f"{rng.random()},{row // 5},{1 + row % 3},{'ab'[row % 2]}\n" for row in range(100))
    Path("visits.csv").write_text("x,who,mass,y\n" + rows)
    data = {"dataset": "visits.csv", "target": "y", "group": "who", "weights": "mass"}
    for recipe in (GOOD, POOR):
        study(Path(), recipe | {"data": data}).run(observers=())
    found = compared(Path(), GOOD | {"data": data}, POOR | {"data": data}, replicates=2)
    lines = found.remarks()
    assert any("test examples of one group in who are alike" in line for line in lines)
    assert not any("--folds" in line for line in lines)


def test_test_examples_count_by_their_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(f"{rng.random()},{1 + row % 3},{'ab'[int(rng.random() < 0.7)]}\n" for row in range(200))
    Path("visits.csv").write_text("x,mass,y\n" + rows)
    data = {"dataset": "visits.csv", "target": "y", "weights": "mass"}
    made = [study(tmp_path, recipe | {"data": data}).run(observers=(), decide=False) for recipe in (GOOD, POOR)]
    found = compare_studies(*made, replicates=3, log=lambda _line: None)
    for arm, one in zip(found.arms, made, strict=True):
        best = one.best
        assert best is not None
        again = Retraining.of(one, best.number, best.params, range(FRESH, FRESH + 3))
        scores = [network.network.score(one.batches.x_test, one.batches.test) for network in retrain([again], "again")]
        loss, accuracy = (float(np.mean([float(score[which][0]) for score in scores])) for which in (0, 1))
        assert arm.losses.mean() == pytest.approx(loss, rel=1e-6)
        assert found.score(arm).value == pytest.approx(100 * accuracy, rel=1e-6)
