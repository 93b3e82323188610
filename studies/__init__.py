"""The recipes, one TOML file per study, named by their path in this folder: `l2`, `notebooks/mnist-momentum`.

`search.recipe.recipe` and `search.recipe.schema` define the fields of a recipe.
"""
