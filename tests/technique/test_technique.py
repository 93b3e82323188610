"""Tests of techniques: they are found by their files, refused by name, and validate values by their own rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.errors import RequestError
from search.recipe.discovery import discover, load_technique, select
from search.technique import Numeric, Structural, Technique

_FILE = """
from search import Numeric, Technique
print("loaded")
technique = Technique(name={name!r}, hyperparameters={{"strength": Numeric(low=0.0, high=1.0)}})
"""


def write(folder: Path, name: str) -> Path:
    path = folder / "mine.py"
    path.write_text(_FILE.format(name=name))
    return path


def test_every_file_in_objectives_is_found_under_its_own_name() -> None:
    import objectives

    files = {path.stem for path in Path(objectives.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(discover()) == files


def test_a_file_from_outside_is_loaded_and_what_it_prints_is_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_technique(write(tmp_path, "mine")).name == "mine"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "loaded\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("from search.hyperparameter import Numeric", "No module named 'search.hyperparameter'"),
        ("from search.techniques import Technique", "No module named 'search.techniques'"),
        (
            "from search.technique import Setting",
            "cannot import name 'Setting' from 'search.technique'; Setting is now called StudyContext",
        ),
        ("from search import Penalty", "cannot import name 'Penalty' from 'search'"),
    ],
)
def test_a_file_that_imports_what_is_not_there_is_told_what_is(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{line}\n")
    with pytest.raises(RequestError) as caught:
        load_technique(path)
    remedy = (
        "import Numeric, Structural, Technique from search, "
        "and Array, Batch, Field, Gate, Hyperparameter, Inputs, LargestNorm, Loops, StudyContext, Value, Values "
        "from search.technique"
    )
    assert str(caught.value) == f"--technique: {path} failed when it was run: {complaint}; {remedy}"


def test_every_name_that_a_technique_needs_can_be_imported() -> None:
    from search import Numeric as TopNumeric
    from search.technique import Batch, Value, Values

    assert TopNumeric is Numeric
    assert all((Batch, Value, Values))


def test_a_file_that_misses_another_library_is_told_which(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import no_such_library\n")
    with pytest.raises(RequestError, match=r"ModuleNotFoundError: No module named 'no_such_library'$"):
        load_technique(path)


def test_a_technique_of_the_package_cannot_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'l2' is in the package already"):
        select(["l2"], [write(tmp_path, "l2")])


def test_named_techniques_come_first_in_their_order() -> None:
    mine = Technique(name="mine", hyperparameters={})
    assert [t.name for t in select(["mine", "l2"], [mine])] == ["mine", "l2"]
    assert [t.name for t in select(["l2"], [mine])] == ["l2", "mine"]


def test_what_is_no_technique_is_refused() -> None:
    with pytest.raises(RequestError, match="'lr' is neither Numeric nor Structural"):
        Technique(name="mine", hyperparameters={"lr": 0.1})  # type: ignore[dict-item]
    with pytest.raises(RequestError, match="a technique's name must be a non-empty string"):
        Technique(name="", hyperparameters={})


@pytest.mark.parametrize(
    ("declared", "value", "rule"),
    [
        (Numeric(minimum=0.0), -1, ">= 0, got -1"),
        (Numeric(below=1.0), 1, "< 1, got 1"),
        (Numeric(above=0.0), 0, "> 0, got 0"),
        (Numeric(maximum=1.0), 1.5, "<= 1, got 1.5"),
        (Numeric(), float("nan"), "takes a number, got nan"),
        (Numeric(), True, "takes a number, got True"),
        (Structural(default=4), 0, "a whole number >= 1, got 0"),
        (Structural(default=4), 10**30, "a whole number <= 1,000,000,000, got 1000"),
        (Structural(default=4), 2.0, "a whole number >= 1, got 2.0"),
        (Structural(default="a", choices=("a", "bee")), "be", "did you mean 'bee'"),
        (Structural(default=True, choices=(True, False)), 1, "unknown value of it"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_the_rule(
    declared: Numeric | Structural, value: object, rule: str
) -> None:
    with pytest.raises(RequestError, match=rule):
        declared.validate("it", value)


def test_a_huge_number_is_a_number_or_refused() -> None:
    assert Numeric().validate("it", 10**300) == 1e300
    with pytest.raises(RequestError, match="takes a number"):
        Numeric().validate("it", 10**400)


def test_what_a_technique_got_later_is_not_searched_by_default() -> None:
    """Otherwise the identity, and the sampler's draws, of stored studies would change."""
    late = [one for technique in discover().values() for one in technique.hyperparameters.values() if one.later]
    assert late
    for one in late:
        assert one.fixed is not None
        assert not one.searched if isinstance(one, Structural) else one.low is None
