"""Replicates and tolerances that a decision cannot use are refused in one line, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from search import run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tolerance", "0"], "--tolerance: input should be greater than 0, got 0"),
        (["--tolerance", "1"], "--tolerance: input should be less than 1, got 1"),
        (["--tolerance", "nan"], "--tolerance"),
        (["--replicates", "3", "--tolerance", "0.1"], "tolerance needs replicates = 'auto', got replicates = 3"),
        (["--replicates", "auto", "--objective", "val_loss,sparsity"], "give a number of replicates"),
        (["--tolerance", "0.1", "--objective", "val_loss,sparsity"], "give a number of replicates"),
        (["--replicates", "0"], "--replicates takes a whole number from 1 to 1,000, or auto, got 0"),
        (["--replicates", "1001"], "--replicates takes a whole number from 1 to 1,000, or auto, got 1001"),
        (["--replicates", "many"], "--replicates takes a whole number from 1 to 1,000, or auto, got 'many'"),
        (["--replicates", "2.5"], "--replicates takes a whole number from 1 to 1,000, or auto, got 2.5"),
        (["--replicates", "true"], "--replicates takes a whole number from 1 to 1,000, or auto, got"),
    ],
)
def test_one_line_says_what_is_wrong(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert run.main(["l2", "--tracking-uri", "none", "--device", "cpu", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert says in err
    assert list(Path().iterdir()) == []
