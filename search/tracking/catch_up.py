"""MLflow made equal to studies that are there: what the writer does at its end, by hand and for any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.tracking.live import Live
from search.tracking.reach import unreachable
from search.tracking.said import say
from search.tracking.turn import Turn
from search.tracking.writer import Writer, silence_mlflow

_ADVICE = "run the command again when it does"


@dataclass(frozen=True)
class Caught:
    """What became of one study's view.

    Attributes:
        study: its name.
        equal: whether MLflow is equal to it now; where not, a line has said why.
        trials: how many of its trials are finished.
        written: how many of them MLflow did not have, or had otherwise.
    """

    study: str
    equal: bool
    trials: int
    written: int


class _NoLines:
    """Nobody trains."""

    def __init__(self) -> None:
        self.ended = True

    def take(self, live: Live, seconds: float) -> None:
        """There is nothing to take."""


def catch_up(
    studies: Sequence[str], storage: str, tracking_uri: str, *, experiment: str = "regsearch", patience: float = 10.0
) -> Iterator[Caught]:
    """Make MLflow equal to each study in turn; ends early where MLflow does not answer, or another writer holds it.

    Args:
        studies: names of studies in the storage.
        storage: its URL.
        tracking_uri: MLflow's.
        experiment: MLflow's experiment for the runs.
        patience: seconds of failing before giving up.
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
