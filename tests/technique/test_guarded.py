"""An error inside a hook names the technique's file, the hook and the line, in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest
import torch
from support.data import random_data
from support.packs import make_pack

from search import RequestError, Study, run
from search.errors import TechniqueError
from search.recipe.discovery import discover, select
from search.technique import Numeric, Technique
from search.technique.guarded import CALLED_WITH, guarded, hooks_of

IN_TRAINING = ["rows", "init", "parameters", "start", "input", "layer", "affine", "targets", "loss", "penalty"]
IN_TRAINING += ["gradient", "rate", "project", "metrics", "after_epoch"]
_HEAD = """\
import torch
from search import Numeric, Technique

SOME = {}

def fails(*given):
    return SOME["nothing"]

"""


def write(folder: Path, *arguments: str, name: str = "mine") -> Path:
    """Write a technique with these arguments; the line of `fails` that fails is line 7."""
    declared = f'hyperparameters={{"{name}": Numeric(low=0.1, high=1.0, neutral=0.0)}}'
    path = folder / f"{name}.py"
    path.write_text(f'{_HEAD}technique = Technique(name="{name}", {", ".join((declared, *arguments))})\n')
    return path


def train(technique: Technique) -> None:
    """Train a pack of one technique for an epoch, and ask for its plain layers."""
    pack = make_pack(random_data(40, 5, 3), [{"lr": 0.01, "mine": 0.5}] * 2, techniques=[technique], optimizer="sgd")
    pack.run_epoch()
    pack.plain_weights(0)


@pytest.mark.parametrize("hook", IN_TRAINING)
def test_an_error_in_training_names_file_hook_and_line(hook: str, tmp_path: Path) -> None:
    (technique,) = select([], [write(tmp_path, f"{hook}=fails")])
    with pytest.raises(TechniqueError) as caught:
        train(technique)
    assert str(caught.value) == f"{tmp_path / 'mine.py'}: hook '{hook}' failed in line 7: KeyError: 'nothing'"
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("hook", ["check", "prepare"])
def test_an_error_before_training_does_too(hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, f"{hook}=fails")
    with pytest.raises(TechniqueError) as caught:
        Study("baseline", dataset="wine", techniques=["mine.py"], device="cpu")
    assert str(caught.value) == f"mine.py: hook '{hook}' failed in line 7: KeyError: 'nothing'"


@pytest.mark.parametrize("hook", ["check", "prepare"])
def test_a_study_that_a_technique_refuses_is_told_what_it_says(hook: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{hook}=refuses")
    path.write_text(path.read_text().replace("SOME = {}", "def refuses(*given):\n    raise ValueError('not here')"))
    with pytest.raises(RequestError, match=r"^technique 'mine': not here$"):
        Study("baseline", dataset="wine", techniques=[path], device="cpu")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("torch.rand(1); return data", "draws from torch's global random generator: use a generator with a seed"),
        ("data = data", "returns NoneType, where the data are right: end it with `return data`"),
    ],
)
def test_data_that_are_not_prepared_the_same_everywhere_are_refused(line: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, "prepare=prepare")
    path.write_text(path.read_text().replace("SOME = {}", f"def prepare(data, context):\n    {line}"))
    with pytest.raises(RequestError) as caught:
        Study("baseline", dataset="wine", techniques=[path], device="cpu")
    assert str(caught.value).startswith(f"{path}: hook 'prepare' {said}")


def test_a_value_error_that_nobody_raised_on_purpose_is_placed(tmp_path: Path) -> None:
    path = write(tmp_path, "check=lambda context: int('seven')")
    with pytest.raises(TechniqueError, match=r"mine.py: hook 'check' failed in line 9: ValueError: invalid literal"):
        Study("baseline", dataset="wine", techniques=[path], device="cpu")


def test_a_hook_with_other_arguments_is_told_what_it_gets(tmp_path: Path) -> None:
    (technique,) = select([], [write(tmp_path, "layer=lambda h, values: h")])
    with pytest.raises(TechniqueError, match=r"hook 'layer' failed: .*it is called with \(h, number, values\)$"):
        train(technique)


def test_the_arguments_that_errors_name_are_those_of_the_packages_techniques() -> None:
    for technique in discover().values():
        for field in fields(Technique):
            hook = getattr(technique, field.name)
            if callable(hook):
                arguments = signature(hook).parameters
                assert len(arguments) == len(CALLED_WITH[field.name].split(", ")), (technique.name, field)


def test_an_error_in_another_file_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_helper.py").write_text("def scaled(h, number, values):\n    return h / no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path, "layer=scaled")
    path.write_text(f"from my_helper import scaled\n{path.read_text()}")
    (technique,) = select([], [path])
    with pytest.raises(TechniqueError, match=r"mine.py: hook 'layer' failed in \S+my_helper.py, line 2: NameError"):
        train(technique)


def test_a_technique_that_has_no_file_is_named() -> None:
    scope: dict[str, Technique] = {}
    exec("from search import *\ntechnique = Technique(name='mine', penalty=lambda w, values: w / None)", scope)
    with pytest.raises(TechniqueError, match=r"^technique 'mine': hook 'penalty' failed in line 2: TypeError"):
        train(guarded(scope["technique"]))


def test_memory_that_is_missing_is_no_fault_of_the_technique() -> None:
    def layer(_h: torch.Tensor, _number: int, _values: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        train(guarded(Technique(name="mine", hyperparameters={"mine": Numeric()}, layer=layer)))


def test_guarding_twice_is_guarding_once() -> None:
    (once,) = select(["l2"], [])
    assert once == guarded(once)
    assert hooks_of(once)["penalty"].place == "objectives/l2.py"
    assert once == select(["l2"], [])[0]


def test_the_command_ends_with_one_line_and_python_dev_mode_with_the_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "prepare=fails")
    words = ["baseline", "--dataset", "wine", "--technique", str(path), "--storage", f"sqlite:///{tmp_path}/o.db"]
    said = f"error: {path}: hook 'prepare' failed in line 7: KeyError: 'nothing'; for the traceback run it with"
    assert run.main(words) == 2
    line = capsys.readouterr().err
    assert line.startswith(said)
    assert line.count("\n") == 1
    command = f"from search import run; raise SystemExit(run.main({words!r}))"
    done = subprocess.run([sys.executable, "-X", "dev", "-W", "ignore", "-c", command], text=True, capture_output=True)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "o.db").exists()


def test_an_error_in_a_technique_of_the_package_is_a_failure_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import objectives.l2

    failing = Technique(
        name="l2",
        hyperparameters=objectives.l2.technique.hyperparameters,
        prepare=lambda data, _context: data.no_such_name,
    )
    monkeypatch.setattr(objectives.l2, "technique", failing)
    assert run.main(["l2", "--dataset", "wine"]) == 1
    assert "hook 'prepare' failed in line" in capsys.readouterr().err
