"""A study tries its techniques from outside once, before it writes anything; the package's own pass the same tryout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.benches import OUTSIDE, TECHNIQUES

from search import Numeric, RequestError, Study, Technique, run
from search.check import diagnosis
from search.recipe.discovery import discover
from search.train.crew import one_thread
from search.tryout import tryout
from search.tryout.tryout import try_outside, try_technique

_BAD = """
from search import Numeric, Technique

technique = Technique(
    name="bad",
    hyperparameters={"bad": Numeric(low=0.1, high=1.0, neutral=0.0)},
    penalty=lambda weights, values: values["bad"] * weights.abs().sum(),
)
"""
_PICTURES = ("augmentation", "cutout", "cutmix")

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_technique_that_breaks_a_contract_is_refused_in_one_line(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.py").write_text(_BAD)
    assert run.main(["baseline", "--dataset", "wine", "--technique", "bad.py", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: bad.py: hook 'penalty' adds to a slot's penalty what depends on the weights of its neighbours: sum"
        " over the weights (dim 1), not over the slots (dim 0)\n"
    )
    # Python may keep what it compiled of the file.
    assert {path.name for path in Path.cwd().iterdir()} <= {"bad.py", "__pycache__"}


def test_python_refuses_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Technique(
        name="bad",
        hyperparameters={"bad": Numeric(low=0.1, high=1.0, neutral=0.0)},
        penalty=lambda weights, values: values["bad"] * weights.abs().sum(),
    )
    study = Study("baseline", dataset="wine", techniques=[bad], device="cpu", tracking_uri=None)
    for go in (study.run, study.check):
        with pytest.raises(RequestError, match="hook 'penalty' adds to a slot's penalty"):
            go()
    assert not list(Path.cwd().iterdir())
    monkeypatch.setattr(tryout, "try_technique", pytest.fail)
    fixed = Study("baseline", dataset="wine", techniques=[bad], device="cpu", set={"bad": 0.0})
    assert try_outside(fixed) == ()  # it is never active


def test_a_sound_technique_is_tried_once_and_the_check_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(technique: Technique, study: Study) -> str:
        calls.append(technique)
        return try_technique(technique, study)

    monkeypatch.setattr(tryout, "try_technique", counted)
    path = OUTSIDE / "adaptive_clip.py"
    words = [str(OUTSIDE / "adaptive_clip.toml"), "--technique", str(path), "--dataset", "wine", "--hidden", "32"]
    monkeypatch.setattr(diagnosis, "STEPS", 50)
    status = run.main([*words, "--epochs", "50", "--check", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert status == 1 - said["fitted"]
    assert said["tried"] == [
        {"technique": "adaptive_clip", "place": str(path), "hooks": ["start", "gradient", "after_epoch"], "note": ""}
    ]
    assert len(calls) == 1
    run.main([*words, "--trials", "1", "--epochs", "1", "--tracking-uri", "none"])
    assert len(calls) == 2
    again = Study("l2", dataset="wine", device="cpu")
    assert try_outside(again) == ()
    assert len(calls) == 2, "the package's own techniques are not tried"


@pytest.mark.parametrize("name", [name for name in TECHNIQUES if name != "fine_tune"])
def test_the_techniques_of_the_tests_and_of_the_package_pass(name: str) -> None:
    packaged = name in discover()
    if not packaged:
        study = Study(str(OUTSIDE / f"{name}.toml"), techniques=[OUTSIDE / f"{name}.py"], device="cpu", dataset="wine")
    else:
        study = Study(name, dataset="digits" if name in _PICTURES else "wine", device="cpu", tracking_uri=None)
    technique = next(one for one in study.techniques if one.name == name)
    with one_thread():
        assert try_technique(technique, study) == ""
