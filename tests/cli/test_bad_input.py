"""Bad input: status 2 or 1, one line that names field, value and rule, an empty stdout, and nothing written."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest

from search import run
from search.cli import invocation

FAST = ["--epochs", "1", "--trials", "2", "--hidden", "8", "--device", "cpu", "--tracking-uri", "none"]
RAW_STORAGE = "sqlite:///raw.db"

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail; returns its line."""

    def attempt(*words: str, status: int = 2) -> str:
        before = contents()
        capsys.readouterr()
        assert run.main(list(words)) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"error: [^\n]+\n", err), err
        assert len(err) < 1200
        assert contents() == before
        return err.strip()

    return attempt


def contents() -> dict[str, object]:
    """What each file holds; of a database what it says, as earlier commands decide when its journal moves into it."""
    files = [path for path in Path().rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {str(path): _content(path) for path in files}


def _content(path: Path) -> object:
    try:
        with closing(sqlite3.connect(path)) as connection:
            return list(connection.iterdump())
    except sqlite3.DatabaseError:
        return path.read_bytes()


def raw_study(name: str = "x", **options: object) -> optuna.Study:
    return optuna.create_study(storage=RAW_STORAGE, study_name=name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["l3"], "unknown study 'l3': did you mean 'l2'? (known: "),
        (["l2+l2"], "study 'l2' is named twice in 'l2+l2'"),
        (["a\x00/b"], "unknown study"),
        (["x/" * 5000], "(10,000 characters)"),
        ([], "Missing argument"),
        (["l2", "extra"], "unexpected extra argument"),
        (["l2", "--trails", "3"], "--trials"),
        (["l2", "--trials", "many"], "got 'many'"),
        (["l2", "--trials", "0"], "trials must be >= 1, got 0"),
        (["l2", "--trials", "-1"], "trials must be >= 1, got -1"),
        (
            ["l2", "--until", "5"],
            "--until takes a share of the best value between 0 and 1, such as 0.1% or 0.001, got '5'",
        ),
        (["l2", "--until", "100%"], "got '100%'"),
        (["l2", "--until", "0"], "got '0'"),
        (["l2", "--until", "soon"], "got 'soon'"),
        (
            ["l2", "--until", "1%", "--sampler", "grid"],
            "until: a grid has as many trials as cells, and trains each of them",
        ),
        (["l2", "--until", "1%", "--objective", "val_loss,sparsity"], "until takes a study of one objective"),
        (["l2", "--timeout", "0"], "timeout must be > 0 seconds, got 0"),
        (["l2", "--timeout", "nan"], "timeout must be > 0 seconds, got nan"),
        (["l2", "--seed", "-1"], "error: --seed: input should be greater than or equal to 0, got -1"),
        (["l2", "--ask-batch", "0"], "error: --ask-batch: input should be greater than or equal to 1"),
        (["l2", "--grid-points", "1000000000"], "--grid-points: input should be less than or equal to 100000"),
        (["l2", "--slots", "none"], "slots takes a whole number >= 1 or auto, got 'none'"),
        (["l2", "--sampler", "tpr"], "unknown sampler 'tpr': did you mean 'tpe'?"),
        (["l2", "--pruner", "halvin"], "did you mean 'halving'?"),
        (["l2", "--objective", "val_loss,sparsty"], "unknown objective 'sparsty': did you mean 'sparsity'?"),
        (["l2", "--scale", "units"], "did you mean 'unit'?"),
        (["l2", "--loss", "mse"], "loss 'mse' is not for classification (digits); allowed: cross_entropy"),
        (["l2", "--precision", "fp8"], "unknown precision 'fp8': did you mean 'fp32'? (known: bf16, fp32, tf32)"),
        (["l2", "--device", "cuda:x"], "unknown device 'cuda:x': did you mean 'cuda'? (known: auto, cpu, cuda)"),
        (["l2", "--device", "gpu"], "unknown device 'gpu': did you mean 'cpu'? (known: auto, cpu, cuda)"),
        (["l2", "--dataset", "DIGITS"], "unknown dataset 'DIGITS': did you mean 'digits'?"),
        (["l2", "--dataset", "mnist", "--offline"], "run without --offline to download"),
        (["l2", "--data", "n=5"], "dataset digits takes no options, got n"),
        (["l2", "--data", "n"], "--data takes NAME=VALUE, got 'n'"),
        (["l2", "--dataset", "line", "--data", "n=1"], "n must be a whole number from 2 to 10000000, got 1"),
        (["l2", "--dataset", "line", "--data", "sigm=1"], "did you mean 'sigma'?"),
        (["l2", "--study-name", "a\nb"], "printable characters"),
        (["l2", "--study-name", "x" * 10_000], "(10000)"),
        (["l2", "--set", "lr=1", "--set", "lr=2"], "--set: lr is given twice"),
        (["l2", "--set", "l2=1"], "nothing is searched"),
        (["l2", "--set", "l2=1", "--space", "l2=1:2"], "l2 is both fixed and given a range"),
        (["l2", "--hidden", "128,,128"], "got '128,,128'"),
        (["l2", "--space", "lr=off,1e-4:1e-2"], "lr cannot be off: it has no neutral value"),
        (["l2", "--one-of", "g=l2,l3"], "unknown technique in one_of.g 'l3'"),
        (["l2", "--one-of", "g=l2"], "--one-of g needs two choices"),
        (["l2", "--enqueue", "l2=5"], "setting 1: l2 is searched over 1e-06:0.1:log, which does not hold 5.0"),
        (["l2", "--enqueue", "l2=0.01", "--sampler", "grid"], "enqueue takes a sampler that draws"),
        (["l2", "--from", "dropout"], "from dropout: storage: there is no "),
        (["l2", "--from", "dropout", "--sampler", "grid"], "from takes a sampler that draws, such as tpe"),
        (["l2", "--constraint", "seconds<3"], "seconds cannot be in a constraint"),
        (["l2", "--constraint", "val_rmse<3"], "val_rmse is for regression"),
        (["l2", "--hidden", "-3"], "each from 1 to 65536; 0 for none"),
        (["l2", "--batch-size", "0"], "batch_size takes a whole number >= 1, got 0"),
        (["l2", "--technique", "nope.py"], "--technique: nope.py is not a Python file"),
    ],
)
def test_a_wrong_request_is_refused(refused: Refused, words: list[str], says: str) -> None:
    assert says in refused(*words)


