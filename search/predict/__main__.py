"""`regsearch predict STUDY|MODEL.safetensors NEW`: the predictions for the rows of a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from search.cli.command import leave, serve
from search.cli.opening import opening
from search.cli.options import (
    Force,
    Json,
    OneStandardError,
    ThresholdMetric,
    TrialNumber,
    application,
    argument,
    command,
    option,
)
from search.cli.stored import Stored, is_model_file, on_stored_study_or_model
from search.errors import RequestError, counted
from search.train.metrics.decided import decided_metric

if TYPE_CHECKING:
    from search.predict.predictor import Predictor

app = application()


@command(app)
@on_stored_study_or_model
def predict(
    stored: Stored,
    rows: Annotated[
        Path,
        argument(
            "The rows: a table (.csv, .xlsx, .parquet ...) with the columns of the training data, or an .npz.", "NEW"
        ),
    ],
    output: Annotated[Path, option("The file to write, a .csv or a .parquet.", metavar="FILE")] = Path(
        "predictions.csv"
    ),
    keep_columns: Annotated[
        str | None,
        option(
            "Columns of the rows to write before the predictions, or all.",
            metavar="A,B,C",
            default="row, the number of the row from 1",
        ),
    ] = None,
    interval: Annotated[
        float | None,
        option(
            "Add intervals that hold the true value, or sets that hold the true class, for this share of new rows.",
            metavar="SHARE",
        ),
    ] = None,
    threshold: ThresholdMetric = None,
    trial: TrialNumber = None,
    one_se: OneStandardError = False,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Predict the rows of a file by a trial of a study, which is trained again, or by an exported network.

    A classification writes the class and a probability for each class, a regression the value in the units of the data.
    """
    if one_se and trial is not None:
        raise RequestError(f"give either --trial {trial} or --one-se, not both")
    if threshold is not None:
        decided_metric(threshold)
    with opening(stored["study"]):
        from search.predict import conformal, new_rows
        from search.predict import output as writing

        writing.validate_output(output, rows, force=force)
        if is_model_file(stored["study"]):
            predictor, study = _of_file(stored["study"], trial, one_se=one_se, threshold=threshold), None
            wanted = predictor.wanted
        else:
            from search.api import load_study

            predictor, study = None, load_study(**stored)
            wanted = new_rows.Wanted.by_data(study.name, study.data)
            if interval is not None:
                conformal.rank(len(study.data.y_val), interval)
        # Before a trial is trained again, everything that can be wrong with the rows is known.
        new = new_rows.read(rows, wanted)
        kept = writing.columns_to_keep(keep_columns, new.table, wanted.predicted(intervals=interval is not None))
    if predictor is None:
        assert study is not None
        predictor = study.predictor(trial, one_se=one_se, threshold=threshold)
    predictions = predictor.predictions(new, interval=interval)
    writing.write(predictions, output, kept)
    meta = predictor.model.meta
    if json_:
        outcome = {"study": meta.study, "trial": meta.trial, "rows": len(predictions.frame), "file": str(output)}
        print(json.dumps(outcome | {"interval": interval, "notes": predictions.notes}))
        return
    for note in predictions.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{output}: {counted(len(predictions.frame), 'row')} predicted by {meta.title}")


def _of_file(file: str, trial: int | None, *, one_se: bool, threshold: str | None) -> Predictor:
    """Read a model file, which holds the network of one trial."""
    from search.predict.predictor import load

    if trial is not None or one_se:
        given = "--one-se" if one_se else f"--trial {trial}"
        raise RequestError(f"{given} chooses a trial of a study, but {file} is a model file, which holds one network")
    if threshold is not None:
        raise RequestError(
            f"--threshold {threshold} is chosen on validation rows, which the model file {file} does not hold:"
            " export it again with --threshold"
        )
    return load(file)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return serve(app, words)


if __name__ == "__main__":
    leave(main())
