"""MLflow's page over a study, as a reader sees it: a real server, a real browser, what is on the screen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.browser import Browser, chromium, element, texts
from support.mlflow_server import serving

from search import Study
from search.record.curves import CURVES, Curves
from search.show.text import trial_name
from search.tracking import address as address_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium() is None, reason="no chromium on PATH")]

_ROWS = """[...document.querySelectorAll('[role=row][row-index]')]
    .sort((one, other) => one.getAttribute('row-index') - other.getAttribute('row-index'))
    .map(row => row.querySelector('a')?.textContent).filter(name => name)"""
_CARDS = "[data-testid=experiment-view-compare-runs-card]"


def test_a_study_is_found_opened_and_compared(tmp_path: Path, empty_mlflow: Path) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    study = Study(
        "l2+dropout",
        set={"epochs": 4, "hidden": "16"},
        device="cpu",
        storage=f"sqlite:///{tmp_path}/optuna.db",
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
    ).run(trials=6, observers=[])
    trials = study.optuna_study.trials
    assert len({trial.state for trial in trials}) == 2, "complete ones and pruned ones"
    best_first = [trial_name(t.number, t.params) for t in sorted(trials, key=lambda trial: trial.value or 0.0)]
    with serving(tmp_path / "mlflow.db") as address, Browser(tmp_path / "profile") as page:
        page.open(address)
        page.click("document.querySelector('[aria-label=Close]')")  # MLflow's assistant, over a part of the page
        page.click(element("span", "Model training"))
        page.click(element("a", "regsearch"))
        _finds_the_trials_under_their_study(page, study.name, best_first)
        _opens_a_view_of_the_study(page, study.name, best_first)
        _opens_the_address_that_a_run_prints(
            page, address_of.lines(address, study.name, study.experiment)[0], best_first
        )
        _overlays_its_curves(page, study, best_first)
        _compares_its_trials(page, best_first)
        _opens_a_trial(page, best_first[0], study.name)


def _finds_the_trials_under_their_study(page: Browser, study: str, names: list[str]) -> None:
    page.until("document.body.innerText.includes('each study is a run')")
    page.until(f"String({_ROWS}) === {json.dumps(study)}")
    page.click(element("a", study) + ".closest('[role=row]').querySelector('button')")
    page.until(f"{_ROWS}.length === {1 + len(names)}")
    assert sorted(page.evaluate(_ROWS)) == sorted([study, *names])


def _opens_a_view_of_the_study(page: Browser, study: str, best_first: list[str]) -> None:
    page.click(element("button", "Views"))
    page.click(element("[role=menuitem]", study))
    page.until(f"{_ROWS}.join() === {json.dumps(','.join(best_first))}")
    columns = page.evaluate(texts("[data-testid^=sort-header-]"))
    assert {"best_val_loss", "best_val_accuracy", "best_epoch", "l2", "dropout"} <= set(columns)


def _opens_the_address_that_a_run_prints(page: Browser, line: str, best_first: list[str]) -> None:
    page.open("about:blank")
    page.open(line.removeprefix("curves: "))
    page.until(f"{_ROWS}.join() === {json.dumps(','.join(best_first))}")
    columns = page.evaluate(texts("[data-testid^=sort-header-]"))
    assert {"best_val_loss", "best_val_accuracy", "best_epoch", "l2", "dropout"} <= set(columns)


def _overlays_its_curves(page: Browser, study: Study, names: list[str]) -> None:
    page.click("document.querySelector('[name=runs-view-mode][value=CHART]').closest('label')")
    of = {trial_name(trial.number, trial.params): trial for trial in study.optuna_study.trials}
    for metric in ("val_loss", "train_loss", "val_accuracy"):
        legend = json.dumps([f"{name} ({metric})" for name in names])
        plot = f"""[...document.querySelectorAll('{_CARDS}')]
            .find(e => {legend}.every(line => e.textContent.includes(line))).querySelector('.js-plotly-plot')"""
        page.until(f"{plot}.querySelectorAll('.scatterlayer .trace').length >= {len(names)}")
        drawn = page.evaluate(f"{plot}.data.map(trace => [trace.name, Array.from(trace.x), Array.from(trace.y)])")
        assert {name for name, _, _ in drawn} == set(names)
        for name, epochs, values in drawn:
            recorded = Curves.decode(of[name].user_attrs[CURVES]).mean(metric).tolist()
            assert (epochs, values) == (list(range(1, len(recorded) + 1)), pytest.approx(recorded, rel=1e-6))
    page.until(f"{texts(_CARDS + ' .dimension .label')}.join() === 'l2,dropout,best_val_loss'")
    page.click("document.querySelector('[name=runs-view-mode][value=TABLE]').closest('label')")


def _compares_its_trials(page: Browser, names: list[str]) -> None:
    page.click("[...document.querySelectorAll('.ag-header input[type=checkbox]')].find(e => e.offsetWidth)")
    page.click(element("button", "Compare"))
    page.until(f"document.body.innerText.includes('Comparing {len(names)} Runs from 1 Experiment')")
    page.until(f"{texts('.pcp-plot .axis-title')}.join() === 'dropout,l2,best_val_loss'")
    assert all(name in page.text() for name in names)


def _opens_a_trial(page: Browser, name: str, study: str) -> None:
    page.evaluate("history.go(-1)")
    page.click(element("a", name))
    page.until(f"!!({element('h1,h2,h3,span', name)}) && !!({element('a', study)})")
    page.click(element("[role=tab]", "Model metrics"))
    page.click("document.querySelector('[role=tabpanel] input, input[placeholder=\"Search metric charts\"]')")
    page.type("^(train|val)_loss$")
    page.until(f"document.querySelectorAll('{_CARDS}').length === 2")
    for metric in ("train_loss", "val_loss"):
        curve = f"{element(_CARDS + ' *', metric)}.closest('{_CARDS}').querySelectorAll('.scatterlayer .point')"
        page.until(f"{curve}.length === 4")  # a point for each epoch
