"""A cohort continues from its checkpoint to the same bits as without a stop; unusable checkpoints are passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.small_studies import Crash, Quiet, outcome, small

from search import Study
from search.train.checkpoint import Checkpoints
from search.train.cohort import Cohort
from search.train.member import Member

# These have every kind of state: momenta, running statistics, a schedule, noise and patience.
CHANGES: dict[str, Any] = {
    "techniques": ["dropout", "batch_norm", "early_stopping", "momentum", "lr_schedule"],
    "space": {"dropout": {"low": 0.1, "high": 0.5}, "momentum": {"low": 0.5, "high": 0.9}},
    "set": {
        "epochs": 8,
        "hidden": "16",
        "batch_size": 50,
        "lr": 0.05,
        "patience": 2,
        "min_delta": 0.2,
        "nesterov": True,
        "bn_alpha": 0.1,
        "lr_schedule": "reduce_on_plateau",
        "plateau_factor": 0.5,
        "plateau_patience": 1,
    },
}


def members(study: Study, count: int = 5, replicates: int = 2) -> list[Member]:
    made = []
    for number in range(count):
        values = study.space.complete({"dropout": 0.1 + 0.05 * number, "momentum": 0.5 + 0.05 * number})
        assert values is not None
        made.append(Member(number, study.program(values), study.numeric(values), replicates))
    return made


def as_format_1(path: Path) -> None:
    """Rewrite a checkpoint as older versions did: without a format number, with the best weights of each slot."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["regsearch"])
    del header["format"]
    tensors = load_file(path)
    for at, pack in enumerate(header["packs"]):
        pack["names"] += ["best", "best_loss"]
        tensors[f"pack/{at}/best"] = tensors[f"pack/{at}/theta"].clone()
        tensors[f"pack/{at}/best_loss"] = tensors[f"pack/{at}/theta"][:, 0].double()
    save_file(tensors, path, {"regsearch": json.dumps(header)})


def trained(cohort: Cohort, epoch: int) -> Cohort:
    for _ in cohort.advance(epoch):
        pass
    return cohort


def curves(cohort: Cohort) -> dict[int, dict[str, bytes]]:
    return {
        number: {name: curve.tobytes() for name, curve in member.curves.items()}
        for number, member in cohort.members.items()
    }


@pytest.mark.parametrize("width", [64, 3])
def test_a_cohort_goes_on_from_its_checkpoint_to_the_bit(tmp_path: Path, width: int) -> None:
    study = small(tmp_path, **CHANGES)
    whole = trained(Cohort(members(study), study.batches, 64), 8)
    checkpoints = Checkpoints(tmp_path / "kept", "study", {"torch": "1"})
    before = trained(Cohort(members(study), study.batches, 64), 4)
    before.drop([1])
    checkpoints.save(0, before)

    again = members(study)
    saved = checkpoints.load(0, {member.number: member for member in again})
    assert {trial for one in saved for trial, _ in one.slots} == {0, 2, 3, 4}
    after = Cohort(again, study.batches, width, saved)
    # The trial that was dropped starts again, the others continue.
    assert sorted({pack.epoch for pack in after.packs}) == [0, 4]
    assert curves(trained(after, 8)) == curves(whole)
    assert any(member.epoch < 8 for member in whole.members.values()), "some trial has stopped early"


def test_trials_that_were_told_since_then_are_left_out(tmp_path: Path) -> None:
    study = small(tmp_path, **CHANGES)
    checkpoints = Checkpoints(tmp_path, "study", {})
    checkpoints.save(0, trained(Cohort(members(study), study.batches, 64), 2))
    left = {member.number: member for member in members(study) if member.number in (2, 3)}
    saved = checkpoints.load(0, left)
    cohort = Cohort(list(left.values()), study.batches, 64, saved)
    assert {slot.trial for pack in cohort.packs for slot in pack.slots} == {2, 3}
    assert all(member.epoch == 2 for member in left.values())


@pytest.mark.parametrize("damage", ["cut short", "another version", "no checkpoint", "a pickle", "format 1"])
def test_an_unusable_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = small(tmp_path, **CHANGES)
    checkpoints = Checkpoints(tmp_path / "kept", "study", {"torch": "1"})
    checkpoints.save(0, trained(Cohort(members(study), study.batches, 64), 2))
    (path,) = (tmp_path / "kept").iterdir()
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "a pickle":
        path.write_bytes(b"\x80\x04K\x01.")
    elif damage == "format 1":
        as_format_1(path)
    made_by: Mapping[str, str] = {"torch": "2" if damage == "another version" else "1"}
    index = 1 if damage == "no checkpoint" else 0
    mine = {member.number: member for member in members(study)}
    assert Checkpoints(tmp_path / "kept", "study", made_by).load(index, mine) == []
    assert all(member.epoch == 0 for member in mine.values())
    warning = capsys.readouterr().err
    assert (f"{path} is not used" in warning) == (damage != "no checkpoint")
    assert ("another version of regsearch wrote it" in warning) == (damage == "format 1")


def test_a_folder_that_cannot_be_written_costs_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small(tmp_path, **CHANGES)
    (tmp_path / "file").write_text("")
    Checkpoints(tmp_path / "file", "study", {}).save(0, trained(Cohort(members(study, 2), study.batches, 64), 1))
    assert "could not be written" in capsys.readouterr().err


def test_a_study_that_dies_goes_on_from_its_last_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the same results after fewer epochs, and leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    undisturbed = outcome(small(tmp_path, storage="whole.db").run(observers=[Quiet()]))

    def resumed(storage: str, *, checkpoint: bool) -> tuple[Study, int]:
        study = small(tmp_path, storage=storage, checkpoint=checkpoint)
        with pytest.raises(Crash):
            # All trials of the first cohort have reached the rung at epoch 2, some of the survivors epoch 4.
            study.run(observers=[Quiet(fail_after_epochs=4 * 2 + 3)])
        again = small(tmp_path, storage=storage, checkpoint=checkpoint)
        return again, again.run(observers=[Quiet()]).epochs_trained

    with_, epochs = resumed("with.db", checkpoint=True)
    without, more = resumed("without.db", checkpoint=False)
    assert outcome(with_) == outcome(without) == undisturbed
    assert epochs < more
    assert np.count_nonzero([path.is_file() for path in (tmp_path / "checkpoints").iterdir()]) == 0
