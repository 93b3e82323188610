"""Write predictions to a file, with columns of the rows that they are for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.data import table_files
from search.errors import EnvironmentFault, RequestError, clip
from search.predict.predictor import Predictions

if TYPE_CHECKING:
    import pandas as pd

_ROW, _ALL = "row", "all"


def validate_output(file: Path, rows: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written, or that holds something other than predictions.

    Args:
        file: the file to write.
        rows: the file of the rows, which is never overwritten.
        force: whether to overwrite a file that holds something else.

    Raises:
        RequestError: the suffix is unknown, the folder does not exist, or the file holds something else.
    """
    if file.suffix.lower() not in (".csv", ".parquet"):
        raise RequestError(f"output takes a name that ends in .csv or .parquet, got {clip(str(file), 200)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"output: the folder {clip(str(file.absolute().parent), 200)!r} does not exist")
    if not file.exists():
        return
    if rows.exists() and file.samefile(rows):
        raise RequestError(f"output: {clip(str(file), 200)} is the file of the rows: give another --output")
    if not force and not _holds_predictions(file):
        raise RequestError(
            f"{clip(str(file), 200)} already exists and does not hold predictions: give another --output, or overwrite"
            " it with --force"
        )


def columns_to_keep(keep: str | None, table: pd.DataFrame, predicted: Sequence[str]) -> list[str]:
    """Return the columns of the rows to write before the predictions.

    Args:
        keep: their names between commas, or "all"; None for none.
        table: the columns of the rows.
        predicted: the names of the columns of predictions.

    Raises:
        RequestError: a column does not exist, or has the name of a prediction.
    """
    if keep is None:
        return []
    names = list(map(str, table.columns))
    if not names:
        raise RequestError(f"keep-columns {clip(keep)!r}: rows in an array have no columns")
    whole = keep == _ALL and _ALL not in names
    chosen = names if whole else [keep] if keep in names else [part.strip() for part in keep.split(",")]
    for name in chosen:
        if name not in names:
            raise table_files.no_column("keep-columns: the table", name, names)
        if name in predicted:
            raise RequestError(
                f"keep-columns: {clip(name)!r} is also the name of a prediction: rename it, or leave it out"
            )
    return list(dict.fromkeys(chosen))


def write(predictions: Predictions, file: Path, keep: Sequence[str] = ()) -> None:
    """Write predictions, a line for each row in the order of the rows.

    Args:
        predictions: the predictions.
        file: the .csv or .parquet to write.
        keep: the columns of the rows to write before the predictions; by default it is `row`, the number of the row
            from 1.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    import pandas as pd

    frame = predictions.frame
    table = predictions.rows.table.rename(columns=str)
    kept = table[list(keep)] if keep else pd.DataFrame({_ROW: range(1, len(frame) + 1)}, index=frame.index)
    written = pd.concat([kept, frame], axis=1)
    try:
        if file.suffix.lower() == ".csv":
            written.to_csv(file, index=False)
        else:
            written.to_parquet(file, index=False)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {clip(str(file), 200)}: {error.strerror or error}") from None


def _holds_predictions(file: Path) -> bool:
    """Return whether the columns of a file are those of predictions, as far as it can be read."""
    try:
        names = list(table_files.cells(file).columns)
    except (RequestError, EnvironmentFault):
        return False
    return any(name == "prediction" or name.startswith("prediction_") for name in map(str, names))
