"""`MLPSearchClassifier` and `MLPSearchRegressor`, which follow the conventions of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from search.data import headers
from search.data.memory import Memory
from search.errors import counted
from search.estimators import inputs
from search.estimators.searching import search
from search.predict import new_rows
from search.predict.predictor import Predictor


class _MLPSearch(BaseEstimator):
    """What both estimators share.

    `fit` searches the hyperparameters of a recipe on a split, or on folds, of the rows that it is given, and trains the
    chosen setting. Text, dates and missing cells in a data frame become inputs as in a table.

    Args:
        recipe: the name of a recipe, the path of one, or a list of techniques, such as ``["l2", "dropout"]``.
        trials: the number of trials.
        until: the share of the best value below which what is left to gain ends the search before all trials are
            trained, such as 0.01 or "1%" (`search.choose.until`); by default the recipe's.
        epochs, hidden: the epochs of a trial and the widths of the hidden layers; by default the recipe's.
        objective: the metric to optimise, such as "val_roc_auc"; by default the validation loss.
        folds: the folds of a cross-validation; 0 for one split.
        validation_fraction: the share of rows that validates without folds.
        refit: whether the chosen setting trains on all rows at the end.
        ensemble: the number of choices for an ensemble of the best networks; 1 for a single network.
        timeout: the seconds after which the search stops.
        set, space: hyperparameters to fix, and ranges to search, as for `search.Study`.
        one_of: groups of techniques of which each trial uses one: ``{"augment": ["none", "mixup", "cutmix"]}``.
        enqueue: hyperparameters of the first trials, before all that the sampler draws: ``[{"l2": 1e-3}]``.
        constraints: what a trial must meet to be chosen, such as ``["parameters < 100000"]``.
        sampler, pruner: those of Optuna or of this package by name; by default the recipe's.
        device: "auto", "cpu", "cuda", or one of several GPUs, such as "cuda:1".
        random_state: the seed of the split, the search and the training.
        storage: the URL of an Optuna database that keeps the study; by default nothing is kept.
        verbose: 0 for no output, 1 for notes and progress.

    Attributes:
        best_params_: the hyperparameters of the chosen trial, the best of those that meet all constraints.
        best_score_: its value of the objective; as in scikit-learn, larger is better, so a loss is negative.
        cv_results_: a dict of arrays with a row for each trial, as in scikit-learn's searches. With constraints,
            ``violates`` names those that a trial does not meet.
        model_: the trained network, or ensemble, with its preprocessing.
        notes_: what was decided about the data.
        n_features_in_, feature_names_in_: the columns of X.
    """

    _task = "regression"

    def __init__(
        self,
        recipe: str | Path | Sequence[str] = "l2",
        *,
        trials: int = 32,
        until: float | str | None = None,
        epochs: int | None = None,
        hidden: int | str | Sequence[int] | None = None,
        objective: str | Sequence[str] | None = None,
        folds: int = 0,
        validation_fraction: float = 0.2,
        refit: bool = True,
        ensemble: int = 1,
        timeout: float | None = None,
        set: Mapping[str, Any] | None = None,
        space: Mapping[str, Any] | None = None,
        one_of: Mapping[str, Sequence[str]] | None = None,
        enqueue: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        constraints: str | Sequence[str] | None = None,
        sampler: str | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        storage: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.recipe = recipe
        self.trials = trials
        self.until = until
        self.epochs = epochs
        self.hidden = hidden
        self.objective = objective
        self.folds = folds
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.ensemble = ensemble
        self.timeout = timeout
        self.set = set
        self.space = space
        self.one_of = one_of
        self.enqueue = enqueue
        self.constraints = constraints
        self.sampler = sampler
        self.pruner = pruner
        self.device = device
        self.random_state = random_state
        self.storage = storage
        self.verbose = verbose

    def _search(
        self,
        X: Any,
        frame: pd.DataFrame,
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        groups: NDArray[np.int64] | None,
        classes: tuple[str, ...] = (),
    ) -> Self:
        """Search and train.

        Args:
            X: the features as they were given.
            frame: the features as a frame, without the rows of weight 0.
            y: class numbers ``(rows,)``, or numbers ``(rows,)`` or ``rows x outputs``, of the same rows.
            weights, groups: the weights and the groups of the same rows.
            classes: the names of the classes.
        """
        targets = y[:, None] if y.ndim == 1 else y
        beside = [f"target {number + 1}" for number in range(targets.shape[1])] if targets.shape[1] > 1 else ["target"]
        columns = dict(zip(beside, targets.T, strict=True))
        columns |= {} if weights is None else {"sample_weight": weights}
        columns |= {} if groups is None else {"groups": groups}
        names = headers.clean([*frame.columns, *columns]).names[len(frame.columns) :]
        own = dict(zip(columns, names, strict=True))
        data: dict[str, Any] = {"options": {"task": self._task}, "columns": inputs.kinds_of(X, frame)}
        for role, column in (("weights", "sample_weight"), ("group", "groups")):
            if column in own:
                data[role] = own[column]
        added = pd.DataFrame(dict(zip(names, columns.values(), strict=True)), index=frame.index)
        given = Memory(
            frame=pd.concat([frame, added], axis=1), target_names=tuple(own[name] for name in beside), classes=classes
        )
        found = search(self.get_params(deep=False), given, data, self._seed())
        self.model_ = Predictor(found.model)
        self.best_params_, self.best_index_ = found.params, found.results.best
        self.cv_results_ = found.results.table
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.notes_ = list(found.notes)
        self._columns = tuple(frame.columns)
        return self

    def _seed(self) -> int:
        """Return the seed of a fit: the number itself, so that a study with this seed is the same, or a draw."""
        state = self.random_state
        if isinstance(state, int | np.integer) and not isinstance(state, bool) and state >= 0:
            return int(state)
        return int(check_random_state(state).randint(np.iinfo(np.int32).max))

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities or values, ``rows x outputs``."""
        check_is_fitted(self)
        frame = inputs.frame_of(self, X, reset=False)
        # The order of the columns is that of the fit, whether or not X has names.
        frame.columns = pd.Index(self._columns)
        rows = new_rows.read(frame, self.model_.wanted)
        # In float32, the last bits of a row's prediction would depend on the rows beside it.
        outputs: NDArray[np.float64] = self.model_.outputs(rows.raw.double()).numpy()
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


