"""A figure is overwritten by one of the same trials only, unless that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from search.errors import RequestError
from search.show import figure_file

TRIALS = [("naïve-digits", 3), ("l2-digits", 0)]


@pytest.mark.parametrize("name", ["all.png", "all.SVG"])
def test_a_figure_of_the_same_trials_may_be_written_again(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    figure_file.validate_overwrite(file, TRIALS, force=False)
    figure_file.save(Figure(), file, TRIALS)
    figure_file.validate_overwrite(file, TRIALS, force=False)
    for others in (TRIALS[:1], [*TRIALS[:1], ("l2-digits", 1)]):
        with pytest.raises(RequestError, match=r"all.* already exists .* --figure, or overwrite it with --force"):
            figure_file.validate_overwrite(file, others, force=False)
        figure_file.validate_overwrite(file, others, force=True)


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"my holiday")
    with pytest.raises(RequestError, match="was not written by this version of regsearch: give another --figure"):
        figure_file.validate_overwrite(tmp_path / "mine.png", TRIALS, force=False)
