"""What the user of a recipe should beware of."""

from __future__ import annotations

from search.recipe.recipe import Recipe


def cautions(recipe: Recipe) -> list[str]:
    """Return a line for each way in which test rows take part in choosing, and for how constraints and pruning meet."""
    warnings = []
    if recipe.constraints and recipe.pruner.name == "none":
        warnings.append(
            "no trial is pruned, because a pruner judges by the objective alone and not by constraints;"
            " --pruner halving prunes all the same"
        )
    elif recipe.constraints:
        warnings.append(
            f"pruner {recipe.pruner.name} judges by the objective alone: it may stop trials that meet all constraints"
            " for others that do not; --pruner none stops none"
        )
    if "test" in recipe.watch:
        warnings.append("the test split is measured every epoch: a choice based on it leaves no unseen rows")
    if recipe.data.validation == "test":
        warnings.append("validation and test are the same rows: the best epoch is chosen on the test rows")
    return warnings
