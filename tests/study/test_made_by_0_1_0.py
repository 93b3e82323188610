"""Studies of version 0.1.0, in `made-by-0.1.0/`: each opens, goes on, is replayed and is reported as before.

`optuna.db` holds `l2-wine` (6 trials), `rates-wine` (the two settings of `rates.toml`, then called `[[rows]]`) and
`front` (4 trials of two objectives). `techniques.db` holds `techniques` (8 trials of `lr_schedule+dropout`), whose
techniques have got more hyperparameters and choices since.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from support.small_studies import Quiet

from search import RequestError, Study, load_study
from search.record.stored import stored_recipe
from search.tracking.plan import plan_trial

MADE = Path(__file__).with_name("made-by-0.1.0")
FINISHED = {"l2-wine": 6, "rates-wine": 2, "front": 4, "techniques": 8}


@pytest.fixture
def storage(in_an_empty_folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a copy of the database that holds the study of the test."""
    for path in MADE.iterdir():
        shutil.copy(path, in_an_empty_folder)
    parameters = getattr(request.node, "callspec", None)
    techniques = parameters is not None and parameters.params["name"] == "techniques"
    return f"sqlite:///{in_an_empty_folder}/{'techniques' if techniques else 'optuna'}.db"


@pytest.mark.parametrize("name", FINISHED)
def test_it_goes_on_and_keeps_the_trials_that_it_has(name: str, storage: str) -> None:
    before = load_study(name, storage=storage, device="cpu").trials()
    assert len(before) == FINISHED[name]
    after = load_study(name, storage=storage, device="cpu").run(len(before) + 2, observers=[Quiet()]).trials()
    pd.testing.assert_frame_equal(after[: len(before)][before.columns], before)
    # A list of settings has no more trials than settings.
    assert len(after) == len(before) + (0 if name == "rates-wine" else 2)
    assert set(after["state"]) <= {"complete", "pruned"}


@pytest.mark.parametrize("name", FINISHED)
def test_it_is_replayed_to_the_bit_where_the_machine_is_the_same(name: str, storage: str) -> None:
    replay = load_study(name, storage=storage, device="cpu").replay(1)
    assert replay.holds, str(replay)
    assert replay.same or not replay.exact


@pytest.mark.parametrize("name", FINISHED)
def test_it_is_reported(name: str, storage: str, tmp_path: Path) -> None:
    study = load_study(name, storage=storage, device="cpu")
    text = study.report(tmp_path / "report", training=False).page.read_text()
    assert name in text
    if name == "rates-wine":
        assert all(f'"{label}"' in text for label in ("slow", "fast"))


def test_the_settings_are_known_by_their_names(storage: str) -> None:
    study = load_study("rates-wine", storage=storage, device="cpu")
    assert [setting.name for setting in study.recipe.settings] == ["slow", "fast"]
    assert list(study.published()["setting"]) == ["slow"]
    recipe = stored_recipe(study.optuna_study.user_attrs)
    names = [plan_trial(study.name, trial, recipe, {}).name for trial in study.optuna_study.trials]
    assert names == ["trial-0 slow", "trial-1 fast"]


def test_the_file_opens_the_study_once_its_rows_are_called_settings(storage: str) -> None:
    with pytest.raises(RequestError, match=r"rates\.toml: \[\[rows\]\] is now called \[\[settings\]\]: rename it"):
        Study("rates.toml", storage=storage, tracking_uri=None)
    Path("rates.toml").write_text(Path("rates.toml").read_text().replace("[[rows]]", "[[settings]]"))
    same = Study("rates.toml", storage=storage, tracking_uri=None, device="cpu", set={"hidden": "8"})
    assert len(same.optuna_study.trials) == 2
    other = Study(
        "rates.toml",
        storage=storage,
        tracking_uri=None,
        device="cpu",
        settings=[{"set": {"lr": 1e-3}}, {"set": {"lr": 0.1}}],
        set={"hidden": "8"},
    )
    with pytest.raises(RequestError, match=r"differs in setting 2: lr=0.01 there, lr=0.1 here"):
        _ = other.optuna_study