@pytest.mark.parametrize(
    ("words", "says", "status"),
    [
        (["homse.csv", "--target", "price"], "there is no dataset 'homse.csv': did you mean 'homes.csv'?", 2),
        (["homes.csv"], "homes.csv needs --target COLUMN, or target in the recipe's [data] (it has: rooms, price)", 2),
        (["homes.csv", "--target", "prize"], "homes.csv has no column 'prize': did you mean 'price'?", 2),
        (["homes.csv", "--target", ""], "error: --target: string should have at least 1 character, got ''", 2),
        (["homes.csv", "--target", "price", "--data", "drop=room"], "no column 'room': did you mean 'rooms'?", 2),
        (["homes.csv", "--target", "price", "--data", "task=regresion"], "did you mean 'regression'?", 2),
        (["homes.csv", "--target", "price", "--data", "n=3"], "unknown option of homes.csv 'n' (known: dates, ", 2),
        (["homes.csv", "--target", "price", "--loss", "hinge"], "unknown loss 'hinge'", 2),
        (["homes.csv", "--target", "price", "--group", "price"], "'price' is the target, which cannot be the group", 2),
        (["homes.csv", "--target", "price", "--time", "day"], "time: homes.csv has no column 'day'", 2),
        (["homes.csv", "--target", "price", "--test", "late.csv"], "test: there is no dataset 'late.csv'", 2),
        (["homes.csv", "--target", "price", "--test", "2"], "test takes a file or a fraction of all rows in [0, 1)", 2),
        (["digits", "--folds", "1"], "folds must be 0 (one split) or at least 2, got 1", 2),
        (["digits", "--folds", "3", "--val", "0.2"], "val has no place: leave out val or folds", 2),
        (["digits", "--repeats", "2"], "repeats needs folds, got 2 repeats of one split", 2),
        (
            ["digits", "--split-seed", "-1"],
            "error: --split-seed: input should be greater than or equal to 0, got -1",
            2,
        ),
        (["digits", "--weights", "w"], "weights 'w' is for data of your own, got dataset digits", 2),
        (
            ["digits", "--target", "price"],
            "is for a table (.csv, .tsv, .xlsx, .parquet, .feather), got dataset digits",
            2,
        ),
        (["ragged.csv", "--target", "price"], "ragged.csv: line 3 has 1 cell, line 1 names 2 columns", 1),
        (["homes.ods", "--target", "price"], "'homes.ods' has an unknown suffix: give .csv, .tsv, .xlsx, .parquet", 2),
        (["broken.npz"], "broken.npz is not a complete .npz file: ", 1),
        (
            ["broken.npz", "--target", "price"],
            "is for a table (.csv, .tsv, .xlsx, .parquet, .feather), got broken.npz",
            2,
        ),
        (["broken.parquet", "--target", "price"], "broken.parquet is not a complete parquet file: ", 1),
        (["objects.npz"], "objects.npz: y holds Python objects, which could run code when they are read", 2),
        (
            ["folder"],
            "folder needs a folder of images (class/*.png or .jpg) for each of at least two classes; it has none",
            2,
        ),
    ],
)
def test_data_of_ones_own_that_are_not_right(refused: Refused, words: list[str], says: str, status: int) -> None:
    Path("homes.csv").write_text("rooms,price\n" + "".join(f"{i},{i * i}\n" for i in range(40)))
    Path("homes.ods").touch()
    Path("ragged.csv").write_text("rooms,price\n1,2\n3\n")
    Path("broken.npz").write_bytes(b"PK\x03\x04 and no more")
    Path("broken.parquet").write_bytes(b"PAR1 and no more")
    np.savez("objects.npz", x=np.zeros((2, 2)), y=np.array([{}, []], dtype=object))
    Path("folder").mkdir()
    assert says in refused("l2", "--dataset", *words, status=status)


