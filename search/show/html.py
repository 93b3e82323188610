"""What a notebook shows of a study and of what it came to: HTML without scripts, files or colours of its own.

Whoever shows it has a theme, light or dark: text and lines take its colours. A figure is on white.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial

from search.choose import extending
from search.errors import EnvironmentFault, RequestError, counted
from search.recipe.distributions import as_text
from search.show.sheet import Sheet
from search.storage import database
from search.study import lookup, results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from search.check.check import Check
    from search.check.diagnosis import Fit
    from search.compare.verdict import Comparison
    from search.data import Data
    from search.export.network import Exported
    from search.recipe import Recipe
    from search.recipe.space import Space
    from search.replay.replay import Replay
    from search.report.build import Report
    from search.study.study import Study
    from search.technique import Value
    from search.uncertainty.monte_carlo import Uncertainty

_LEFT, _RIGHT = "text-align:left", "text-align:right;white-space:nowrap"
_DPI = 80  # 12 inches are then about as wide as a notebook's column


def study(study: Study, opened: optuna.Study | None) -> str:
    """What is searched, on what, and the best trials there are; nothing is written for it.

    Args:
        opened: its Optuna study, where the object has it open; else the storage is looked into.
    """
    recipe = study.recipe
    facts = {
        "question": recipe.title,
        "techniques": " + ".join(recipe.techniques) or "none",
        "data": _described(study.data),
        "searched": _searched(study.space),
        "set": ", ".join(f"{name} {results.number(value)}" for name, value in recipe.set.items()),
        "search": ", ".join(_search(recipe)),
    }
    trials: list[FrozenTrial] = []
    try:
        found = opened or lookup.glance(study)
        with database.faults(study.storage):
            trials = [] if found is None else found.get_trials(deepcopy=False)
            extensions = [] if found is None else extending.stored(found.user_attrs)
        widened = extending.widened(study.resolved, extensions)
        facts["searched"] = _searched(widened)
        budget = max(study.budget(), extending.total(widened), len(results.finished(trials)))
        states = results.tally(results.by_state(trials))
        facts["trials"] = (
            f"{len(results.finished(trials))} of {budget}: {states}" if trials else f"none yet, of {budget}"
        )
    except (RequestError, EnvironmentFault) as fault:
        facts["trials"] = str(fault)
    best = results.best(study, trials)
    return _block(_facts(study.name, facts), _table(best) if best.rows else "")


def _searched(space: Space) -> str:
    return ", ".join(f"{name} {as_text(one)}" for name, one in space.searched.items())


def _search(recipe: Recipe) -> list[str]:
    pruning = "no pruning" if recipe.pruner.name == "none" else f"{recipe.pruner.name} pruning"
    return [recipe.sampler, pruning, *([f"{recipe.replicates} replicates"] if recipe.replicates > 1 else [])]


def space(space: Space) -> str:
    """Every hyperparameter that can exist: its value, or what it is searched over."""

    def closed(parent: str, allowed: Collection[Value]) -> bool:
        return parent in space.fixed and space.fixed[parent] not in allowed

    rows = []
    for name, declared in space.declared.items():
        if any(closed(*condition) for condition in declared.when.items()):
            continue
        over = space.searched.get(name)
        value = results.number(space.fixed.get(name)) if over is None else f"searched: {as_text(over)}"
        where = ", ".join(f"{parent}={' or '.join(map(str, some))}" for parent, some in declared.when.items())
        rows.append((name, value, space.owners.get(name, ""), where))
    headings = ("hyperparameter", "value", "technique", "exists where")
    return _block(_table(Sheet(headings, rows, headings)))


def data(data: Data) -> str:
    """What the rows are, and how many."""
    return _block(_facts(data.name, {"data": _described(data), "notes": "; ".join(data.notes)}))


def check(found: Check) -> str:
    """A row for the batch of data and one for that of noise, then what they mean."""
    heading, *_ = str(found).splitlines()
    headings = ("batch", "", "loss", "wanted", "after steps", "lr", "")
    rows = [(name, *_fit(fit)) for name, fit in (("data", found.data), ("noise", found.noise))]
    return _block(_table(Sheet(headings, rows, ("batch", ""), heading)), _lines([found.meaning]))


def _fit(fit: Fit) -> tuple[str, ...]:
    loss, wanted, rate = (f"{value:.3g}" for value in (fit.loss, fit.threshold, fit.lr))
    return "fitted" if fit.fitted else "not fitted", loss, f"< {wanted}", f"{fit.steps:,}", rate, fit.why


def replay(found: Replay) -> str:
    """What is the same, what differs, and whether that may be."""
    differing = _table(found.table()) if found.differences else ""
    return _block(_lines(found.said()), differing, _lines([found.verdict()]))


def comparison(found: Comparison) -> str:
    """The trials, the figure of their intervals, a sentence for each pair, and what a reader should know."""
    from search.compare import figure

    pairs = [f"<p>{escape(found.sentence(pair))}<br><small>{escape(found.details(pair))}</small></p>"
             for pair in found.pairs]  # fmt: skip
    picture = _picture(figure.figure(found), "every trial and every difference with its interval")
    return _block(_table(found.table()), picture, *pairs, _bullets(found.remarks()))


def uncertainty(found: Uncertainty) -> str:
    """The figures of each network, and the band where there is one."""
    from search.uncertainty import figure
    from search.uncertainty.monte_carlo import notes
    from search.uncertainty.monte_carlo import table as figures

    made = figure.figure(found)
    picture = "" if made is None else _picture(made, "validation rows, mean of the passes and band")
    return _block(_table(figures(found)), picture, _lines(notes(found)))


def report(found: Report) -> str:
    """What follows from the record, and where the page is."""
    said = _bullets(f"{'! ' if one.warning else ''}{one.about}: {one.text}" for one in found.said)
    # Relative, as it is with the default folder, it is a link wherever the notebook lies beside it.
    page = escape(Path(found.page).as_posix())
    return _block(said, f'<p><a href="{page}">{page}</a> ({counted(len(found.figures), "figure")})</p>')


def exported(found: Exported) -> str:
    """Which network it is, and the lines that load it."""
    code = escape("\n".join(found.lines))
    return _block(_lines([found.said(), "to load it, and predict rows as they are in the data:"]), f"<pre>{code}</pre>")


def _described(data: Data) -> str:
    rows = " + ".join(f"{len(part):,}" for part in (data.x_train, data.x_val, data.x_test))
    outputs = f"{data.outputs:,} classes" if data.task == "classification" else counted(data.outputs, "target")
    inputs = counted(data.features, "input")
    return f"{data.name}: {data.task}, {inputs}, {outputs}; {rows} rows to train, validate and test"


def _facts(name: str, facts: Mapping[str, str]) -> str:
    rows = "".join(f'<tr><th style="{_LEFT}">{escape(key)}</th><td style="{_LEFT}">{escape(value)}</td></tr>'
                   for key, value in facts.items() if value)  # fmt: skip
    return f"<p><strong>{escape(name)}</strong></p><table>{rows}</table>"


def _table(sheet: Sheet) -> str:
    styles = [_LEFT if heading in sheet.left else _RIGHT for heading in sheet.headings]

    def row(tag: str, cells: Iterable[str]) -> str:
        made = (f'<{tag} style="{style}">{escape(cell)}</{tag}>' for cell, style in zip(cells, styles, strict=True))
        return f"<tr>{''.join(made)}</tr>"

    caption = f'<caption style="{_LEFT}">{escape(sheet.title)}</caption>' if sheet.title else ""
    body = "".join(row("td", cells) for cells in sheet.rows)
    return f"<table>{caption}<thead>{row('th', sheet.headings)}</thead><tbody>{body}</tbody></table>"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines if line)


def _bullets(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _picture(figure: Figure, words: str) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, facecolor="white")
    encoded = base64.b64encode(data.getvalue()).decode("ascii")
    return f'<img alt="{escape(words)}" style="max-width:100%" src="data:image/png;base64,{encoded}">'


def _block(*parts: str) -> str:
    return f"<div>{''.join(parts)}</div>"
