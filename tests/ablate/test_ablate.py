"""`regsearch ablate` on tiny studies: its numbers are those of plain torch, and the study keeps what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference import train
from scipy import stats
from support.small_studies import small
from torch.nn import functional as F

from search import RequestError, Study
from search.ablate import __main__ as ablate
from search.ablate.measure import FIRST
from search.ablate.result import Ablation
from search.compare.studies import FRESH
from search.record.ablation import Ablated, kept
from search.record.readings import readings
from search.report import __main__ as report
from search.report import replicates
from search.statistics.crossed import crossed
from search.train.pack import Pack, Slot

EPOCHS = 6
SETTINGS: list[dict[str, Any]] = [
    {"lr": 0.02, "l2": 0.1, "dropout": 0.0, "max_norm": 1e6},
    {"lr": 0.02, "l2": 0.0, "dropout": 0.6, "max_norm": float("inf")},
    {"lr": 0.01, "l2": 0.0, "dropout": 0.6, "max_norm": float("inf")},
]
LISTED: dict[str, Any] = {
    "name": "listed",
    "techniques": ["l2", "dropout", "max_norm"],
    "settings": [{"set": one} for one in SETTINGS],
    "trials": 3,
    "ask_batch": 3,
    "sampler": "grid",
    "pruner": {"name": "none"},
    "set": {"epochs": EPOCHS, "hidden": "16", "batch_size": 50},
    "space": {},
}
# Networks at their best before the end, each at another epoch.
FAST = {**SETTINGS[0], "lr": 0.2}
FOLDS = LISTED | {
    "name": "folds",
    "data": {"dataset": "wine", "folds": 3},
    "settings": [{"set": FAST}, {"set": SETTINGS[1]}],
    "set": LISTED["set"] | {"epochs": 12},
}
SEVERAL = LISTED | {"name": "several", "objective": ["val_f1", "sparsity"], "settings": LISTED["settings"][:2]}
HITS = LISTED | {"name": "hits", "objective": ["val_accuracy"], "settings": LISTED["settings"][:2]}

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablate")
    for recipe in (LISTED, FOLDS, SEVERAL, HITS):
        small(folder, **recipe).run(observers=())
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> Ablation:
    """The first setting of the listed study with each of its techniques switched, and all of their combinations."""
    return small(folder, **LISTED).ablate(0, replicates=3)


def command(folder: Path, *words: str) -> int:
    return ablate.main([*words, "--storage", f"sqlite:///{folder / 'study.db'}", "--device", "cpu"])


def by_name(result: Ablation) -> dict[str, Any]:
    return {one.technique: one for one in result.effects}


def losses_in_plain_torch(study: Study, l2: float, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The loss of each validation row, of a fresh replicate at its best epoch, ``(rows,)``."""
    options: dict[str, Any] = {
        "widths": (13, 16, 3),
        "batch_size": 50,
        "dtype": torch.float32,
        "replicate": FIRST + number,
        "optimiser": lambda weights: torch.optim.Adam(weights, lr=0.02),
        "penalty": lambda weights: l2 * sum(weight.norm() ** 2 for weight in weights),
    }
    _, curves = train(study.data, epochs=EPOCHS, **options)
    best = min(range(EPOCHS), key=[curve["val_loss"] for curve in curves].__getitem__)
    model, _ = train(study.data, epochs=best + 1, **options)
    with torch.no_grad():
        rows = F.cross_entropy(model(study.data.x_val), study.data.y_val, reduction="none")
    found: np.ndarray[Any, np.dtype[np.float64]] = rows.double().numpy()
    return found


def test_its_numbers_are_those_of_plain_torch(folder: Path, result: Ablation) -> None:
    study = small(folder, **LISTED)
    own, without = (np.stack([losses_in_plain_torch(study, l2, number) for number in range(3)]) for l2 in (0.1, 0.0))
    effect = by_name(result)["l2"]
    assert result.result.objective == pytest.approx(own.mean(), rel=1e-3)
    assert effect.objective == pytest.approx(without.mean(), rel=1e-3)
    expected = crossed(without - own)
    assert effect.difference.value == pytest.approx(expected.value, rel=1e-3)
    low, high = expected.interval()
    assert (effect.difference.low, effect.difference.high) == (
        pytest.approx(low, rel=1e-3),
        pytest.approx(high, rel=1e-3),
    )
    assert effect.difference.p == pytest.approx(expected.p(), rel=1e-2)
    assert result.result.counts == "3 fresh replicates, 36 validation rows"


def test_a_bound_that_is_never_reached_makes_no_difference(result: Ablation) -> None:
    bound = by_name(result)["max_norm"]
    assert bound.sentence == "max_norm makes no difference: without it each network has the same validation loss"
    for pair in result.interactions:
        assert ("max_norm" in pair.techniques) == ("do not interact" in pair.sentence)


def test_what_the_trial_does_not_use_is_switched_on(result: Ablation) -> None:
    dropout = by_name(result)["dropout"]
    assert (dropout.used, dropout.at) == (False, {"dropout": 0.6, "dropout_shape": "brick"})
    assert dropout.variant == "with dropout"
    assert any("dropout is off in the trial; it is switched on at dropout=0.6" in note for note in result.result.notes)
    assert any("fresh replicates remove the luck of its seeds, but not" in note for note in result.result.notes)


def test_its_replicates_are_no_others(result: Ablation) -> None:
    """Not those of searches and comparisons, nor those that a report adds; and they are not the recorded values."""
    assert FRESH + 1000 < FIRST < FIRST + 1000 < replicates.FIRST
    assert len({result.result.objective, *(one.objective for one in result.effects)}) == 3  # the bound changes nothing


