"""Whatever is typed or written into a recipe: done or refused in one line; no traceback, no file but the two databases.

Searches are not run here: what a request leads to before the first trial is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from search import Study, run
from search.errors import EnvironmentFault, RequestError
from search.recipe import Recipe

MANY = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["l2", "sgd", "tpe", "__import__('os').system('touch it')", "../../etc/passwd", "\x00", "é" * 50]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
HYPERPARAMETERS = ("l2", "lr", "epochs", "hidden", "batch_size", "activation", "optimizer", "momentum", "beta1", "nope")
TABLES = st.dictionaries(st.sampled_from(HYPERPARAMETERS), VALUES, max_size=3)
RANGES = st.fixed_dictionaries(
    {}, optional={"low": SCALARS, "high": SCALARS, "log": SCALARS, "choices": st.lists(SCALARS, max_size=3)}
)
FIELDS: dict[str, Any] = {
    "techniques": st.lists(st.sampled_from(["l2", "dropout", "max_norm", "nope", ""]), max_size=3) | VALUES,
    "trials": SCALARS,
    "ask_batch": SCALARS,
    "replicates": SCALARS,
    "seed": SCALARS,
    "sampler": SCALARS,
    "grid_points": SCALARS,
    "loss": SCALARS,
    "title": SCALARS,
    "watch": VALUES,
    "settings": VALUES,
    "pruner": st.dictionaries(st.sampled_from(["name", "min_epochs", "interval"]), SCALARS, max_size=2) | VALUES,
    "data": st.dictionaries(st.sampled_from(["scale", "split", "seed", "options", "dataset"]), VALUES, max_size=2),
    "set": TABLES | VALUES,
    "space": st.dictionaries(st.sampled_from(HYPERPARAMETERS), RANGES | VALUES, max_size=2) | VALUES,
}
OPTIONS = (
    "--set",
    "--space",
    "--data",
    "--trials",
    "--epochs",
    "--hidden",
    "--batch-size",
    "--seed",
    "--replicates",
    "--scale",
    "--sampler",
    "--pruner",
    "--slots",
    "--study-name",
    "--ask-batch",
    "--grid-points",
    "--timeout",
    "--precision",
    "--loss",
    "--dataset",
    "--nope",
    "--device",
)
WORDS = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(HYPERPARAMETERS).flatmap(lambda name: SCALARS.map(lambda value: f"{name}={value}")),
    st.sampled_from(HYPERPARAMETERS).flatmap(
        lambda name: st.tuples(SCALARS, SCALARS).map(lambda ends: f"{name}={ends[0]}:{ends[1]}:log")
    ),
    st.sampled_from(["../up", "a/../../b", "'; DROP TABLE trials; --", "x" * 10_000, "🎲 dice", "-1", "1e999"]),
)


@pytest.fixture
def folder(in_an_empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which no search is run, nor a table shown of it."""
    inside = in_an_empty_folder / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    monkeypatch.setattr(Study, "run", lambda self, *_args, **_named: self)
    return inside


def assert_nothing_but_databases(folder: Path) -> None:
    found = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith("inside/optuna.db")} <= {"inside/mine.toml"}


@MANY
@given(fields=st.fixed_dictionaries({}, optional=FIELDS))
@example(fields={"techniques": ["l2"], "space": {"l2": {"low": 5e-324, "high": 1e308, "log": True}}})
@example(fields={"set": {"hidden": "9" * 400}})
@example(fields={"set": {"epochs": 10**18}, "sampler": "grid", "techniques": ["l2"]})
def test_a_recipe_of_anything_is_a_study_or_refused(folder: Path, fields: dict[str, Any]) -> None:
    said = ""
    try:
        study = Study(Recipe.parse({"name": "hostile"} | fields, "hostile"), device="cpu", offline=True)
        study.budget()
        study.notes()
        _ = study.optuna_study
    except (RequestError, EnvironmentFault) as refusal:
        said = str(refusal)
    assert len(said) < 1200
    assert_nothing_but_databases(folder)


@MANY
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
@example(content=b"name = 'x'\n" * 2)
@example(content=b"a" * 2_000_000)
@example(content=b"[set]\nl2 = " + b"[" * 2000)
def test_a_file_of_anything_is_a_recipe_or_refused(folder: Path, content: bytes) -> None:
    (folder / "mine.toml").write_bytes(content)
    said = ""
    try:
        Recipe.load("mine.toml")
    except (RequestError, EnvironmentFault) as refusal:
        said = str(refusal)
    assert "\n" not in said
    assert len(said) < 1200


@MANY
@given(
    words=st.lists(st.tuples(st.sampled_from(OPTIONS), WORDS), max_size=3), study=st.sampled_from(["l2", "l2+dropout"])
)
@example(words=[("--study-name", "../../x'\"\\; 🎲")], study="l2")
@example(words=[("--set", "epochs=99999999999999999999")], study="l2")
@example(words=[("--hidden", "0x0")], study="l2")
def test_a_command_of_anything_ends_in_one_line(
    folder: Path, words: list[tuple[str, str]], study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in os.listdir(folder):
        (folder / name).unlink()
    capsys.readouterr()
    flat = [study, "--tracking-uri", "none", "--offline", *(word for pair in words for word in pair)]
    status = run.main(flat)
    err = capsys.readouterr().err
    assert status in (0, 1, 2)
    assert "Traceback" not in err
    assert "for the traceback run it with" not in err, "a failure that nobody has put into words"
    if status:
        assert err.splitlines()[-1].startswith("error: ")
    assert_nothing_but_databases(folder)
