"""The definition of a study: its TOML file, its techniques, and the hyperparameters that it fixes and searches."""

from search.recipe.recipe import Recipe, packaged

__all__ = ["Recipe", "packaged"]
