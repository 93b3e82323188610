"""The folder of a report: named after its study alone, and never half of a report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.small_studies import small

from search import EnvironmentFault
from search.report import build
from search.report.folder import folder_name


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b/c:d", "..", "\N{SNOWMAN}", "x" * 200, "l2+dropout-digits"])
def test_folder_names(name: str) -> None:
    made = folder_name(name)
    assert re.fullmatch(r"report-[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,99}", made)


def test_folders_of_different_studies_are_different() -> None:
    names = ["a b", "a-b", "a/b", "a-b-", "-a-b", "\N{SNOWMAN}", "\N{CLOUD}", "study", "x" * 150, "x" * 151, "x" * 100]
    assert len({folder_name(name) for name in names}) == len(names)
    assert folder_name("l2+dropout-digits") == "report-l2+dropout-digits"


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize(("place", "name"), [(build, "render"), (Path, "write_bytes")])
def test_an_earlier_report_survives_one_that_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, place: object, name: str
) -> None:
    """Wherever it is; a folder that was made for it goes with it."""
    study = small(tmp_path)
    kept, new = tmp_path / "kept", tmp_path / "below" / "new"
    build.write(study, kept)
    (kept / "test.png").write_text("a figure of the earlier one")
    (kept / "mine.txt").write_text("not yours")
    before = {file.name: file.read_bytes() for file in kept.iterdir()}

    def fails(*_: object) -> Any:
        raise fault

    monkeypatch.setattr(place, name, fails)
    for folder in (kept, new):
        with pytest.raises((type(fault), EnvironmentFault)):
            build.write(study, folder)
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == before
    assert not (tmp_path / "below").exists()
