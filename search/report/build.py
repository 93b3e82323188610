"""Write a report: read the study, draw what its record allows, write the page and the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import counted
from search.record.readings import count_reading, readings
from search.report import (
    ablation,
    curves,
    front,
    heldout,
    history,
    importance,
    learning_curve,
    parallel,
    path,
    pruning,
    ranked,
    replicates,
    slices,
    weights,
)
from search.report.drawing import CaptionedFigure
from search.report.folder import fill, folder_name, ready
from search.report.networks import CHEAP, HeldOut, read_test, seconds, train
from search.report.page import Section, render
from search.report.record import Record, read
from search.report.statement import Statement
from search.report.statements import summarise, too_few
from search.show import figure_file, html
from search.study.progress import Steps
from search.train.crew import one_thread

if TYPE_CHECKING:
    from search.study.study import BaseStudy

PAGE = "report.html"
TITLES = {
    "front": "Pareto front",
    "history": "Optimisation history",
    "slices": "The objective against each hyperparameter",
    "settings": "The objective of each setting",
    "curves": "Training and validation curves",
    "dropout": "With and without dropout",
    "path": "Regularisation path",
    "weights": "Weights of the best network",
    "parallel": "Parallel coordinates",
    "importance": "Importance of the hyperparameters",
    "ablation": "What each technique does",
    "pruning": "Pruning timeline",
    "learning_curve": "What more training rows would do",
    "test": "The best trial on the test split",
    "ranked": "How the test rows of each class are ranked",
}
"""The name of each figure's files and its heading, in the order of the page."""
DRAWN_FROM_THE_RECORD: dict[str, Callable[[Record], CaptionedFigure]] = {
    "history": history.draw,
    "slices": slices.draw,
    "settings": slices.draw_settings,
    "curves": curves.draw,
    "dropout": curves.draw_noise,
    "path": path.draw,
    "parallel": parallel.draw,
    "importance": importance.draw,
    "pruning": pruning.draw,
}
_NEED_NETWORKS = ("weights", "learning_curve", "test", "ranked")
_EARLIER_NAMES = {"rows"}  # the figures of version 0.1.0 that have another name now


@dataclass(frozen=True)
class Report:
    """The files of a report, and its statements.

    Attributes:
        page: the HTML file.
        figures: the PNG and the SVG file of each figure, by its name.
        left_out: the reason why a figure is not there, by its name.
        statements: the sentences that the page begins with.
        test_readings: how often the test split has been read, this report included.
    """

    page: Path
    figures: dict[str, tuple[Path, Path]]
    left_out: dict[str, str]
    statements: Sequence[Statement]
    test_readings: int

    def __repr__(self) -> str:
        lines = [f"{'!' if one.warning else '-'} {one.about}: {one.text}" for one in self.statements]
        return "\n".join([*lines, f"{self.page} {self._count()}"])

    def _repr_html_(self) -> str:
        lines = (f"{'! ' if one.warning else ''}{one.about}: {one.text}" for one in self.statements)
        # The default folder is a relative path, so the link works if the report is in the notebook's folder.
        return html.block(html.bullets(lines), html.file_link(self.page, self._count()))

    def _count(self) -> str:
        return f"({counted(len(self.figures), 'figure')})"


@one_thread()
def write(study: BaseStudy, folder: Path | str | None = None, *, training: bool | None = None) -> Report:
    """Write a study's report into a folder, which is made if it does not exist.

    An earlier report in the folder stays until this one is complete. The page of a study with fewer than two complete
    trials has no figures, and says so.

    Args:
        folder: the folder; by default report-NAME.
        training: whether to train the networks again that two of the figures need, and more replicates where there are
            too few for a standard error; by default only if that is quick.

    Raises:
        RequestError: a file is in the folder's place.
        EnvironmentFault: the folder cannot be written to.
    """
    place = Path(folder or folder_name(study.name))
    with ready(place):
        return _write(study, place, training)


