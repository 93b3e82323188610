"""`docs/tour.ipynb` runs, its outputs come from this code, and its prose is true.

To write its outputs anew: `uv run python docs/execute.py docs/tour.ipynb`.
"""

from __future__ import annotations

import ast
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"
# This cell reads the notebook's own names; the test appends it to the notebook.
MEASURED = """
import json

def table(study):
    return study.trials().sort_values(list(study.space.searched)[0]).to_dict("list")

def losses(study):
    found = {}
    for number, mine in study.curves().groupby("trial"):
        value = str(study.trials().set_index("number").loc[number, list(study.space.searched)[0]])
        found[value] = mine[["train_loss", "val_loss"]].to_dict("list")
    return found

tables = {"ten_points": ten_points, "patients": patients, "l2": l2, "l1": l1, "l1_prox": l1_prox, "dropout": dropout,
          "max_norm": max_norm, "early": early, "fraction": fraction, "l2_search": l2_search}
bands = {one.activation: one.curve.deviation[:, 0].tolist() for one in uncertainty.networks}
print(json.dumps({
    "tables": {name: table(study) for name, study in tables.items()},
    "asked": l2_search.trials()["l2"].tolist(),
    "best": l2_search.best.params["l2"],
    "curves": {"norm": losses(norm), "gain": losses(start), "momentum": losses(push)},
    "searched": l2_search.curves().query(f"trial == {l2_search.best.number}").to_dict("list"),
    "zeros": {name: float(np.mean(np.abs(values) < 1e-6)) for name, values in kinds.items()},
    "norms": {name: study.curves().groupby("trial").last()["weight_norm"].tolist()
              for name, study in (("l2", l2), ("l1", l1), ("l1_prox", l1_prox))},
    "check": check.fitted,
    "compared": comparison.frame().to_dict("records"),
    "bands": bands,
    "grid": uncertainty.grid.tolist(),
    "points": uncertainty.points.tolist(),
    "loaded": [loss, l2_search.best.value],
    "replayed": replay.same,
    "report": report.page.exists(),
    "test_readings": report.test_readings,
    "written": sorted(os.listdir(".")),
}))
"""


@pytest.fixture(scope="module")
def committed() -> NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: NotebookNode) -> list[Any]:
    """Return the kinds of a cell's outputs: the streams, and the formats of what is shown."""
    return [(one.output_type, one.get("name"), sorted(one.get("data", {}))) for one in cell.outputs]


def calls(cell: NotebookNode) -> list[str]:
    """Return what a cell calls outside functions, such as ``plt.show``, and "last" if it ends with a value."""
    body = [one.value if isinstance(one, ast.Expr) else one for one in ast.parse(cell.source).body]
    found = [ast.unparse(one.func) for one in body if isinstance(one, ast.Call)]
    return [*found, *(["last"] if isinstance(body[-1], ast.Name) else [])]


def test_the_committed_notebook_was_executed_in_order(committed: NotebookNode) -> None:
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    for cell in cells:
        found = kinds(cell)
        assert all(kind != "error" for kind, *_ in found)
        for call in calls(cell):
            if call in ("plt.show", "draw"):
                assert any("image/png" in formats for *_, formats in found), cell.source
            elif call == "last":
                assert any("text/html" in formats for *_, formats in found), cell.source
    assert sum(call in ("plt.show", "draw") for cell in cells for call in calls(cell)) >= 8


def test_the_committed_notebook_is_fit_to_be_read(committed: NotebookNode) -> None:
    """It is small, and shows no warnings, no paths of a machine and no remains of progress bars."""
    assert TOUR.stat().st_size < 1_500_000
    words = json.dumps(
        [
            [{k: v for k, v in one.get("data", {}).items() if k != "image/png"}, one.get("text", "")]
            for cell in code_cells(committed)
            for one in cell.outputs
        ]
    )
    words = re.sub(r"base64,[A-Za-z0-9+/=]+", "", words)
    assert not re.search(r"warning|/tmp|/home|/work|/Users|site-packages|\\u001b|\\r|it/s", words, re.IGNORECASE)
    assert all(one.get("name") != "stderr" for cell in code_cells(committed) for one in cell.outputs)
    assert {cell.id for cell in committed.cells} == {f"cell-{number:02d}" for number in range(len(committed.cells))}


def test_the_notebook_imports_the_public_names_only(committed: NotebookNode) -> None:
    import search

    for cell in code_cells(committed):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("search", "objectives"):
                assert node.module == "search"
                assert {name.name for name in node.names} <= {*search.__all__}
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith(("search", "objectives")) for name in node.names)


