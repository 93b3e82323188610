"""Tests of recipes: every fault in one is a RequestError that names field, value and rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.errors import EnvironmentFault, RequestError, clip, unknown
from search.recipe import Recipe, packaged
from search.recipe.schema import Range


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(text: str | bytes, name: str = "mine.toml") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError) as caught:
        Recipe.load(name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml", "mine.toml is not TOML: Expected '='"),
        (b"\xff\xfe\x00", "'mine.toml' is not a text file in UTF-8"),
        (b"\x00" * 9, "mine.toml is not TOML"),
        ("a=" + "[" * 5000, "mine.toml is not TOML"),
        ("[set]\nlr=" + "9" * 5000, "mine.toml is not TOML"),
        ("#" * 2**21, "longer than 1,048,576 bytes"),
        ("trails = 3", "unknown field 'trails': did you mean 'trials'?"),
        ("[pruner]\nintervall = 3", "unknown field of pruner 'intervall': did you mean 'interval'?"),
        ("[data]\ndatset = 'x'", "unknown field of data 'datset': did you mean 'dataset'?"),
        ("[space.lr]\nlow=1\nhigh=2\nhig=3", "unknown field of space.lr 'hig': did you mean 'high'?"),
        ("trials = 0", "trials: input should be greater than or equal to 1, got 0"),
        ("trials = 'x'", "trials: input should be a valid integer, got 'x'"),
        ("trials = true", "trials: input should be a valid integer, got True"),
        ("trials = 1.5", "trials: input should be a valid integer, got 1.5"),
        ("sampler = 'tpr'", "unknown sampler 'tpr': did you mean 'tpe'?"),
        ("sampler = 3", "sampler: input should be 'tpe', 'random'"),
        ("pruner = 'none'", "pruner takes a table, got 'none'"),
        ("[pruner]\ninterval = 0", "pruner.interval: input should be greater than or equal to 1, got 0"),
        ("techniques = 'l2'", "techniques takes a list, got 'l2'"),
        ("techniques = ['l2', 'l2']", "techniques names a technique twice"),
        ("name = ''", "name: string should have at least 1 character"),
        ("set = [1]", "set takes a table, got [1]"),
        ("[set]\nlr = [1]", "set.lr takes a number, a word, true or false, got [1]"),
        ("[set]\nlr = 2020-01-01", "set.lr takes a number, a word, true or false"),
        ("[set]\nlr = " + "9" * 400, "set.lr takes numbers of at most 64 bits"),
        ("[space]\nlr = 1", "space.lr takes a table, got 1"),
        ("[space.lr]\nlow = 1", "space.lr needs low and high, or choices"),
        ("[space.lr]\nlow = 2\nhigh = 2", "space.lr needs low < high, got 2:2"),
        ("[space.lr]\nlow = 0\nhigh = 2\nlog = true", "space.lr needs low > 0 on a log scale, got 0:2:log"),
        ("[space.lr]\nlow = nan\nhigh = 2", "space.lr.low: input should be a finite number, got nan"),
        ("[space.lr]\nlow = 0\nhigh = inf", "space.lr.high: input should be a finite number, got inf"),
        ("[space.lr]\nlow = 1\nhigh = 2\nchoices = [1]", "space.lr takes either choices or low and high, not both"),
        ("[space.lr]\nchoices = 'ab'", "space.lr.choices takes a list, got 'ab'"),
        ("[space.lr]\nchoices = [1, [2]]", "space.lr.choices.1 takes a number, a word, true or false, got [2]"),
        ("[space.int]\nlow = 'a'\nhigh = 2", "space.int.low: input should be a valid number, got 'a'"),
        ("watch = ['tests']", "unknown watch 'tests': did you mean 'test'?"),
        ("watch = ['test', 'test']", "watch names a metric twice"),
        ("[data]\nvalidation = 'half'", "unknown data.validation 'half': did you mean 'half-of-test'?"),
        ("[settings]\nset = {}", "settings takes a list"),
        ("settings = [{}, 3]", "setting 2 takes a table, got 3"),
        ("[[settings]]\nnmae = 'x'", "unknown field of setting 1 'nmae': did you mean 'name'?"),
        (
            "[[settings]]\n[[settings]]\nset = { lr = [1] }",
            "setting 2.set.lr takes a number, a word, true or false, got [1]",
        ),
        (
            "sampler = 'grid'\n[[settings]]\n[space.lr]\nlow = 1\nhigh = 2",
            "settings and a grid of lr cannot be combined: with another sampler, such as tpe, the",
        ),
        (
            "[[settings]]\npublished = { final_val_los = 1.0 }",
            "'final_val_los' is neither best_METRIC nor final_METRIC of",
        ),
        ("[[settings]]\npublished = { val_loss = 1.0 }", "'val_loss' is neither best_METRIC nor final_METRIC of"),
        (
            "[[settings]]\npublished = { final_val_loss = nan }",
            "setting 1.published.final_val_loss: input should be a finite",
        ),
        ("[[rows]]\nset = { lr = 0.1 }", "mine.toml: [[rows]] is now called [[settings]]: rename it"),
        (
            "watch = ['weight_means']\n[[settings]]\n[[settings]]\npublished = { best_test_rmse = 1.0 }",
            "setting 2 publishes best_test_rmse, which needs watch = ['test']",
        ),
    ],
    ids=range(48),
)
def test_what_is_wrong_is_named(text: str | bytes, says: str) -> None:
    said = refusal(text)
    assert says in said
    assert len(said) < 400
    assert "mine.toml" in said


def test_a_file_that_is_not_there() -> None:
    for name in ("nope.toml", "\x00.toml", "x" * 5000 + ".toml", "no/such/folder.toml"):
        with pytest.raises(RequestError, match="there is no recipe file") as caught:
            Recipe.load(name)
        assert len(str(caught.value)) < 400
    with pytest.raises(RequestError, match="did you mean 'l2'"):
        Recipe.load("l2.toml")
    Path("dropout.toml").touch()
    with pytest.raises(RequestError, match=r"did you mean 'dropout\.toml'"):
        Recipe.load("dropuot.toml")


def test_a_file_that_is_none() -> None:
    Path("folder.toml").mkdir()
    with pytest.raises(RequestError, match="is a folder"):
        Recipe.load("folder.toml")
    # This device never ends.
    Path("zero.toml").symlink_to("/dev/zero")
    with pytest.raises(RequestError, match="there is no recipe file"):
        Recipe.load("zero.toml")
    # Not even root may read this file.
    Path("memory.toml").symlink_to("/proc/self/mem")
    with pytest.raises(EnvironmentFault, match=r"cannot read recipe 'memory\.toml': Input/output error"):
        Recipe.load("memory.toml")


def test_an_empty_file_and_a_byte_order_mark_are_a_recipe() -> None:
    Path("plain.toml").write_bytes(b"")
    assert Recipe.load("plain.toml") == Recipe(name="plain")
    Path("marked.toml").write_bytes(b"\xef\xbb\xbftrials = 3\n")
    assert Recipe.load("./marked.toml").trials == 3


def test_fixing_takes_a_name_out_of_the_space_and_the_other_way_round() -> None:
    recipe = Recipe.load("l2").but("request", set={"l2": 0.5}, space={"epochs": {"low": 1, "high": 9}})
    assert recipe.set == {"l2": 0.5}
    assert recipe.space == {"epochs": Range(low=1, high=9)}


def test_the_nearest_name_is_found_whatever_its_case_and_however_long_the_value() -> None:
    assert "did you mean 'digits'" in str(unknown("dataset", " DIGTS", ["digits", "wine"]))
    assert "did you mean" not in str(unknown("dataset", "zzz", ["digits", "wine"]))
    assert len(str(unknown("dataset", "x" * 10**7, ["digits"]))) < 200
    assert clip("x" * 80) == "x" * 80
    assert clip("x" * 81).endswith("... (81 characters)")


def test_a_recipe_in_a_subfolder_is_named_by_its_path() -> None:
    name = "notebooks/mnist-momentum"
    assert {"l2", name} <= set(packaged())
    Path("notebooks").mkdir()
    Path(name).write_text("trials = 3\n")
    Path(f"{name}.toml").write_text("trials = 4\n")
    recipe = Recipe.load(name)
    assert (recipe.name, recipe.data.dataset) == (name, "mnist")
    assert Recipe.load(f"{name}.toml").trials == 4
    assert Recipe.load(f"./{name}").trials == 3
    with pytest.raises(RequestError, match=f"unknown study 'notebooks/mnist-momentun': did you mean '{name}'"):
        Recipe.load("notebooks/mnist-momentun")


@pytest.mark.parametrize("study", ["l2+notebooks/mnist-momentum", "notebooks/mnist-momentum+l2"])
def test_a_list_of_settings_is_not_joined_with_others(study: str) -> None:
    with pytest.raises(RequestError, match="'notebooks/mnist-momentum' lists its settings, so it cannot be joined"):
        Recipe.load(study)


def test_a_technique_of_two_joined_studies_counts_once() -> None:
    assert Recipe.load("dropout+dropout_variance").techniques == ("dropout", "dropout_variance")
    assert Recipe.load("dropout_variance+l2+dropout").techniques == ("dropout", "dropout_variance", "l2")


_leaf = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5)
_any = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
_range = st.dictionaries(st.sampled_from(["low", "high", "log", "choices", "points"]), _any)
_fields: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(Recipe.model_fields, _any)
_fields |= {"space": _any | st.dictionaries(st.sampled_from(["lr", "int", "l2"]), _range)}
_setting = st.dictionaries(
    st.sampled_from(["name", "set", "published"]), _any | st.dictionaries(st.text(max_size=4), _leaf)
)
_fields |= {"settings": _any | st.lists(_setting, max_size=3)}
_fields |= {"set": _any | st.dictionaries(st.text(max_size=4), _leaf)}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.fixed_dictionaries({}, optional=_fields))
def test_whatever_a_recipe_holds_it_is_one_or_a_request_error(fields: dict[str, Any]) -> None:
    try:
        recipe = Recipe.parse({"name": "x"} | fields, "here")
    except RequestError as refusal:
        said = str(refusal)
    else:
        assert Recipe.parse(recipe.model_dump(exclude_unset=True), "again") == recipe
        return
    assert said.startswith("here: ")
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 8),
        ({"sampler": "gp"}, 8),
        ({"sampler": "random"}, 32),
        ({"sampler": "grid"}, 32),
        ({"ask_batch": 5}, 5),
        ({"sampler": "random", "ask_batch": 5}, 5),
        ({"settings": [{"set": {"lr": 0.1}}, {"set": {"lr": 0.2}}]}, 2),
    ],
)
def test_the_size_of_a_cohort_follows_from_the_sampler(fields: dict[str, Any], expected: int) -> None:
    recipe = Recipe.parse({"name": "any"} | fields, "test")
    assert recipe.ask_batch == expected
    # A default is not kept when the sampler changes: each sampler has its own.
    other = recipe.but("test", sampler="grid" if "settings" in fields else "qmc")
    assert other.ask_batch == (5 if "ask_batch" in fields else 2 if "settings" in fields else 32)


@pytest.mark.parametrize("fields", [{}, {"replicates": 3}, {"objective": ["val_loss", "sparsity"]}])
def test_a_recipe_with_all_its_fields_is_the_same_recipe(fields: dict[str, Any]) -> None:
    """A study stores every field, also those that nobody gave."""
    recipe = Recipe.parse({"name": "x", **fields}, "test")
    assert vars(Recipe.parse(recipe.model_dump(mode="json"), "stored")) == vars(recipe)


def test_files_of_parts_are_found_from_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("own/study.toml").write_text('[data]\ndataset = "a.csv"\ntest = "b.csv"\nval = 0.1\ngroup = "g"\n')
    data = Recipe.load("own/study.toml").data
    assert (data.dataset, data.test, data.val, data.group) == ("own/a.csv", "own/b.csv", 0.1, "g")
    assert Recipe.load("l2").but("l2", data={"test": "b.csv"}).data.test == "b.csv"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"test": True}, r"data\.test takes a file or a fraction of all rows, got True"),
        ({"folds": -1}, r"data\.folds: .*greater than or equal to 0, got -1"),
        ({"group": ""}, r"data\.group: .*at least 1 character"),
    ],
)
def test_a_wrong_rule_of_the_split_is_refused(data: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Recipe.load("l2").but("l2", data=data)
    with pytest.raises(RequestError, match="needs test rows, but test = 0"):
        Recipe.load("l2").but("l2", data={"test": 0}, watch=["test"])
