"""Calibration by hand: bins whose rows are counted on the fingers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search.uncertainty import calibration


def test_calibration_error_of_known_bins() -> None:
    """Two rows at 0.9 of which one is right, two at 0.7 both right, one at 0.6 wrong, in ten bins."""
    confidence = np.array([0.9, 0.9, 0.7, 0.7, 0.6])
    probabilities = np.stack([confidence, 1 - confidence], 1)
    labels = np.array([0, 1, 0, 0, 1])
    by_hand = (2 * abs(0.5 - 0.9) + 2 * abs(1 - 0.7) + 1 * abs(0 - 0.6)) / 5
    assert calibration.calibration_error(probabilities, labels, bins=10) == pytest.approx(by_hand)
    # In one bin the errors of one sign make up for those of the other.
    assert calibration.calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(3 / 5 - 3.8 / 5))
    assert calibration.accuracy(probabilities, labels) == 3 / 5


def test_a_bin_holds_its_upper_end_and_certainty_has_a_bin() -> None:
    """Of two bins, 0.5 is in the lower one, and 1 in the upper one."""
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.6, 0.4]])
    labels = np.array([1, 0, 0])
    by_hand = (abs(0 - 0.5) + abs(2 - 1.6)) / 3
    assert calibration.calibration_error(probabilities, labels, bins=2) == pytest.approx(by_hand)


def test_the_default_is_fifteen_bins() -> None:
    """At 0.53 and 0.54 one is below and one above 8 / 15."""
    probabilities = np.array([[0.53, 0.47], [0.54, 0.46]])
    labels = np.array([0, 1])
    assert calibration.calibration_error(probabilities, labels) == pytest.approx((0.47 + 0.54) / 2)
    assert calibration.calibration_error(probabilities, labels, bins=2) == pytest.approx(abs(1 - 1.07) / 2)


def test_entropy_and_log_loss() -> None:
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert calibration.entropy(probabilities).tolist() == pytest.approx([math.log(2), 0.0])
    assert calibration.log_loss(probabilities, np.array([1, 0])) == pytest.approx(math.log(2) / 2)
    assert calibration.log_loss(probabilities, np.array([1, 1])) == math.inf


def test_coverage_and_rmse() -> None:
    """Bounds are 1.96 deviations away, and belong to the interval."""
    truth = np.array([[0.0, 1.0], [2.0, 10.0]])
    mean, deviation = np.array([[1.96, 1.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 5.0]])
    assert calibration.coverage(truth, mean, deviation) == 2 / 4
    assert calibration.rmse(truth, mean) == pytest.approx(math.sqrt((1.96**2 + 4 + 100) / 4))
