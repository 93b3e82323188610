"""`regsearch uncertainty STUDY`: how uncertain a trial's predictions are, by Monte Carlo dropout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import Force, Json, TrialNumber, application, command, option
from search.cli.stored import Stored, on_stored_study
from search.show import figure_file

app = application()


@command(app)
@on_stored_study
def uncertainty(
    stored: Stored,
    trial: TrialNumber = None,
    passes: Annotated[int, option("The number of Monte Carlo passes.")] = 100,
    activation: Annotated[
        str | None, option("Activations to train the trial with instead of its own.", metavar="A,B,C")
    ] = None,
    figure: Annotated[
        Path | None,
        option("A .png or .svg file of the data, the mean and the 95% band, for data with one input.", metavar="FILE"),
    ] = None,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Train a trial again and measure how uncertain its predictions are, by Monte Carlo dropout.

    The predictions are those for the validation rows. The command writes nothing but the figure.
    """
    if figure is not None:
        figure_file.validate_figure_file(figure)

    with opening(stored["study"]):
        from search.api import load_study
        from search.study.retrain import complete_trial
        from search.uncertainty.figure import validate_figure_data

        study = load_study(**stored)
    if figure is not None:
        validate_figure_data(study)
        figure_file.validate_overwrite(figure, [(study.name, complete_trial(study, trial).number)], force=force)
    result = study.uncertainty(trial, passes=passes, activations=activation.split(",") if activation else ())
    if figure is not None:
        result.draw(figure)
        print(f"figure: {figure}", file=sys.stderr)
    print(json.dumps(result.outcome(), allow_nan=False) if json_ else result)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