@pytest.mark.parametrize("sampler", ["gp", "cmaes", "qmc"])
def test_a_sampler_that_cannot_search_a_conditional_space_is_refused_by_name(refused: Refused, sampler: str) -> None:
    words = ["--space", "optimizer=sgd,adam", "--space", "momentum=0.5:0.9"]
    assert f"sampler '{sampler}' cannot search conditional" in refused("l2", *words, "--sampler", sampler)


def test_a_grid_too_large_to_queue_is_refused(refused: Refused) -> None:
    said = refused("l2", "--sampler", "grid", "--space", "lr=1e-3:1e-1", "--grid-points", "400")
    assert "more than 100,000 cells" in said


def test_cuda_where_there_is_none_is_the_machines_fault(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name in ("cuda", "cuda:1"):
        assert f"device {name} was asked for, but torch sees none" in refused("l2", "--device", name, status=1)


def broken_file(kind: str) -> None:
    path = Path("raw.db")
    if kind == "text":
        path.write_text("not a database\n")
    elif kind == "header only":
        path.write_bytes(b"SQLite format 3\x00")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("/nonexistent/x.db")
    else:  # truncated
        raw_study()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
@pytest.mark.parametrize("kind", ["text", "header only", "folder", "truncated"])
def test_a_file_that_is_no_database_is_the_machines_fault(refused: Refused, kind: str, option: str) -> None:
    broken_file(kind)
    said = refused("l2", *FAST, option, RAW_STORAGE, status=1)
    assert f"{option[2:]}: " in said
    assert "raw.db" in said


@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
def test_a_file_that_cannot_be_written_is_found_before_the_other_one_is_made(refused: Refused, option: str) -> None:
    # Root may write to a read-only file; to /proc nobody may.
    assert "/proc/x.db cannot be used" in refused("l2", *FAST, option, "sqlite:////proc/x.db", status=1)
    assert "no folder /nonexistent" in refused("l2", *FAST, option, "sqlite:////nonexistent/x.db")
    broken_file("dangling link")
    assert "no folder /nonexistent" in refused("l2", *FAST, option, RAW_STORAGE)


def test_optuna_and_mlflow_never_share_a_file(refused: Refused) -> None:
    assert "each need a database of their own" in refused("l2", "--tracking-uri", "sqlite:///optuna.db")
    Path("below").mkdir()
    assert "each need a database of their own" in refused("l2", "--tracking-uri", "sqlite:///below/../optuna.db")
    same = "postgresql://me:secret@host/db"
    assert "secret" not in refused("l2", "--storage", same, "--tracking-uri", same)
    raw_study()
    assert "holds Optuna's studies" in refused("l2", "--tracking-uri", RAW_STORAGE)
    Path("link.db").symlink_to("raw.db")
    assert "holds Optuna's studies" in refused("l2", "--tracking-uri", "sqlite:///link.db")
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE experiments (a)")
    assert "holds MLflow's runs" in refused("l2", "--storage", "sqlite:///other.db")
    with sqlite3.connect("mine.db") as mine:
        mine.execute("CREATE TABLE recipes (a)")
    assert "holds other tables (recipes)" in refused("l2", "--storage", "sqlite:///mine.db")


@pytest.mark.parametrize(
    ("url", "says", "status"),
    [
        ("", "got ''", 2),
        ("optuna.db", "such as sqlite:///optuna.db, got 'optuna.db'", 2),
        ("http://x", "got 'http://x'", 2),
        ("sqlite://", "takes a file", 2),
        ("sqlite:///:memory:", "takes a file", 2),
        ("sqlite:///a\x00b", "takes a file", 2),
        ("sqlite+nope:///raw.db", "takes a file", 2),
        ("postgresql://me:secret@host:port/db", "got 'postgresql://me@host:port/db'", 2),
        ("mysql+pymysql://me:secret@host/db", "its driver is not installed: No module named 'pymysql'", 1),
    ],
)
def test_a_storage_that_is_no_database(refused: Refused, url: str, says: str, status: int) -> None:
    said = refused("l2", *FAST, "--storage", url, status=status)
    assert says in said
    assert "secret" not in said


@pytest.mark.parametrize("uri", ["", "mlruns", "None", "foo://x", "sqlite://"])
def test_a_tracking_uri_that_mlflow_would_not_take(refused: Refused, uri: str) -> None:
    assert "tracking-uri takes" in refused("l2", *FAST, "--tracking-uri", uri)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_that_is_not_ours_is_left_alone(refused: Refused, direction: str) -> None:
    theirs = raw_study("l2-digits", direction=direction)
    if direction == "minimize":
        theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    said = refused("l2", *FAST, "--storage", RAW_STORAGE)
    assert "was not made by regsearch" in said
    assert "--study-name=l2-digits-2" in said


def test_another_study_of_the_name_lists_what_differs_and_a_command_that_works(
    refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    name = ["--study-name", 'it\'s "mine"']
    assert run.main(["l2", *FAST, *name]) == 0
    said = refused("l2", *FAST, *name, "--set", "lr=0.01", "--space", "l2=1e-5:0.1:log", "--seed", "3", "--json")
    assert "seed: 0 there, 3 here" in said
    assert "set lr: 0.001 there, 0.01 here" in said
    assert "space l2: 1e-06:0.1:log there, 1e-05:0.1:log here" in said
    assert said.count(" there, ") == 3
    again = shlex.split(said.partition("to make a new study: ")[2])
    start = len(shlex.split(invocation.started()))
    assert again[:start] == shlex.split(invocation.started())
    assert again[start] == "run"
    assert run.main(again[start + 1 :]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == 'it\'s "mine"-2'


def test_names_that_are_only_odd_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/b", "..", "-x", "😀", "'; DROP TABLE studies; --"):
        assert run.main(["l2", *FAST, f"--study-name={name}", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["study"] == name


def test_a_failure_that_no_one_foresaw_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr("search.study.study.BaseStudy.__init__", fail)
    assert run.main(["l2", *FAST]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: IndexError: list index out of range \(test_bad_input.py, line \d+\); [^\n]+\n", err)
