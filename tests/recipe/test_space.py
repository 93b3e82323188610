"""Tests of the space that words and recipes make: what is refused, and that only a RequestError is ever raised."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.cli.values import pairs, parse_range, parse_value
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import discover, load_technique
from search.recipe.space import Space, grid_values
from search.technique import Numeric, Technique

L2 = discover()["l2"]


def space(*ranges: str, fixed: tuple[str, ...] = (), techniques: tuple[Technique, ...] = (L2,)) -> Space:
    """Return the space of these --space and --set words."""
    searched = {name: parse_range(name, text) for name, text in pairs("--space", ranges).items()}
    values = {name: parse_value(text) for name, text in pairs("--set", fixed).items()}
    recipe = Recipe.parse({"name": "x", "space": searched, "set": values}, "request")
    return Space.resolve(recipe, techniques)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("3", 3), ("3.0", 3.0), ("1e400", math.inf), ("9" * 400, math.inf), ("x", "x")],
)
def test_words_become_values(text: str, value: object) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("l2", "--space takes NAME=VALUE, got 'l2'"),
        ("l2=", "got 'l2='"),
        ("=1:2", "got '=1:2'"),
        ("l2=:", "LOW:HIGH, LOW:HIGH:log or A,B,C"),
        ("l2=1:", "LOW:HIGH, LOW:HIGH:log or A,B,C"),
        ("l2=1:2:3", "LOW:HIGH, LOW:HIGH:log or A,B,C"),
        ("l2=1:2:LOG", "LOW:HIGH, LOW:HIGH:log or A,B,C"),
        ("l2=a:b", "LOW:HIGH, LOW:HIGH:log or A,B,C"),
        ("l2=true:false", "LOW:HIGH, LOW:HIGH:log or A,B,C"),
        ("l2=1:1", "space.l2 needs low < high, got 1:1"),
        ("l2=2:1", "space.l2 needs low < high, got 2:1"),
        ("l2=0:1:log", "space.l2 needs low > 0 on a log scale, got 0:1:log"),
        ("l2=nan:1", "finite number, got nan"),
        ("l2=1:1e400", "finite number, got inf"),
        ("l2=1:" + "9" * 400, "finite number, got inf"),
        ("l2=-1:1", "l2 must be >= 0, got -1"),
        ("lr=-1e308:1e308", "lr must be > 0, got -1e+308"),
        ("l2=1,1.0", "l2 has a choice twice: 1.0, 1.0"),
        ("l2=1,true", "l2 takes a number, got True"),
        ("l2=1,a", "l2 takes a number, got 'a'"),
        ("l2=1,", "l2 takes a number, got ''"),
        ("l2=nan,nan", "l2 takes a number, got nan"),
        ("l2 =1:2", "unknown hyperparameter 'l2 ': did you mean 'l2'?"),
        ("optimizer=1:2", "optimizer takes choices, such as --space optimizer=A,B"),
        ("optimizer=sgd,adm", "unknown value of optimizer 'adm': did you mean 'adam'?"),
        ("activation=relu,relu", "activation has a choice twice: relu, relu"),
        ("hidden=1:2", "hidden takes choices"),
        ("hidden=64,64", "hidden has a choice twice: 64, 64"),
        ("hidden=a,b", "each from 1 to 65536; 0 for none, got 'a'"),
        ("epochs=1.5:3", "epochs takes whole numbers up to 2^53, got the range 1.5:3"),
        ("epochs=1:1e300", "epochs takes whole numbers up to 2^53, got the range 1:1e+300"),
        ("epochs=0:3", "epochs takes a whole number >= 1, got 0"),
        ("momentum=0.5:0.9", "momentum exists only where optimizer is sgd or rmsprop; here optimizer is adam"),
        ("nesterov=true,false", "nesterov exists only where optimizer is sgd"),
    ],
)
def test_a_range_that_cannot_be(word: str, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        space(word)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("lrr=1",), "unknown hyperparameter 'lrr': did you mean 'lr'?"),
        (("lr=nan",), "lr takes a number, got nan"),
        (("lr=" + "9" * 400,), "lr takes a number, got inf"),
        (("lr=0",), "lr must be > 0, got 0"),
        (("lr=true",), "lr takes a number, got True"),
        (("epochs=1.0",), "epochs takes a whole number >= 1, got 1.0"),
        (("epochs=1e400",), "epochs takes a whole number >= 1, got inf"),
        (("hidden=12 8",), "got '12 8'"),
        (("lr=1", "lr=2"), "--set: lr is given twice"),
        (("momentum=0.9",), "momentum exists only where optimizer is sgd"),
        (("optimizer=sgd", "beta1=0.5"), "beta1 exists only where optimizer is adam or adamw; here optimizer is sgd"),
        (("optimizer=sgd", "nesterov=yes"), "unknown value of nesterov 'yes' (known: False, True)"),
    ],
)
def test_a_value_that_cannot_be(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(RequestError) as caught:
        space(fixed=words)
    assert says in str(caught.value)


def test_ranges_as_a_person_writes_them() -> None:
    found = space("hidden=64,128x128", "epochs=1:3", "batch_size=16:64:log", "lr=1e-4:1e-1:log", "l2=0,1e-3")
    assert found.searched == {
        "hidden": CategoricalDistribution(("64", "128x128")),
        "epochs": IntDistribution(1, 3),
        "batch_size": IntDistribution(16, 64, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "l2": CategoricalDistribution((0.0, 1e-3)),
    }
    assert space(fixed=("hidden=64, 32",)).fixed["hidden"] == "64x32"
    nested = space(fixed=("optimizer=sgd", "momentum=0.9", "nesterov=true"))
    assert (nested.fixed["momentum"], nested.fixed["nesterov"]) == (0.9, True)


def test_a_conditional_grid_is_a_union_of_branches() -> None:
    found = space("optimizer=sgd,adam", "momentum=0.5:0.9", fixed=("l2=0",))
    assert found.conditional
    cells = list(found.cells())
    assert {"optimizer": "adam"} in cells
    assert [cell["momentum"] for cell in cells if cell["optimizer"] == "sgd"] == grid_values(
        FloatDistribution(0.5, 0.9), 16
    )
    assert len(cells) == found.cell_count() == 17


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("1 / 0", "failed when it was run: ZeroDivisionError"),
        ("syntax error", "failed when it was run: SyntaxError"),
        ("", "defines no `technique = Technique(...)`"),
        ("technique = T(name='z', hyperparameters={'lr': N(low=0, high=1)})", "'z' declares 'lr'"),
        ("technique = T(name='z', hyperparameters={'momentum': N(low=0, high=1)})", "'z' declares 'momentum'"),
        ("technique = T(name='z', hyperparameters={'l2': N(low=0, high=1)})", "both own hyperparameter 'l2'"),
        ("technique = T(name='z', hyperparameters={'q': N(low=2, high=1)})", "range of q: needs low < high, got 2:1"),
        ("technique = T(name='z', hyperparameters={'q': N(low=0, high=1, minimum=5)})", "q must be >= 5, got 0"),
        ("technique = T(name='z', hyperparameters={'q': N()})", "q has no default"),
        ("technique = T(name='z', hyperparameters={'a b': N(low=0, high=1)})", "'a b', which is not a name"),
        ("technique = T(name='z', hyperparameters={'q': N(neutral=0, when={'lrr': (1,)})})", "did you mean 'lr'?"),
    ],
)
def test_a_technique_that_does_not_fit(tmp_path: Path, source: str, says: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"from search.technique import Numeric as N, Technique as T\n{source}\n")
    with pytest.raises(RequestError) as caught:
        space(techniques=(L2, load_technique(path)))
    assert says in str(caught.value)


def test_a_technique_given_twice_is_refused() -> None:
    mine = Technique(name="z", hyperparameters={"q": Numeric(low=0.0, high=1.0)})
    with pytest.raises(RequestError, match="both own hyperparameter 'q'"):
        space(techniques=(mine, mine))


_names = st.sampled_from(
    ["l2", "lr", "hidden", "epochs", "batch_size", "optimizer", "activation", "nesterov", "lrr", ""]
)
_numbers = st.integers().map(str) | st.floats().map(str) | st.sampled_from(["1e400", "-0", "1_0", "", "9" * 400])
_words = _numbers | st.sampled_from(["sgd", "true", "64x64", "relu", "off"]) | st.text(max_size=5)
_ranges = (
    st.tuples(_numbers, _numbers).map(":".join)
    | st.tuples(_numbers, _numbers, st.sampled_from(["log", "", "lin"])).map(":".join)
    | st.tuples(_words, _numbers, _numbers).map(lambda parts: f"{parts[0]},{parts[1]}:{parts[2]}")
    | st.lists(_words, max_size=4).map(",".join)
)


@settings(max_examples=300, deadline=None)
@given(
    ranges=st.lists(st.tuples(_names, _ranges).map("=".join) | st.text(max_size=8), max_size=3),
    fixed=st.lists(st.tuples(_names, _words).map("=".join) | st.text(max_size=8), max_size=3),
)
def test_whatever_the_words_are_they_make_a_space_or_a_request_error(ranges: list[str], fixed: list[str]) -> None:
    try:
        found = space(*ranges, fixed=tuple(fixed))
    except RequestError:
        return
    for distribution in found.searched.values():
        for value in grid_values(distribution, 3):
            if isinstance(distribution, CategoricalDistribution):
                assert value in distribution.choices
            else:
                assert distribution.low <= value <= distribution.high
