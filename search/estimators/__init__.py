"""A search as an estimator of scikit-learn: `MLPSearchClassifier` and `MLPSearchRegressor`.

fit(X, y)  --inputs: frame-->  searching: study, run, model  --results: cv_results_-->  predict(X)
"""

from search.estimators.mlp_search import MLPSearchClassifier, MLPSearchRegressor

__all__ = ["MLPSearchClassifier", "MLPSearchRegressor"]
