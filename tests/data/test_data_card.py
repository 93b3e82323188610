"""Tests of the card of a table, and of `regsearch data`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score
from support.data import table

from search import __main__ as program
from search import run
from search.data import __main__ as command
from search.data import leaks, load
from search.data.card import describe_data
from search.errors import RequestError
from search.recipe import Recipe

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def loans() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = np.arange(120)
    late = rng.random(120) < 0.3
    return pd.DataFrame(
        {
            "id": rows + 5000,
            "amount": np.where(rows % 10 == 3, np.nan, np.round(rng.normal(size=120), 3)),
            "zip": [f"0{1000 + row % 3}" for row in rows],
            "since": [f"{row % 28 + 1:02}/02/2023" for row in rows],
            "reminders": np.where(late, 2, 0) + rng.integers(0, 2, 120),  # sent because the loan was late
            "state": np.where(late, "late", "paid"),
        }
    )


def test_the_card_says_what_each_column_is_and_becomes() -> None:
    loans().to_csv("loans.csv", index=False)
    card = describe_data("loans.csv", "state")
    data = load("loans.csv", target="state")
    assert {column.name: (column.kind, column.role) for column in card.columns} == {
        "id": ("number", "left out"),
        "amount": ("number", "input"),
        "zip": ("category", "input"),
        "since": ("date", "input"),
        "reminders": ("number", "input"),
        "state": ("category", "target"),
    }
    assert card.columns[1].missing == 0.1
    assert card.columns[1].different == loans()["amount"].nunique()
    assert card.columns[3].example == "2023-02-01"
    assert sum(column.inputs for column in card.columns) == card.inputs == data.features
    assert card.classes == loans()["state"].value_counts().sort_index().to_dict()
    assert (card.rows, card.task, card.notes) == (120, "classification", data.notes)


def test_a_column_that_gives_the_target_away_is_suspicious() -> None:
    loans().to_csv("loans.csv", index=False)
    card = describe_data("loans.csv", "state")
    assert card.suspicious == ("reminders",)
    scores = {column.name: column.alone for column in card.columns}
    assert scores["reminders"] == 1.0
    assert scores["amount"] is not None
    assert scores["amount"] < 0.3
    assert scores["state"] is None
    assert "suspicious: reminders nearly predicts the target alone: would it be known before" in str(card)
    frame = loans().assign(price=lambda one: one["amount"].fillna(0) * 3 + 1)
    frame.to_csv("loans.csv", index=False)
    assert describe_data("loans.csv", "price").suspicious == ("amount",)
    # Without them nothing is suspicious.
    assert describe_data("loans.csv", "state", {"drop": "reminders"}).suspicious == ()


def test_the_score_of_a_column_is_its_balanced_accuracy() -> None:
    """A category tells the class of three rows in four; a tree cannot do better than the commoner class of each."""
    column = np.array(["a", "b"] * 200, dtype=object)
    y = np.array([0, 1] * 200)
    y[::4] = 1 - y[::4]
    best = np.where(column == "a", np.bincount(y[column == "a"]).argmax(), np.bincount(y[column == "b"]).argmax())
    expected = balanced_accuracy_score(y, best, adjusted=True)
    assert leaks.score(column, y, classes=True) == pytest.approx(expected, abs=0.05)
    assert leaks.score(np.arange(400.0), np.arange(400.0)[:, None] % 2 + 0.5, classes=False) < 0.2
    assert leaks.score(np.arange(400.0), np.arange(400.0)[:, None], classes=False) > 0.98
    assert leaks.score(np.arange(4.0), np.array([0, 0, 1, 1]), classes=True) is None


def test_rows_without_a_target_and_several_targets() -> None:
    frame = loans()
    frame.loc[:9, "state"] = None
    frame.to_csv("loans.csv", index=False)
    with pytest.raises(RequestError, match=r"is missing in line 2 .10 rows in all"):
        describe_data("loans.csv", "state")
    card = describe_data("loans.csv", "state", {"missing_target": "drop"})
    assert card.rows == sum(card.classes.values()) == 110
    loans().fillna(0).to_csv("loans.csv", index=False)
    both = describe_data("loans.csv", "amount, reminders")
    assert [column.name for column in both.columns if column.role == "target"] == ["amount", "reminders"]
    assert both.classes == {}


def test_the_command_prints_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    loans().to_csv("loans.csv", index=False)
    before = set(Path().iterdir())
    words = ["loans.csv", "--target", "state", "--column", "zip=number", "--data", "dates=drop"]
    assert command.main([*words, "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome == describe_data("loans.csv", "state", {"dates": "drop"}, {"zip": "number"}).outcome() | {
        "columns": outcome["columns"],
        "notes": outcome["notes"],
        "suspicious": ["reminders"],
    }
    assert [(one["name"], one["kind"], one["role"]) for one in outcome["columns"]][2:4] == [
        ("zip", "number", "input"),
        ("since", "date", "left out"),
    ]
    assert program.main(["data", *words]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("loans.csv: 120 rows, classification of state, ")
    assert "note: loans.csv: left out, numbers that name the rows (--column NAME=number keeps them): id" in printed
    assert set(Path().iterdir()) == before
    for wrong, says in (
        (["loans.csv"], "loans.csv needs --target COLUMN"),
        (["digits", "--target", "x"], "a card is of a table"),
        (["none.csv", "--target", "x"], "there is no dataset 'none.csv'"),
        (["loans.csv", "--target", "stat"], "has no column 'stat': did you mean 'state'"),
        ([*words[:3], "--column", "zip"], "--column takes NAME=KIND, got 'zip'"),
        ([*words[:3], "--column", "zip=numbers"], "unknown kind of column 'zip' 'numbers': did you mean 'number'"),
    ):
        assert command.main(wrong) == 2
        assert says in capsys.readouterr().err


def test_a_study_takes_the_kinds_of_columns(capsys: pytest.CaptureFixture[str]) -> None:
    loans().to_csv("loans.csv", index=False)
    fast = ["--epochs", "2", "--hidden", "8", "--device", "cpu", "--trials", "1", "--tracking-uri", "none", "--json"]
    words = ["l2", "--dataset", "loans.csv", "--target", "state", *fast]
    assert run.main([*words, "--column", "zip=number", "--column", "id=number"]) == 0
    assert "note: loans.csv: classification, 2 classes in state; " in capsys.readouterr().err
    # Without them the inputs differ, and so does the study.
    assert run.main(words) == 2
    assert "exists and differs in data" in capsys.readouterr().err
    assert run.main([*words, "--column", "zip=numbr"]) == 2
    assert "unknown --column zip 'numbr': did you mean 'number'" in capsys.readouterr().err
    table(
        'techniques = ["l2"]\n[data]\ndataset = "loans.csv"\ntarget = "state"\ncolumns = { zip = "number" }\n'
        "[space]\nl2 = { low = 1e-5, high = 1e-2, log = true }\n",
        "own.toml",
    )
    assert Recipe.load("own.toml").data.columns == {"zip": "number"}
    assert run.main(["own.toml", *fast]) == 0
