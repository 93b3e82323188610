"""`regsearch data FILE --target COLUMN`: what a table is taken for, before anything is trained on it."""

from __future__ import annotations

import json
from typing import Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import Columns, DataOptions, Json, Target, application, argument, command
from search.cli.values import pairs, parse_values

app = application()


@command(app)
def data(
    file: Annotated[str, argument("The path of a table: .csv, .tsv, .xlsx, .parquet, .feather ...", "FILE")],
    target: Target = None,
    data: DataOptions = None,
    column: Columns = None,
    json_: Json = False,
) -> None:
    """Show what a table is taken for: the kind of each column, what is missing, and what is made of it.

    The card counts the rows of each class, and names columns that nearly predict the target alone, as a column does
    that was made from it. The command trains no network and writes nothing.
    """
    options = {name: parse_values(value) for name, value in pairs("--data", data or ()).items()}
    columns = pairs("--column", column or (), "NAME=KIND")
    with opening(file):
        from search.data.card import describe_data

        card = describe_data(file, target, options, columns)
    print(json.dumps(card.outcome(), allow_nan=False) if json_ else card)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
