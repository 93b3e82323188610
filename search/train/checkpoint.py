"""A cohort in training as a file, so that what is killed goes on from its last rung and comes to the same bits.

The file is safetensors, which holds numbers and no code (contract C9): every tensor of each pack's state, a row for
each slot, and the trials' curves so far; what is no tensor is JSON in the file's own header.
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

from search.train.cohort import Cohort, Member
from search.train.pack import Saved

_HEADER = "regsearch"
# Format 1 had no number, and held the best weights of each slot beside the present ones.
_FORMAT = 2


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one study, a file for each cohort in training.

    Args:
        folder: where they are kept; None for none.
        study: what tells the study from any other in the folder.
        made_by: all that the numbers depend on (the study's identity, versions, device): a checkpoint made by
            anything else is not taken up.
    """

    folder: Path | None
    study: str
    made_by: Mapping[str, str]

    def save(self, index: int, cohort: Cohort) -> None:
        """Save a cohort at a rung. What cannot be saved is said, and training goes on."""
        if self.folder is None:
            return
        path = self._path(self.folder, index)
        tensors, header = _written(cohort)
        part = path.with_suffix(f".{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part, {_HEADER: json.dumps(header | {"made_by": dict(self.made_by)})})
            # Whole or not at all, whenever the process is killed.
            part.replace(path)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                part.unlink()
            print(f"checkpoint not written, training goes on: {error}", file=sys.stderr)

    def load(self, index: int, members: Mapping[int, Member]) -> list[Saved]:
        """The packs of a cohort as they were saved, as far as their trials are still to be trained.

        Those trials' members are put back where they were. Nothing where there is no such checkpoint, or none of use.
        """
        if self.folder is None or not (path := self._path(self.folder, index)).exists():
            return []
        try:
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
                if header.get("format", 1) != _FORMAT:
                    raise ValueError("another version of regsearch wrote it")
                if header.get("made_by") != dict(self.made_by):
                    raise ValueError("it was made by another study, version or device")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _read(tensors, header, members)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            print(f"checkpoint {path} is not used: {error}", file=sys.stderr)
            return []

    def forget(self, index: int) -> None:
        """The cohort is done."""
        if self.folder is not None:
            self._path(self.folder, index).unlink(missing_ok=True)

    def _path(self, folder: Path, index: int) -> Path:
        # A study's name may hold anything; a file's may not.
        return folder / f"{sha256(self.study.encode()).hexdigest()[:16]}-{index}.safetensors"


def _written(cohort: Cohort) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A cohort as named tensors, and as what JSON holds."""
    saved = [pack.saved() for pack in cohort.packs]
    tensors = {f"pack/{at}/{name}": one for at, pack in enumerate(saved) for name, one in pack.state.items()}
    members = [cohort.members[trial] for trial in sorted({trial for pack in saved for trial, _ in pack.slots})]
    for member in members:
        for name, curve in member.curves.items():
            # A copy: of an array with room for all epochs this is the first part.
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


def _read(tensors: Mapping[str, Tensor], header: Mapping[str, Any], members: Mapping[int, Member]) -> list[Saved]:
    for found in header["members"]:
        if (member := members.get(found["number"])) is not None:
            curves = {name: tensors[f"curve/{member.number}/{name}"].numpy() for name in found["metrics"]}
            stopped = {replicate: (epoch, metrics) for replicate, epoch, metrics in found["stopped"]}
            member.restore(curves, found["times"], stopped)
    packs = []
    for at, pack in enumerate(header["packs"]):
        here = [i for i, (trial, _) in enumerate(pack["slots"]) if trial in members]
        slots = [(int(trial), int(replicate)) for trial, replicate in (pack["slots"][i] for i in here)]
        state = {name: tensors[f"pack/{at}/{name}"][here] for name in pack["names"]}
        if slots:
            packs.append(Saved(int(pack["epoch"]), slots, state))
    return packs
