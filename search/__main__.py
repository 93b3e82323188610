"""`regsearch COMMAND`, or `python -m search COMMAND`: the program with all commands, and its own command `list`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, ClassVar

import typer

from search.cli.command import leave, serve
from search.cli.group import LazyGroup
from search.cli.options import Json, Storage, application, command, flag
from search.storage.database import DEFAULT_STORAGE

_DATA, _STUDIES, _ANSWERS, _RECORDS = "Look at data", "Run a study", "Ask about a study", "Look after records"


class Commands(LazyGroup):
    """The commands of regsearch."""

    modules: ClassVar[Mapping[str, tuple[str, str]]] = {
        "run": ("search.run", _STUDIES),
        "report": ("search.report.__main__", _ANSWERS),
        "compare": ("search.compare.__main__", _ANSWERS),
        "ablate": ("search.ablate.__main__", _ANSWERS),
        "replay": ("search.replay.__main__", _ANSWERS),
        "export": ("search.export.__main__", _ANSWERS),
        "predict": ("search.predict.__main__", _ANSWERS),
        "uncertainty": ("search.uncertainty.__main__", _ANSWERS),
        "data": ("search.data.__main__", _DATA),
        "ui": ("search.ui", _ANSWERS),
        "sync": ("search.sync", _RECORDS),
    }


app = application(Commands)


@app.callback(invoke_without_command=True)
def regsearch(
    context: typer.Context,
    version_: Annotated[bool, flag("Show the version and exit.", "--version")] = False,
) -> None:
    """Search the hyperparameters of MLPs: which regulariser, how strong, and is the difference real?"""
    if version_:
        print(version("regsearch"))
    elif context.invoked_subcommand is None:
        context.get_help()


@command(app, "list", _RECORDS)
def list_(storage: Storage = DEFAULT_STORAGE, json_: Json = False) -> None:
    """List the recipes, the techniques, the metrics, the data sets, and the studies of a storage."""
    from search.study.catalogue import catalogue

    result = catalogue(storage)
    print(json.dumps(result.outcome(), allow_nan=False) if json_ else result)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    words = sys.argv[1:] if words is None else words
    if "_REGSEARCH_COMPLETE" in os.environ or any(
        word in ("--install-completion", "--show-completion") for word in words[:1]
    ):
        # Typer ends the process itself.
        app(words, prog_name="regsearch")
    return serve(app, words)


def script() -> None:
    """Run the console script `regsearch`."""
    leave(main())


if __name__ == "__main__":
    script()
