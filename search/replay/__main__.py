"""`regsearch replay STUDY TRIAL`: train a trial again, alone, and compare it with its record to the bit."""

from __future__ import annotations

import json
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import Json, application, argument, command
from search.cli.stored import Stored, on_stored_study

app = application()


@command(app)
@on_stored_study
def replay(
    stored: Stored, trial: Annotated[int, argument("The number of the trial.", "TRIAL")], json_: Json = False
) -> int:
    """Train a trial again, alone, and compare every number with its record.

    All its replicates are trained, for as many epochs as the record has. On a CPU of the same type, with the same
    version of torch, every number must be the same to the bit; elsewhere the losses of the first epochs must agree
    within a tolerance. The exit status is 1 if they do not. Nothing is written.
    """
    with opening(stored["study"]):
        from search.api import load_study
        from search.replay.replay import replay

        study = load_study(**stored)
    result = replay(study, trial)
    print(json.dumps(result.outcome(), allow_nan=False) if json_ else result)
    return 0 if result.holds else 1


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
