"""What `Study` takes besides the fields of a recipe."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from search import RequestError, Study


def test_names_stand_for_longer_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({0: range(60), 1: [number % 7 for number in range(60)], 2: list("ab") * 30})
    study = Study(
        "l2", data=frame, target=2, objective="val_f1, sparsity", epochs=2, hidden="8", batch_size=20, trials=2,
        pruner={"name": "none"}, set={"lr": 0.1}, storage=f"sqlite:///{tmp_path / 'o.db'}", tracking_uri=None,
    )  # fmt: skip
    assert study.recipe.objective == ("val_f1", "sparsity")
    assert {study.space.fixed[name] for name in ("epochs", "hidden", "batch_size")} == {2, "8", 20}
    assert study.space.fixed["lr"] == 0.1
    study.run()
    said = capsys.readouterr().err
    assert "note: data frame: classification, 2 classes in 2" in said
    with pytest.raises(RequestError, match="threshold takes the name of a metric"):
        study.predict(frame.drop(columns=2), threshold=0.5)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="interval takes a share between 0 and 1"):
        study.predict(frame.drop(columns=2), interval="x")  # type: ignore[arg-type]
