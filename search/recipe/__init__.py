"""Recipes: the TOML file that defines a study, its techniques, and the hyperparameters that it fixes and searches."""

from search.recipe.files import packaged
from search.recipe.recipe import Recipe

__all__ = ["Recipe", "packaged"]
