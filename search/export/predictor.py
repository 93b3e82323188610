"""The predictor of a study: the network of a chosen trial, trained again, with its preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.errors import RequestError
from search.export.one_se import one_standard_error
from search.predict import threshold as deciding
from search.predict.conformal import with_scores
from search.predict.predictor import Predictor
from search.study.model import model_of, own_data
from search.study.retrain import complete_trial, retrained
from search.train.crew import one_thread

if TYPE_CHECKING:
    from search.study.study import BaseStudy


@one_thread()
def predictor(
    study: BaseStudy, trial: int | None = None, *, one_se: bool = False, threshold: str | None = None
) -> Predictor:
    """Train the network of a trial again, and return it with everything that turns new rows into its inputs.

    Args:
        study: the study of the trial.
        trial: the number of the trial; by default the chosen one.
        one_se: whether to take the most strongly regularised trial within one standard error of the best.
        threshold: the metric for which to choose a threshold between two classes (`search.predict.threshold`).

    Raises:
        RequestError: there is no such trial, its network is more than a model file can hold, the trial is chosen in
            two ways, or the threshold cannot be chosen.
    """
    if one_se and trial is not None:
        raise RequestError(f"give either trial {trial} or one_se, not both")
    if threshold is not None:
        deciding.validate(threshold, study.data)
    number = one_standard_error(study) if one_se else complete_trial(study, trial).number
    chosen = retrained(study, number)
    model, data = model_of(study, chosen), own_data(study, chosen)
    if threshold is not None:
        model = deciding.with_threshold(model, data, threshold)
    return Predictor(with_scores(model, data))
