"""The recipes, one TOML file per study; `search.recipe` has their schema."""