class MLPSearchClassifier(ClassifierMixin, _MLPSearch):
    __doc__ = (_MLPSearch.__doc__ or "").replace(
        "What both estimators share.",
        "A search for a multilayer perceptron that classifies.",
        1,
    )

    _task = "classification"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Search for the network that predicts y best, and train it.

        Args:
            X: the features, a data frame or an array ``rows x features``.
            y: the classes, ``(rows,)``.
            sample_weight: the weights of the rows, ``(rows,)``; rows of weight 0 are left out.
            groups: the groups of the rows, ``(rows,)``; rows of a group train together, or validate together.

        Raises:
            ValueError: X or y cannot be used, or a parameter is wrong.
        """
        frame = inputs.frame_of(self, X, reset=True)
        y = column_or_1d(inputs.targets_of(self, y, frame), warn=True)
        check_classification_targets(y)
        weights = inputs.weights_of(sample_weight, len(frame))
        numbers = inputs.groups_of(groups, len(frame))
        kept = slice(None) if weights is None else weights > 0
        self.classes_, codes = np.unique(y[kept], return_inverse=True)
        if len(self.classes_) < 2:
            where = "" if weights is None else " among the rows with a sample_weight > 0"
            raise ValueError(f"y has {counted(len(self.classes_), 'class')}{where}: a classifier needs two or more")
        return self._search(
            X,
            frame[kept].reset_index(drop=True),
            codes.astype(np.int64),
            None if weights is None else weights[kept],
            None if numbers is None else numbers[kept],
            tuple(map(str, self.classes_)),
        )

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, ``rows x classes``, in the order of `classes_`."""
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row."""
        numbers = self._outputs(X).argmax(axis=1)
        classes: NDArray[Any] = self.classes_[numbers]
        return classes


class MLPSearchRegressor(RegressorMixin, _MLPSearch):
    __doc__ = (_MLPSearch.__doc__ or "").replace(
        "What both estimators share.", "A search for a multilayer perceptron that predicts numbers.", 1
    )

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Search for the network that predicts y best, and train it.

        Args:
            X: the features, a data frame or an array ``rows x features``.
            y: the numbers, ``(rows,)`` or ``rows x outputs``.
            sample_weight: the weights of the rows, ``(rows,)``; rows of weight 0 are left out.
            groups: the groups of the rows, ``(rows,)``; rows of a group train together, or validate together.

        Raises:
            ValueError: X or y cannot be used, or a parameter is wrong.
        """
        frame = inputs.frame_of(self, X, reset=True)
        y = inputs.targets_of(self, y, frame)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = y.astype(np.float64)
        weights = inputs.weights_of(sample_weight, len(frame))
        numbers = inputs.groups_of(groups, len(frame))
        kept = slice(None) if weights is None else weights > 0
        return self._search(
            X,
            frame[kept].reset_index(drop=True),
            y[kept],
            None if weights is None else weights[kept],
            None if numbers is None else numbers[kept],
        )

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the predicted numbers, ``(rows,)``, or ``rows x outputs`` if there are several."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
