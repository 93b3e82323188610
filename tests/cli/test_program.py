"""All commands in one program: what its help says, what it imports for it, and what the shell completes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_studies import Quiet, small

from objectives import l2
from search import __main__ as program
from search import run
from search.cli import invocation
from search.cli.options import DEVICES
from search.recipe import Recipe
from search.recipe.declared import CORE
from search.study.chosen import decided
from search.study.runner import ENGINES

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "optuna", "mlflow", "pandas", "sklearn", "numpy", "matplotlib")

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def python(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, "-c", source], env=given, text=True, capture_output=True)


def test_every_command_is_in_the_program() -> None:
    answers = {path.parent.name for path in (ROOT / "search").glob("*/__main__.py")}
    assert {*program.Commands.modules} == answers | {"run", "sync", "ui"}


def test_help_of_any_command_imports_nothing_heavy_and_fits_80_columns() -> None:
    source = f"""
import sys
from search.__main__ import Commands, main
for name in ([], *([name] for name in (*Commands.modules, "list"))):
    assert main([*name, "--help"]) == 0
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = python(source, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout, "something is cut"
    for panel in ("Data", "Search", "Network", "Where it runs", "Records"):
        assert f"─ {panel} ─" in done.stdout


def test_help_shows_choices_and_defaults(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert program.main(["run", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "[tpe|random|grid|gp|cmaes|qmc|nsgaii]" in told
    assert f"[{'|'.join(ENGINES)}]" in told
    assert f"[{'|'.join(DEVICES)}]" in told
    for name in ("hidden", "batch_size", "epochs"):
        default = str(CORE[name].default).replace("x", ",")
        option = f"--{name.replace('_', '-')} "
        assert f"or {default})]" in told.partition(option)[2].partition("│ --")[0], name


def test_commands_are_named_where_none_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 0
    told = capsys.readouterr().out
    for name in (*program.Commands.modules, "list"):
        assert re.search(rf"│ {name} ", told), name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["repot"], "unknown command 'repot': did you mean 'report'?"),
        (["optimize", "l2"], "unknown command 'optimize': its name here is 'run'"),
        (["--storage", "x"], "unknown option '--storage'"),
        (["run", "l2", "--trails", "3"], "unknown option '--trails': did you mean '--trials'?"),
        (["run", "l3"], "unknown study 'l3': did you mean 'l2'?"),
    ],
)
def test_a_wrong_word_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_study_in_the_place_of_a_command_is_answered_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["l2"]) == 2
    command = invocation.command("run", "l2")
    assert f"'l2' is a study, not a command: run it with `{command}`" in capsys.readouterr().err


def test_it_runs_and_lists_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["list", "--storage", "sqlite:///study.db"]) == 0
    told = capsys.readouterr().out
    assert Recipe.load("l2").title in told
    assert "L2 penalty" in told.partition("techniques")[2]
    assert "breast-cancer" in told
    assert "studies: there are none in sqlite:///study.db yet" in told
    assert not Path("study.db").exists()
    study = small(tmp_path).run(4, observers=[Quiet()])
    words = ["wine", "--trials", "1", "--epochs", "1", "--hidden", "4", "--storage", "sqlite:///study.db"]
    assert program.main(["run", "l2", "--dataset", *words, "--tracking-uri", "none", "--device", "cpu"]) == 0
    capsys.readouterr()
    assert program.main(["list", "--storage", "sqlite:///study.db", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recipes"]["l2"] == Recipe.load("l2").title
    assert said["techniques"]["l2"] == (l2.__doc__ or "").partition(".\n")[0]
    first, second = said["studies"]
    assert (first["name"], first["recipe"]) == ("small-wine", "small")
    assert study.best is not None
    assert first["best"] == study.best.value
    decision = decided(study)
    assert decision is not None
    assert decision.value is not None
    assert first["expected"] == decision.value.value
    assert sum(first["trials"].values()) == 4
    assert (second["name"], second["trials"]) == ("l2-wine", {"complete": 1})


def test_a_name_that_is_taken_ends_in_a_command_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "l2", "--dataset", "wine", "--trials", "1", "--epochs", "1", "--tracking-uri", "none"]
    assert program.main(words) == 0
    assert program.main([*words, "--seed", "3"]) == 2
    told = capsys.readouterr().err
    assert "run --study-name=l2-wine-2 l2 --dataset wine --trials 1" in told


def test_the_shell_completes_commands_recipes_and_choices() -> None:
    def completed(*words: str) -> list[str]:
        source = "from search.__main__ import main; main()"
        line = {"COMP_WORDS": " ".join(["regsearch", *words]), "COMP_CWORD": str(len(words))}
        return python(source, _REGSEARCH_COMPLETE="complete_bash", **line).stdout.split()

    assert completed("re") == ["report", "replay"]
    assert completed("run", "dropout") == ["dropout", "dropout_shape", "dropout_variance"]
    assert completed("run", "l2", "--sampler", "g") == ["grid", "gp"]


def test_one_module_serves_python_m_and_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--help"]) == 0
    alone = capsys.readouterr().out.splitlines()[2:]
    assert program.main(["run", "--help"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == alone
