"""Makes a report: reads the study, draws what its record allows, writes the page and the figures."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search.errors import counted
from search.record.readings import count_reading, readings
from search.report import (
    curves,
    front,
    heldout,
    history,
    importance,
    parallel,
    path,
    pruning,
    replicates,
    slices,
    weights,
)
from search.report.folder import fill, folder_name, ready
from search.report.networks import CHEAP, HeldOut, read_test, seconds, train
from search.report.page import Section, render
from search.report.record import Entry, Record, read
from search.report.statements import Statement, statements, too_few
from search.report.style import Shown, number
from search.show import html
from search.study.results import evenly

if TYPE_CHECKING:
    from search.study.study import BaseStudy

PAGE = "report.html"
TITLES = {
    "front": "Pareto front",
    "history": "Optimisation history",
    "slices": "Validation loss against each hyperparameter",
    "rows": "The settings compared",
    "curves": "Training and validation curves",
    "dropout": "With and without dropout",
    "path": "Regularisation path",
    "weights": "Weights of the best network",
    "parallel": "Parallel coordinates",
    "importance": "Importance of the hyperparameters",
    "pruning": "Pruning timeline",
    "test": "The best trial on the test split",
}
"""Every figure: the name of its files and its heading, in the page's order."""
_RECORDED: dict[str, Callable[[Record], Shown]] = {
    "history": history.draw,
    "slices": slices.draw,
    "rows": slices.draw_rows,
    "curves": curves.draw,
    "dropout": curves.draw_noise,
    "path": path.draw,
    "parallel": parallel.draw,
    "importance": importance.draw,
    "pruning": pruning.draw,
}
_ROWS = 10


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: the HTML file. figures: of each figure its PNG and SVG.
        left_out: of each figure that is not there, why.
        said: the statements. test_readings: how often the test split has been read.
    """

    page: Path
    figures: dict[str, tuple[Path, Path]]
    left_out: dict[str, str]
    said: Sequence[Statement]
    test_readings: int

    def __repr__(self) -> str:
        lines = [f"{'!' if one.warning else '-'} {one.about}: {one.text}" for one in self.said]
        return "\n".join([*lines, f"{self.page} ({counted(len(self.figures), 'figure')})"])

    def _repr_html_(self) -> str:
        said = html.bullets(f"{'! ' if one.warning else ''}{one.about}: {one.text}" for one in self.said)
        # Relative, as it is with the default folder, it is a link wherever the notebook lies beside it.
        page = escape(Path(self.page).as_posix())
        return html.block(said, f'<p><a href="{page}">{page}</a> ({counted(len(self.figures), "figure")})</p>')


def write(study: BaseStudy, folder: Path | str | None = None, *, training: bool | None = None) -> Report:
    """Write a study's report into a folder, which is made if it is not there; an earlier one stays until it is done.

    A study of fewer than two complete trials gets a page of its facts, without figures, that says so.

    Args:
        folder: default report-NAME.
        training: whether to train the networks again that two of the figures need, and more replicates where there are
            too few for a standard error; None: where that is quick.

    Returns:
        What was written; as text, the statements and where the page is.

    Raises:
        RequestError: there is a file in the folder's place.
        EnvironmentFault: the folder cannot be written.
    """
    place = Path(folder or folder_name(study.name))
    with ready(place):
        return _write(study, place, training)


def _write(study: BaseStudy, folder: Path, training: bool | None) -> Report:
    record = read(study)
    found: HeldOut | None = None
    shown: dict[str, Shown] = {}
    if len(record.complete) >= 2:
        quick = training or (training is None and replicates.seconds(record) <= replicates.QUICK)
        if quick and not record.objectives.several:  # the choice among a front is the reader's
            record = replicates.train(study, record)
        shown = {name: draw(record) for name, draw in _RECORDED.items()}
        if record.objectives.several:
            shown["front"] = front.draw(record)
        trained, found = _trained(study, record, training)
        shown |= trained
        said = statements(record, found)
    else:
        said = [too_few(record)]
    files: dict[str, bytes] = {}
    figures: dict[str, tuple[Path, Path]] = {}
    sections = []
    for name in (name for name in TITLES if name in shown):
        png = None
        if shown[name].figure is not None:
            png, files[f"{name}.svg"] = _pictures(shown[name])
            files[f"{name}.png"] = png
            figures[name] = folder / f"{name}.png", folder / f"{name}.svg"
        sections.append(Section(name, TITLES[name], shown[name].caption, png))
    # The page last: it holds its pictures, so that it is whole whenever it is there.
    files[PAGE] = render(record, _table(record), said, sections).encode()
    # Figures of an earlier report that this one leaves out would contradict it.
    fill(folder, files, [f"{name}.{kind}" for name in TITLES.keys() - figures.keys() for kind in ("png", "svg")])
    left_out = {one.name: one.caption for one in sections if one.png is None}
    return Report(folder / PAGE, figures, left_out, said, readings(study.optuna_study))


def _trained(study: BaseStudy, record: Record, training: bool | None) -> tuple[dict[str, Shown], HeldOut | None]:
    """The figures that take networks, or why they are left out, and the reading of the test split."""
    why = ""
    if training is False:
        why = "Left out by --no-training: its networks are trained again."
    elif training is None and (takes := seconds(record)) > CHEAP:
        why = f"Its networks are trained again, which may take {takes:,.0f} s: --training makes it."
    if why:
        return dict.fromkeys(("weights", "test"), Shown(None, why)), None
    networks = train(study, record)
    if not networks.best:
        return dict.fromkeys(("weights", "test"), Shown(None, "The best trial diverges when trained again.")), None
    found = read_test(study, networks.best, count_reading(study.optuna_study))
    shown = {"weights": weights.draw(record, networks), "test": heldout.draw(record, found, study.data.classes)}
    return shown, found


def _pictures(shown: Shown) -> tuple[bytes, bytes]:
    """A figure as PNG and SVG."""
    assert shown.figure is not None
    png, svg = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        # A choice may be named in a script that the font lacks; the page's table has it.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        shown.figure.savefig(png, format="png", dpi=110)
        # It is laid out: doing so again would take as long.
        shown.figure.set_layout_engine("none")
        shown.figure.savefig(svg, format="svg", metadata={"Date": None})
    return png.getvalue(), svg.getvalue()


def _table(record: Record) -> tuple[list[str], list[list[str]]]:
    others = record.objectives.names[1:]
    ranked = [*record.complete, *sorted(record.pruned, key=lambda entry: entry.objective)][:_ROWS]
    if others:
        ranked = evenly(record.front)
    named = any(entry.label for entry in ranked)
    names = [] if named else [name for name in record.searched if any(name in one.params for one in ranked)]
    several = record.replicates > 1
    headings = ["trial", *(["row"] if named else []), "val_loss", *(["SD"] if several else []), *others, record.metric]
    headings += [*names, "best epoch", "epochs", "state"]
    return headings, [_row(record, entry, names, named, several) for entry in ranked]


def _row(record: Record, entry: Entry, names: Sequence[str], named: bool, several: bool) -> list[str]:
    spread = float(np.std(entry.objectives, ddof=1)) if len(entry.objectives) > 1 else float("nan")
    best_epoch = f"{entry.best_epochs.mean():.4g}" if entry.epochs else ""
    state = entry.state + (f", diverged at {entry.diverged_at}" if entry.diverged_at else "")
    return [
        str(entry.number), *([entry.label] if named else []), f"{entry.value:.4g}",
        *([f"{spread:.2g}"] if several else []),
        *(f"{entry.at_best(name).mean():.4g}" for name in (*record.objectives.names[1:], record.metric)),
        *(number(entry.params.get(name, "")) for name in names), best_epoch, str(entry.epochs), state,
    ]  # fmt: skip


def outcome(study: BaseStudy, report: Report) -> dict[str, object]:
    """What was written, as JSON can hold it."""
    return {
        "study": study.name,
        "page": str(report.page),
        "figures": {name: [str(file) for file in files] for name, files in report.figures.items()},
        "left_out": report.left_out,
        "statements": [{"about": one.about, "text": one.text, "warning": one.warning} for one in report.said],
        "test_readings": report.test_readings,
    }
