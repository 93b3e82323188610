"""The recipes, one TOML file per study, by their path in here: `l2`, `notebooks/mnist-momentum`.

`search.recipe` and `search.recipe.schema` say what a recipe holds.
"""
