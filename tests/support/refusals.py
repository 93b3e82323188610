"""What tests of bad input have in common: a short command, the type of `refused`, and a study that is Optuna's own."""

from __future__ import annotations

from collections.abc import Callable

import optuna

FAST = ["--epochs", "1", "--trials", "2", "--hidden", "8", "--device", "cpu", "--tracking-uri", "none"]
RAW_STORAGE = "sqlite:///raw.db"
Refused = Callable[..., str]
"""A function that runs a command of some words, which must fail with a `status`, and returns its line."""


def raw_study(name: str = "x", **options: object) -> optuna.Study:
    return optuna.create_study(storage=RAW_STORAGE, study_name=name, **options)  # type: ignore[arg-type]