def _write(study: BaseStudy, folder: Path, training: bool | None) -> Report:
    record = read(study)
    drawn: dict[str, CaptionedFigure] = {}
    held_out = None
    if len(record.complete) >= 2:
        quick = training or (training is None and replicates.seconds(record) <= replicates.QUICK)
        # The reader chooses among the trials of a front, and a study that has decided needs no other rule.
        if quick and not record.objectives.several and record.decision is None:
            record = replicates.train(study, record)
        drawn = _draw_record(record)
        of_networks, held_out = _draw_networks(study, record, training)
        drawn |= of_networks
        statements = summarise(record, held_out)
    else:
        statements = [too_few(record)]
    files: dict[str, bytes] = {}
    figures: dict[str, tuple[Path, Path]] = {}
    sections = []
    with Steps("writing the page", len(drawn), "figures") as steps:
        for name in (name for name in TITLES if name in drawn):
            png = None
            if drawn[name].figure is not None:
                png, files[f"{name}.svg"] = pictures(drawn[name])
                files[f"{name}.png"] = png
                figures[name] = folder / f"{name}.png", folder / f"{name}.svg"
            sections.append(Section(name, TITLES[name], drawn[name].caption, png))
            steps.advance()
    # The page comes last: whenever it is there, the files of its figures are there too.
    files[PAGE] = render(record, statements, sections, held_out).encode()
    # Figures of an earlier report that this one leaves out would contradict it.
    left_behind = (TITLES.keys() | _EARLIER_NAMES) - figures.keys()
    fill(folder, files, [f"{name}.{kind}" for name in left_behind for kind in ("png", "svg")])
    left_out = {section.name: section.caption for section in sections if section.png is None}
    return Report(folder / PAGE, figures, left_out, statements, readings(study.optuna_study))


def _draw_record(record: Record) -> dict[str, CaptionedFigure]:
    """Draw the figures that need the record alone."""
    draws = dict(DRAWN_FROM_THE_RECORD)
    if record.objectives.several:
        draws["front"] = front.draw
    if record.ablated is not None:
        draws["ablation"] = ablation.draw_kept
    drawn = {}
    with Steps("drawing the record", len(draws), "figures") as steps:
        for name, draw in draws.items():
            drawn[name] = draw(record)
            steps.advance()
    return drawn


def _draw_networks(
    study: BaseStudy, record: Record, training: bool | None
) -> tuple[dict[str, CaptionedFigure], HeldOut | None]:
    """Draw the figures that need networks, or say why they are left out; return the reading of the test split too."""
    reason = ""
    if training is False:
        reason = "This figure needs networks that are trained again, and --no-training forbids it."
    elif training is None and (takes := seconds(record)) > CHEAP:
        reason = f"This figure needs networks that are trained again, which may take {takes:,.0f} s."
        reason += " Use --training to train them."
    if reason:
        return dict.fromkeys(_NEED_NETWORKS, CaptionedFigure(None, reason)), None
    networks = train(study, record)
    if not networks.best:
        reason = "The best trial diverges when it is trained again."
        return dict.fromkeys(_NEED_NETWORKS, CaptionedFigure(None, reason)), None
    learnt = learning_curve.draw(record, learning_curve.train(study, record))
    drawn = {"weights": weights.draw(record, networks), "learning_curve": learnt}
    if not len(study.data.x_test):
        reason = "This study has no test split (test = 0): no rows are left that had no part in a choice."
        return drawn | dict.fromkeys(("test", "ranked"), CaptionedFigure(None, reason)), None
    held_out = read_test(study, networks.best, count_reading(study.optuna_study))
    drawn |= {"test": heldout.draw(record, held_out, study.data.classes), "ranked": ranked.draw(record, held_out)}
    return drawn, held_out


def pictures(drawn: CaptionedFigure) -> tuple[bytes, bytes]:
    """Return a figure as PNG and as SVG."""
    assert drawn.figure is not None
    png = figure_file.drawn(drawn.figure, "png", dpi=110)
    # The figure has been laid out by now, and doing so again would take as long.
    drawn.figure.set_layout_engine("none")
    return png, figure_file.drawn(drawn.figure, "svg", dpi=110, metadata={"Date": None})


def outcome(study: BaseStudy, report: Report) -> dict[str, object]:
    """Return what was written, as JSON can hold it."""
    return {
        "study": study.name,
        "page": str(report.page),
        "figures": {name: [str(file) for file in files] for name, files in report.figures.items()},
        "left_out": report.left_out,
        "statements": [{"about": one.about, "text": one.text, "warning": one.warning} for one in report.statements],
        "test_readings": report.test_readings,
    }
