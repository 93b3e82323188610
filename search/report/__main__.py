"""`regsearch report STUDY`: a study's record as one page that opens offline, and its figures as files."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import Json, application, command, flag, option
from search.cli.stored import Stored, on_stored_study

app = application()


@command(app)
@on_stored_study
def report(
    stored: Stored,
    output: Annotated[Path | None, option("The folder to write.", metavar="FOLDER", default="report-STUDY")] = None,
    training: Annotated[
        bool | None,
        option(
            "Whether to train networks again, for their weights and the test split.",
            None,
            "--training/--no-training",
            metavar="",
            default="only if quick",
        ),
    ] = None,
    open_: Annotated[bool, flag("Open the page in a browser.", "--open")] = False,
    json_: Json = False,
) -> None:
    """Write a page with a study's figures and conclusions, and save each figure as PNG and SVG.

    If the best trial's networks are trained again, they are also tested, and the study counts that reading of the test
    split. An earlier report in the folder is replaced when the new one is complete; other files there are kept. A study
    with fewer than two complete trials gets a page that says so.
    """
    with opening(stored["study"]):
        from search.api import load_study
        from search.report import build

        study = load_study(**stored)
    result = build.write(study, output, training=training)
    print(json.dumps(build.outcome(study, result), allow_nan=False) if json_ else result)
    if open_:
        webbrowser.open(result.page.absolute().as_uri())


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
