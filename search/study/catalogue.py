"""The catalogue: recipes, techniques, metrics, data sets, and the studies of a storage."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna

from search.data import DATASETS
from search.recipe import Recipe, packaged
from search.record.decision import kept
from search.record.feasible import feasible
from search.record.objectives import Objectives
from search.record.own import own_trials
from search.record.stored import stored_recipe
from search.show.sheet import Sheet
from search.show.text import number, plain
from search.storage import database, installed
from search.study.lookup import ours
from search.study.results import by_state, tally
from search.train.metrics.objective import BUILT_IN


@dataclass(frozen=True)
class StoredStudy:
    """A study of a storage, at a glance.

    Attributes:
        name: its name.
        recipe: the name of the recipe that it was made from.
        trials: the number of its trials in each state.
        objective: the first objective.
        best: its best value among the complete trials; None before there is one.
        expected: the value of the chosen trial that is to be expected on new rows; None if the study has not decided.
    """

    name: str
    recipe: str
    trials: dict[str, int]
    objective: str
    best: float | None
    expected: float | None = None


@dataclass(frozen=True)
class Catalogue:
    """Everything that a command can be given by name.

    Attributes:
        recipes: the title of each packaged recipe.
        techniques: what each technique does, in one sentence.
        metrics: what each metric that can be an objective is, and its direction.
        datasets: the names of the data sets.
        studies: the studies of the storage.
        storage: the URL of the storage, without its password.
    """

    recipes: dict[str, str]
    techniques: dict[str, str]
    metrics: dict[str, str]
    datasets: tuple[str, ...]
    studies: tuple[StoredStudy, ...]
    storage: str

    def outcome(self) -> dict[str, Any]:
        """Return the catalogue as JSON can hold it."""
        return {**asdict(self), "studies": [plain(asdict(study)) for study in self.studies]}

    def __repr__(self) -> str:
        parts = [
            Sheet(("recipe", "question"), [*self.recipes.items()], ("recipe", "question"), "recipes"),
            Sheet(
                ("technique", "what it does"), [*self.techniques.items()], ("technique", "what it does"), "techniques"
            ),
            Sheet(("metric", "what it is"), [*self.metrics.items()], ("metric", "what it is"), "metrics"),
            f"data sets: {', '.join(self.datasets)}, or the path of your own data\n",
        ]
        if not self.studies:
            return "\n".join(map(str, [*parts, f"studies: there are none in {self.storage} yet"]))
        rows = [
            (
                one.name,
                one.recipe,
                tally(one.trials) or "none yet",
                one.objective,
                number(one.best),
                number(one.expected),
            )
            for one in self.studies
        ]
        headings = ("study", "recipe", "trials", "objective", "best", "on new rows")
        return "\n".join(map(str, [*parts, Sheet(headings, rows, headings[:4], f"studies in {self.storage}")]))


def catalogue(storage: str = database.DEFAULT_STORAGE) -> Catalogue:
    """Return the catalogue; a storage that does not exist has no studies.

    Raises:
        RequestError, EnvironmentFault: the storage cannot be read.
    """
    recipes = {name: Recipe.load(name).title for name in sorted(packaged())}
    files = sorted((installed.FOLDER / "objectives").glob("[!_]*.py"))
    techniques = {file.stem: _sentence(file) for file in files}
    metrics = {
        name: f"{one.shown}: {one.direction}{f', {one.task}' if one.task else ''}" for name, one in BUILT_IN.items()
    }
    return Catalogue(recipes, techniques, metrics, DATASETS, tuple(_studies(storage)), database.shown(storage))


def _sentence(technique: Path) -> str:
    """Return the first sentence of a technique's file, without its full stop."""
    text = ast.get_docstring(ast.parse(technique.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].removesuffix(".")


def _studies(storage: str) -> Iterator[StoredStudy]:
    if not (stored := ours(storage)):
        return
    with database.faults(storage):
        backend = database.connect(storage)
        for name, attributes in stored.items():
            study = optuna.load_study(study_name=name, storage=backend)
            trials, recipe = own_trials(study), stored_recipe(attributes)
            first = Objectives.stored(recipe, study.directions).first
            values = [trial.values[0] for trial in feasible(trials) if trial.values]
            best = min(values, key=first.loss, default=None)
            decision = kept(attributes, trials)
            expected = None if decision is None or decision.value is None else decision.value.value
            yield StoredStudy(name, recipe.get("name", ""), by_state(trials), first.name, best, expected)
