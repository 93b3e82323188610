"""Misspelt words: one line that names what was meant, before torch and Optuna are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from search import run
from search.cli import names
from search.recipe import packaged
from search.recipe.declared import CORE
from search.recipe.discovery import discover
from search.replay import __main__ as replay
from search.train.optimisers import OPTIMISERS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--lr", "0.01"], "lr is a hyperparameter: fix it with --set lr=0.01, or search it with --space lr=LOW:HIGH"),
        (["--l2=1e-3"], "--set l2=1e-3"),
        (["--momentum", "0.9", "--seed", "3"], "--set momentum=0.9"),
        (["--dropout", "--seed", "3"], "--set dropout=VALUE"),
        (["-lr", "0.01"], "--set lr=0.01"),
        (["--label-smoothing", "0.1"], "--set label_smoothing=0.1"),
        (["--step-gamma", "0.5"], "--set step_gamma=0.5"),
        (["--batch_size", "64"], "unknown option '--batch_size': its name here is '--batch-size'"),
        (["--n-trials", "64"], "unknown option '--n-trials': its name here is '--trials'"),
        (["--sampelr", "tpe"], "unknown option '--sampelr': did you mean '--sampler'?"),
        (["--qqqq"], "a hyperparameter is fixed with --set NAME=VALUE"),
        (["--trials", "1.5"], "--trials takes a whole number, got '1.5'"),
        (["--timeout", "soon"], "--timeout takes a number, got 'soon'"),
        (["--engine", "rai"], "unknown engine 'rai': did you mean 'ray'?"),
        (["--space", "l2=1:2:lin"], "--space l2=1:2:lin: takes LOW:HIGH, LOW:HIGH:log or A,B,C"),
    ],
)
def test_run_says_what_was_meant(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["l2", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_command_without_set_does_not_speak_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.main(["l2", "0", "--lr", "0.1"]) == 2
    told = capsys.readouterr().err
    assert "unknown option '--lr'" in told
    assert "--set" not in told


def test_the_names_known_without_torch_are_right() -> None:
    assert set(names.recipes()) == {*packaged()}
    of_optimisers = {name for optimiser in OPTIMISERS.values() for name in optimiser.hyperparameters}
    of_techniques = {name for technique in discover().values() for name in technique.hyperparameters}
    known = names.hyperparameters()
    assert known >= {*CORE} | of_techniques
    assert of_optimisers - known == {"initial_accumulator_value", "adagrad_eps"}, "long names that nobody types"
    assert names.studies("sqlite:///none.db") is None
    Path("text.db").write_text("not a database")
    assert names.studies("sqlite:///text.db") is None
    for name in ("b", "a"):
        optuna.create_study(storage="sqlite:///optuna.db", study_name=name)
    assert names.complete_study()[:2] == ["b", "a"]


def test_what_is_misspelt_is_told_before_torch_and_optuna_are_imported() -> None:
    optuna.create_study(storage="sqlite:///optuna.db", study_name="l2-digits")
    source = """
import sys
from search.__main__ import main
wrong = ["run l3", "run l2 --sampler tpr", "run l2 --pruner halvin", "run l2 --set lr", "run l2 --space l2=1:x",
         "run l2 --lr 1", "replay l3 1", "replay dropout 1", "export l2 --study-name l2-digit", "report l2 --storge x",
         "compare l2-digits l3", "sync l3", "report l2 --storage sqlite:///none.db", "run l2 --objective sparsty"]
for line in wrong:
    assert main(line.split()) == 2, line
    assert not {"torch", "optuna", "mlflow"} & {*sys.modules}, line
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", source], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 14
    assert "did you mean 'l2-digits'" in lines[8]
    assert "(studies: l2-digits): run it first: " in lines[7]
    assert lines[7].endswith("run dropout")
