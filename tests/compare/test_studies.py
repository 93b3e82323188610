"""Which studies can be compared: those on the same rows, by replicates that no search has used."""

from __future__ import annotations

import pytest

from search import RequestError, Study
from search.compare.studies import FRESH, validate_studies
from search.recipe import Recipe

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_data_that_a_technique_scales_its_own_way_are_the_same_rows() -> None:
    """But rows that differ are told, where all that a recipe says of them is the same."""
    plain, moved = (Study(name, tracking_uri=None, device="cpu") for name in ("l2", "augmentation"))
    assert plain.data.fingerprint() != moved.data.fingerprint()
    validate_studies([plain, moved], 2)
    moved.data.x_test[7] += 0.5
    with pytest.raises(
        RequestError, match=r"'l2-digits' and 'augmentation-digits' differ in x_test \(data [0-9a-f]{16} "
    ):
        validate_studies([plain, moved], 2)


def test_no_search_can_have_used_these_replicates() -> None:
    with pytest.raises(ValueError, match="replicates"):
        Recipe.parse({"name": "x", "replicates": FRESH + 1}, "x")
