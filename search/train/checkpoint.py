"""Checkpoints: a cohort in training as a file, so that a killed run continues from its last rung to the same bits.

The file is in the safetensors format, which holds numbers and no code (contract C9, docs/design.md). It holds every
tensor of each pack's state, with a row for each slot, and the trials' curves so far. Everything else is JSON in the
header of the file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from search.train.cohort import Cohort
from search.train.member import Member
from search.train.pack import Saved

_HEADER = "regsearch"
# Format 1 had no number, and held the best weights of each slot as well as the present ones.
_FORMAT = 2


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one study, one file for each cohort in training.

    Args:
        folder: the folder of the files; None for no checkpoints.
        study: a name that is different for every study in the folder.
        made_by: everything that the numbers depend on (the study's identity, versions, device); a checkpoint with any
            other `made_by` is not used.
    """

    folder: Path | None
    study: str
    made_by: Mapping[str, str]

    def save(self, index: int, cohort: Cohort) -> None:
        """Save a cohort at a rung. If that fails, print a warning and let training continue."""
        if self.folder is None:
            return
        path = self._path(self.folder, index)
        tensors, header = _serialise(cohort)
        part = path.with_suffix(f".{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part, {_HEADER: json.dumps(header | {"made_by": dict(self.made_by)})})
            # The file is there whole or not at all, whenever the process is killed.
            part.replace(path)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                part.unlink()
            print(f"checkpoint {path} could not be written, training continues without it: {error}", file=sys.stderr)

    def load(self, index: int, members: Mapping[int, Member]) -> list[Saved]:
        """Return the saved packs of a cohort, reduced to the trials in `members`, and restore these members.

        Return an empty list if there is no checkpoint, or (with a warning) if it cannot be used.
        """
        if self.folder is None or not (path := self._path(self.folder, index)).exists():
            return []
        try:
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
                if header.get("format", 1) != _FORMAT:
                    raise ValueError("another version of regsearch wrote it")
                if header.get("made_by") != dict(self.made_by):
                    raise ValueError("another study, version or device made it")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _restore(tensors, header, members)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            print(f"checkpoint {path} is not used, its trials start again: {error}", file=sys.stderr)
            return []

    def forget(self, index: int) -> None:
        """Delete the checkpoint of a cohort that is done."""
        if self.folder is not None:
            self._path(self.folder, index).unlink(missing_ok=True)

    def _path(self, folder: Path, index: int) -> Path:
        # A study's name may hold characters that a file name may not.
        return folder / f"{sha256(self.study.encode()).hexdigest()[:16]}-{index}.safetensors"


def _serialise(cohort: Cohort) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a cohort as named tensors and a JSON header."""
    saved = [pack.saved() for pack in cohort.packs]
    tensors = {f"pack/{at}/{name}": value for at, pack in enumerate(saved) for name, value in pack.state.items()}
    members = [cohort.members[trial] for trial in sorted({trial for pack in saved for trial, _ in pack.slots})]
    for member in members:
        for name, curve in member.curves.items():
            # Copied, because the curve is a view of an array with room for all epochs.
            tensors[f"curve/{member.number}/{name}"] = torch.from_numpy(curve.copy())
    return tensors, {
        "format": _FORMAT,
        "packs": [{"epoch": pack.epoch, "slots": pack.slots, "names": list(pack.state)} for pack in saved],
        "members": [
            {
                "number": member.number,
                "times": member.times,
                "metrics": list(member.curves),
                "stopped": [(replicate, epoch, dict(last)) for replicate, (epoch, last) in member.stopped.items()],
            }
            for member in members
        ],
    }


def _restore(tensors: Mapping[str, Tensor], header: Mapping[str, Any], members: Mapping[int, Member]) -> list[Saved]:
    for entry in header["members"]:
        if (member := members.get(entry["number"])) is not None:
            curves = {name: tensors[f"curve/{member.number}/{name}"].numpy() for name in entry["metrics"]}
            stopped = {replicate: (epoch, metrics) for replicate, epoch, metrics in entry["stopped"]}
            member.restore(curves, entry["times"], stopped)
    packs = []
    for at, pack in enumerate(header["packs"]):
        kept = [i for i, (trial, _) in enumerate(pack["slots"]) if trial in members]
        slots = [(int(trial), int(replicate)) for trial, replicate in (pack["slots"][i] for i in kept)]
        state = {name: tensors[f"pack/{at}/{name}"][kept] for name in pack["names"]}
        if slots:
            packs.append(Saved(int(pack["epoch"]), slots, state))
    return packs
