"""The notebook for analysts runs from its first cell to its last, and shows what it says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from app.store.engine import Database
from collectors.client import Client
from tests import phone
from tests.app.test_learning import learn_all
from tests.load import server
from tests.processes import LIMIT_S

NOTEBOOK = Path(__file__).parents[1] / "docs" / "analysis.ipynb"


def test_it_is_stored_without_results() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)


def test_every_cell_runs(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(sqlite_url) as running:
        address = f"http://127.0.0.1:{running.port}"
        with Client(address) as client:
            for batch in phone.session(calm_runs=60, loaded_runs=30):
                client.upload(phone.encoded(batch), encoding=None)
        database = Database(sqlite_url)
        learn_all(database)
        database.dispose()
        monkeypatch.setenv("SOCAST_SERVER", address)
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(
            notebook, timeout=int(LIMIT_S), startup_timeout=int(LIMIT_S), kernel_name="python3"
        ).execute()
    shown = [str(output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len(shown) == 6
    assert phone.DEVICE_ID in shown[0]
    assert "runtime" in shown[1]
    assert "vega" in shown[2]
    assert "Conv" in shown[3]