def test_the_same_again_from_the_command_and_kept(
    folder: Path, result: Ablation, capsys: pytest.CaptureFixture[str]
) -> None:
    before = readings(small(folder, **LISTED).optuna_study)
    words = ["listed-wine", "--trial", "0", "--replicates", "3", "--figure", "effects.svg", "--json"]
    assert command(folder, *words) == 0
    out, err = capsys.readouterr()
    told = json.loads(out, parse_constant=pytest.fail)
    assert told == result.outcome()
    assert "figure: effects.svg" in err
    assert "<svg" in Path("effects.svg").read_text()
    study = small(folder, **LISTED)
    stored = kept(study.optuna_study.user_attrs)
    assert stored == Ablated.decode(told)
    assert stored.encode() == told
    assert readings(study.optuna_study) == before
    # Another figure is not overwritten by mistake.
    assert command(folder, "listed-wine", "--trial", "1", "--figure", "effects.svg") == 2
    assert "is not a figure of these trials" in capsys.readouterr().err


def test_the_report_shows_it(folder: Path, result: Ablation, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "listed-wine",
        "--storage",
        f"sqlite:///{folder / 'study.db'}",
        "--device",
        "cpu",
        "--no-training",
        "--json",
    ]
    assert report.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert "ablation" in told["figures"]
    (said,) = [one["text"] for one in told["statements"] if one["about"] == "techniques"]
    assert said.startswith(f"Around trial 0, 3 fresh replicates, 36 validation rows: {result.result.headline}.")
    page = Path(told["page"]).read_text()
    assert "What each technique does" in page


def test_it_is_shown_in_a_terminal_and_a_notebook(result: Ablation) -> None:
    text = str(result)
    for one in (*result.effects, *result.interactions):
        assert one.sentence in text
    assert "without l2" in text
    assert "<table>" in result._repr_html_()
    frame = result.frame()
    assert set(frame["technique"]) == {"l2", "dropout", "max_norm"}
    assert (frame["low"] <= frame["difference"]).all()


def test_folds_have_the_corrected_t_test_at_the_common_epoch(folder: Path) -> None:
    study = small(folder, **FOLDS)
    found = study.ablate(0, replicates=2, pairs=0)
    assert (found.result.networks, found.result.counts) == (6, "3 folds x 2 fresh replicates")
    values = []
    for l2 in (0.1, 0.0):
        of = {**study.space.fixed, **FAST, "l2": l2}
        curves = np.empty((6, 12))
        for number in range(6):
            replicate = FIRST + number
            pack = Pack(study.program(of), study.batches.of(replicate), [Slot(0, replicate, study.numeric(of))])
            curves[number] = [float(pack.run_epoch()["val_loss"][0]) for _ in range(12)]
        assert len({*curves.argmin(1)}) > 1  # the common epoch is not each network's own best one
        at = curves[:, curves.mean(0).argmin()]
        folds = np.array([(FIRST + number) % 3 for number in range(6)])
        values.append(np.array([at[folds == fold].mean() for fold in range(3)]))
    differences = values[1] - values[0]
    overlap = np.mean([len(fold.x_val) / len(fold.x_train) for fold in study.data.folds])
    error = np.sqrt((1 / 3 + overlap) * differences.var(ddof=1))
    low, high = stats.t.interval(0.95, 2, differences.mean(), error)
    l2_effect = by_name(found)["l2"].difference
    assert l2_effect.value == pytest.approx(differences.mean(), rel=1e-5)
    assert (l2_effect.low, l2_effect.high) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))
    assert found.interactions == []
    assert any("Nadeau and Bengio" in note for note in found.result.notes)


@pytest.mark.parametrize("recipe", [SEVERAL, HITS], ids=["f1", "accuracy"])
def test_other_objectives(folder: Path, recipe: dict[str, Any]) -> None:
    study = small(folder, **recipe)
    found = study.ablate(1, replicates=3, pairs=2)
    for one in found.effects:
        assert one.objective is not None
        assert one.difference is not None
        assert one.difference.value == pytest.approx(one.objective - found.result.objective, abs=1e-9)
        assert one.difference.low <= one.difference.value <= one.difference.high
    assert found.result.direction == "maximize"
    assert ("points" in str(found)) == (recipe is HITS)
    assert any("several objectives" in note for note in found.result.notes) == (recipe is SEVERAL)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["listed-wine", "--trial", "7"], "study 'listed-wine' has no trial 7: it has 3 trials, numbered from 0"),
        (["listed-wine", "--pairs", "1"], "pairs takes 0 for none, or a number from 2 to 6 of techniques, got 1"),
        (["listed-wine", "--replicates", "1"], "replicates must be from 2 to 1,000, got 1"),
        (["listed-wine", "--set", "dropout"], "--set takes NAME=VALUE, got 'dropout'"),
        (
            ["listed-wine", "--trial", "0", "--set", "l2=0.2"],
            "--set l2: takes hyperparameters of techniques that are off",
        ),
        (
            ["listed-wine", "--figure", "effects.pdf"],
            "figure takes a file that ends in .png or .svg, got 'effects.pdf'",
        ),
        (["listd-wine"], "unknown study 'listd-wine': did you mean 'listed-wine'?"),
    ],
)
def test_a_wrong_request_is_one_line(
    folder: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(folder, *words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_trial_that_is_not_complete(tmp_path: Path) -> None:
    study = small(tmp_path).run(observers=())
    pruned = next(one.number for one in study.optuna_study.trials if one.state.name == "PRUNED")
    with pytest.raises(RequestError, match=f"trial {pruned} is pruned: give the number of a complete trial"):
        study.ablate(pruned)
