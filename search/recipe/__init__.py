"""Recipes: the TOML file that defines a study, its techniques, and the hyperparameters that it fixes and searches."""

from search.recipe.recipe import Recipe, packaged

__all__ = ["Recipe", "packaged"]