@pytest.mark.slow
def test_the_notebook_runs_and_what_it_says_is_so(
    committed: NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So the kernel imports the package of this checkout, wherever it runs.
    monkeypatch.setenv("PYTHONPATH", str(TOUR.parents[1]))
    fresh = nbformat.from_dict(committed)
    fresh.cells.append(nbformat.v4.new_code_cell(MEASURED))
    NotebookClient(fresh, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert list(tmp_path.iterdir()) == []
    *cells, last = code_cells(fresh)
    for cell, was in zip(cells, code_cells(committed), strict=True):
        assert kinds(cell) == kinds(was), cell.source
    assert any("24 of 24 trials done" in str(cell.outputs) for cell in cells)
    _assert_prose(json.loads("".join(one.text for one in last.outputs if one.name == "stdout")))


def _assert_prose(measured: dict[str, Any]) -> None:
    tables = measured["tables"]

    # 1: the curves part.
    for name in ("ten_points", "patients"):
        table = tables[name]
        assert table["final_val_loss"][0] > 1.3 * table["best_val_loss"][0]
        assert table["final_train_loss"][0] < 0.5 * table["best_train_loss"][0]
        assert table["best_epoch"][0] < 30
    assert measured["check"]

    # 3: at the last epoch each remedy helps; at the best one it hardly does; too much of it learns nothing.
    for name, stronger in (("l2", 1), ("l1", 1), ("l1_prox", 1), ("dropout", 1), ("max_norm", -1)):
        table = {column: values[::stronger] for column, values in tables[name].items()}
        assert min(table["final_val_loss"]) < 0.75 * table["final_val_loss"][0], name
        assert min(table["best_val_loss"]) > 0.93 * table["best_val_loss"][0], name
        assert table["final_train_loss"][-1] > 4 * table["final_train_loss"][0], name
        if name != "l1":
            assert table["final_val_loss"][-1] > 1.05 * min(table["final_val_loss"]), name
    assert max(tables["l1"]["final_sparsity"]) < 0.02
    at = next(n for n, share in enumerate(tables["l1_prox"]["final_sparsity"]) if share > 0.5)
    assert tables["l1_prox"]["final_val_loss"][at] < 0.75 * tables["l1_prox"]["final_val_loss"][0]
    zeros = measured["zeros"]
    assert zeros["no penalty"] < 0.001
    assert zeros["l2 = 0.03"] < 0.2
    assert zeros["l1_prox = 0.001"] > 0.5
    early = tables["early"]
    assert early["epochs_trained"] == sorted(early["epochs_trained"])
    assert early["epochs_trained"][2] < 40
    assert early["best_val_loss"][2] < 1.03 * min(early["best_val_loss"])
    for column in ("best_val_loss", "final_val_loss"):
        assert tables["fraction"][column][-1] < 0.9 * tables["fraction"][column][0]

    # 4: who is faster.
    norm, gain, momentum = (measured["curves"][name] for name in ("norm", "gain", "momentum"))
    assert all(a < b for a, b in zip(norm["True"]["train_loss"][1:], norm["False"]["train_loss"][1:], strict=True))
    assert gain["0.1"]["train_loss"][4] > gain["1.0"]["train_loss"][4]
    assert gain["0.1"]["val_loss"][-1] < 1.5 * gain["1.0"]["val_loss"][-1]
    assert gain["3.0"]["train_loss"][0] > 4 * gain["1.0"]["train_loss"][0]
    assert gain["3.0"]["train_loss"][-1] < 0.1
    assert gain["3.0"]["val_loss"][-1] > 3 * gain["1.0"]["val_loss"][-1]
    trained = [momentum[value]["train_loss"][-1] for value in ("0.0", "0.9", "0.99")]
    assert trained == sorted(trained, reverse=True)
    assert trained[0] > 0.8 * momentum["0.0"]["train_loss"][0]
    assert momentum["0.99"]["val_loss"][-1] > 1.1 * min(momentum["0.99"]["val_loss"])
    assert momentum["0.9"]["val_loss"][-1] == min(momentum["0.9"]["val_loss"])

    # 5: the search.
    best = measured["best"]
    assert 1e-5 < best < 1e-2
    distance = [abs(one / best) if one > best else abs(best / one) for one in measured["asked"]]
    assert sorted(distance[16:])[4] < sorted(distance[:8])[4]
    table = tables["l2_search"]
    assert table["state"][0] == table["state"][-1] == "pruned"
    for end in (0, -1):
        assert table["value"][end] > 1.2 * min(table["value"])
    curve = measured["searched"]
    lowest = min(curve["train_loss"])
    assert curve["train_loss"][-1] > 1.5 * lowest
    assert curve["val_loss"][-1] < curve["val_loss"][curve["train_loss"].index(lowest)]
    assert all(a > b for a, b in zip(curve["val_objective"], curve["val_loss"], strict=True) if not math.isnan(a))
    for norms in measured["norms"].values():
        assert all(a >= b - 0.05 for a, b in pairwise(norms))
    least = {
        name: min(zip(tables[name]["final_val_loss"], norms, strict=True))[1]
        for name, norms in measured["norms"].items()
    }
    assert max(least.values()) < 5

    # 6 to 8: a verdict is its interval's; bands open where the data end; everything is what it was.
    for pair in measured["compared"]:
        outside = pair["accuracy_low"] > 0 or pair["accuracy_high"] < 0
        assert ("beats" in pair["sentence"]) == outside == isinstance(pair["better"], str)
    middle = [n for n, x in enumerate(measured["grid"]) if min(measured["points"]) <= x <= max(measured["points"])]
    for activation, factor in (("relu", 1.5), ("tanh", 0.5)):
        band = measured["bands"][activation]
        inside = sum(band[n] for n in middle) / len(middle)
        assert (band[0] + band[-1]) / 2 > factor * inside, activation
    assert measured["bands"]["relu"][0] > 1.5 * measured["bands"]["tanh"][0]
    assert measured["loaded"][0] == pytest.approx(measured["loaded"][1], rel=1e-4)
    assert measured["replayed"]
    assert measured["report"]
    assert measured["test_readings"] == 1  # by the comparison, not by the report
    assert {"digits.safetensors", "digits.json", "optuna.db", "report-l2-digits"} <= {*measured["written"]}
    assert "mlflow.db" not in measured["written"]
