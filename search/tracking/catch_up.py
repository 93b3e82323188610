"""Bring MLflow up to date with finished or interrupted studies, as the writer does at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.storage.tracking import EXPERIMENT
from search.tracking.live import Live
from search.tracking.reach import unreachable
from search.tracking.said import say
from search.tracking.turn import Turn
from search.tracking.writer import Writer, silence_mlflow

_ADVICE = "run the command again when it does"


@dataclass(frozen=True)
class Caught:
    """The outcome for one study.

    Attributes:
        study: the name of the study.
        equal: whether MLflow now equals the study; if not, a printed line has said why.
        trials: the number of its finished trials.
        written: how many of these were missing in MLflow or differed there.
    """

    study: str
    equal: bool
    trials: int
    written: int


class _NoLines:
    """Stands for the lines of training where nothing is trained."""

    def __init__(self) -> None:
        self.ended = True

    def take(self, live: Live, seconds: float) -> None:
        """Return at once: there is nothing to take."""


def catch_up(
    studies: Sequence[str], storage: str, tracking_uri: str, *, experiment: str = EXPERIMENT, patience: float = 10.0
) -> Iterator[Caught]:
    """Bring MLflow up to date with each study in turn; end early if MLflow does not answer or another writer is busy.

    Args:
        studies: the names of studies in the storage.
        storage: the URL of the storage.
        tracking_uri: the URI of MLflow.
        experiment: MLflow's experiment for the runs.
        patience: the seconds of failing after which to give up.
    """
    if why := unreachable(tracking_uri):
        say(f"MLflow at {tracking_uri} is not answering ({why}): {_ADVICE}")
        return
    silence_mlflow()
    lines = _NoLines()
    for study in studies:
        with Turn(tracking_uri, storage, study, patience) as turn:
            if not turn.wait(lines, live := Live()):
                yield Caught(study, equal=False, trials=0, written=0)
                if turn.elsewhere:
                    continue
                return
            from search.tracking.sync import StudySync

            sync = StudySync(study, storage, tracking_uri, experiment)
            equal = Writer(lines, live, sync, turn, tracking_uri, patience, _ADVICE).run() == 0
            yield Caught(study, equal, sync.finished, len(sync.written))
            if not equal and not sync.unreadable:
                return
