"""`regsearch ablate STUDY`: which techniques mattered, by switching each one around a trial."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import Force, Json, TrialNumber, application, command, option
from search.cli.stored import Stored, on_stored_study
from search.cli.values import pairs as named
from search.cli.values import parse_value
from search.show import figure_file

app = application()


@command(app)
@on_stored_study
def ablate(
    stored: Stored,
    trial: TrialNumber = None,
    replicates: Annotated[
        int | None,
        option(
            "The number of fresh replicates of the trial and of each variant, on every fold if there are folds.",
            default="10; with folds as many as make 10 networks",
        ),
    ] = None,
    pairs: Annotated[
        int,
        option(
            "Switch so many of the strongest techniques in all combinations, to measure their interactions; 0 for none."
        ),
    ] = 3,
    set_: Annotated[
        list[str] | None,
        option(
            "A value at which a technique that the trial does not use is switched on. Repeatable.",
            None,
            "--set",
            metavar="NAME=VALUE",
            default="that of the best trial that uses it",
        ),
    ] = None,
    figure: Annotated[
        Path | None, option("A .png or .svg file of all effects with their intervals.", metavar="FILE")
    ] = None,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Switch each technique off around the best trial, train again, and say which techniques mattered.

    A technique that the trial does not use is switched on. The trial and its variants train on the same fresh
    replicates, and are compared by the study's objective on the validation rows, with a confidence interval for every
    difference. The study keeps the result, and its report shows it.
    """
    if figure is not None:
        figure_file.validate_figure_file(figure)
        figure_file.validate_replaceable(figure, force=force)
    values = {name: parse_value(word) for name, word in named("--set", set_ or ()).items()}

    with opening(stored["study"]):
        from search.api import load_study
        from search.study.retrain import complete_trial

        study = load_study(**stored)
    if figure is not None:
        figure_file.validate_overwrite(figure, [(study.name, complete_trial(study, trial).number)], force=force)
    result = study.ablate(trial, replicates=replicates, pairs=pairs, values=values)
    if figure is not None:
        result.draw(figure)
        print(f"figure: {figure}", file=sys.stderr)
    print(json.dumps(result.outcome(), allow_nan=False) if json_ else result)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
