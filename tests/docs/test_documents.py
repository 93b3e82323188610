"""README, CONTRIBUTING, CHANGELOG and docs/: links lead somewhere, paths exist, code blocks are right.

`mkdocs build --strict` (in `.ci/run`) checks the links within docs/.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from support.documents import DOCUMENTS, ROOT, ROOT_DOCUMENTS, Block, all_blocks, anchors, commands, links

from search.recipe import Recipe
from search.recipe.discovery import discover, select
from search.recipe.schema import PrunerName, SamplerName
from search.recipe.space import Space
from search.train.metrics.objective import BUILT_IN, OF_WEIGHTS

_PATH = re.compile(r"`((?:search|objectives|studies|tests|benchmarks|docs|\.ci)/[\w./*-]*)`")
_OURS = re.compile(r"(?:^|&& )(?:uv run )?regsearch (\w+)(.*)$")


def relative(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def test_the_readme_is_short_and_has_what_others_call() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert "\nThe tests: `pip install -q uv && uv run pytest`" in text
    assert "Python 3.11 to 3.13" in text


@pytest.mark.parametrize("document", ROOT_DOCUMENTS, ids=relative)
def test_every_relative_link_and_anchor_leads_somewhere(document: Path) -> None:
    for link in links(document):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{relative(document)} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{relative(document)} links to {link}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_path_that_is_named_exists(document: Path) -> None:
    for path in _PATH.findall(document.read_text(encoding="utf-8")):
        there = any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()
        assert there or path.endswith(("/NAME.py", "/NAME.toml")), f"{relative(document)} names {path}"


def test_the_documents_have_blocks_to_check() -> None:
    assert len(all_blocks("toml")) >= 3
    assert len(all_blocks("python")) >= 3
    assert len(all_blocks("sh")) >= 10


@pytest.mark.parametrize("block", all_blocks("toml"), ids=str)
def test_every_toml_block_is_a_recipe(block: Block) -> None:
    recipe = Recipe.parse({"name": "block"} | tomllib.loads(block.text), str(block))
    Space.resolve(recipe, select(recipe.techniques, ()))


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_every_python_block_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that train only compile here; `test_readme.py` runs them."""
    code = compile(block.text, str(block), "exec")
    if "study.run(" not in block.text:
        monkeypatch.chdir(tmp_path)
        exec(code, {})


@cache
def options(command: str) -> set[str]:
    """The options of a command, as its help has them."""
    shell = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    told = subprocess.run(
        [Path(sys.executable).with_name("regsearch"), command, "--help"],
        capture_output=True,
        text=True,
        env=shell,
        check=True,
        timeout=60,
    ).stdout
    return {*re.findall(r"--[a-z][a-z-]+", told)}


@pytest.mark.parametrize("block", all_blocks("sh"), ids=str)
def test_every_command_exists_and_has_the_options_it_is_given(block: Block) -> None:
    for line in commands(block):
        if ours := _OURS.search(line):
            given = {word.partition("=")[0] for word in shlex.split(ours[2]) if word.startswith("--")}
            assert given <= options(ours[1]), line
        else:
            assert line.startswith(("pip install ", "uv run mlflow ", "curl ", "uv run mkdocs ", "uvx ")), line


def test_the_lists_of_names_in_documents_are_complete() -> None:
    techniques = (ROOT / "docs" / "techniques.md").read_text(encoding="utf-8")
    table = techniques.partition("| | techniques |")[2].partition("\n\n")[0]
    assert set(discover()) <= set(re.findall(r"`(\w+)`", table))
    recipes, commands_page = (
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("recipes.md", "commands.md")
    )
    metrics = recipes.partition("## Metrics")[2].partition("\n\nThey equal")[0]
    assert set(BUILT_IN) - {*OF_WEIGHTS} == set(re.findall(r"`(val_\w+)`", metrics.partition("| metric |")[2]))
    for name in (*get_args(PrunerName), *get_args(SamplerName)):
        assert f"`{name}`" in recipes, name
        assert f"`{name}`" in commands_page, name
