"""scikit-learn's own checks of an estimator."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from search import MLPSearchClassifier, MLPSearchRegressor

SMALL: dict[str, Any] = {
    "trials": 2,
    "epochs": 10,
    "hidden": 32,
    "set": {"lr": 0.02, "batch_size": 32},
    "device": "cpu",
    "random_state": 0,
}
EXPECTED_TO_FAIL = {
    # As with scikit-learn's own estimators that train on mini-batches or split the rows: five equal rows are split
    # into validation and training rows, and shuffled into batches, where one row of weight 5 is in one place.
    "check_sample_weight_equivalence_on_dense_data": "sample_weight is not equivalent to repeating rows",
}


@parametrize_with_checks(
    [MLPSearchClassifier(**SMALL), MLPSearchRegressor(**SMALL)],
    expected_failed_checks=lambda _: EXPECTED_TO_FAIL,
)
def test_it_is_an_estimator_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)
