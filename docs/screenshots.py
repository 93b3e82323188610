"""Take the pictures of MLflow's page in docs/mlflow.md, from the `mlflow.db` in the working directory.

It needs Chromium, and the helpers of the tests:

PYTHONPATH=tests uv run python docs/screenshots.py docs/mlflow l2+dropout-digits
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from support.browser import Browser, element
from support.mlflow_server import serving

_DRAWN = "document.querySelectorAll('.scatterlayer .trace').length >= {count}"
_SETTLED = "new Promise(done => setTimeout(() => done(true), 2000))"  # plots are animated into their places


def main(folder: Path, study: str) -> None:
    folder.mkdir(exist_ok=True)
    with (
        serving(Path("mlflow.db").resolve()) as address,
        tempfile.TemporaryDirectory() as profile,
        Browser(Path(profile), 1300, 820) as page,
    ):
        page.open(address)
        page.click("document.querySelector('[aria-label=Close]')")
        page.click(element("span", "Model training"))
        page.click(element("a", "regsearch"))
        page.click(element("a", study) + ".closest('[role=row]').querySelector('button')")
        _photograph(page, folder / "experiment.png", "document.body.innerText.includes('trial-')")
        page.click(element("button", "Views"))
        page.click(element("[role=menuitem]", study))
        _photograph(page, folder / "view.png", "document.body.innerText.includes('best_epoch')")
        page.click("document.querySelector('[name=runs-view-mode][value=CHART]').closest('label')")
        _photograph(page, folder / "charts.png", _DRAWN.format(count=30))
        page.click("document.querySelector('[name=runs-view-mode][value=TABLE]').closest('label')")
        page.click("[...document.querySelectorAll('.ag-header input[type=checkbox]')].find(e => e.offsetWidth)")
        page.click(element("button", "Compare"))
        _photograph(page, folder / "compare.png", "document.querySelectorAll('.pcp-plot .axis-title').length > 2")
        page.evaluate("history.go(-1)")
        page.click("[...document.querySelectorAll('a')].find(e => e.innerText.startsWith('trial-'))")
        page.click(element("[role=tab]", "Model metrics"))
        page.click("document.querySelector('input[placeholder=\"Search metric charts\"]')")
        page.type("^(train|val)_|gap|norm")
        _photograph(page, folder / "trial.png", _DRAWN.format(count=6))


def _photograph(page: Browser, path: Path, ready: str) -> None:
    page.until(ready)
    page.until(_SETTLED)
    page.screenshot(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
