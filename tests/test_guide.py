"""What the guide for schedulers and analysts shows works as it stands."""

from pathlib import Path

import pytest

from app.store.engine import Database
from collectors.client import Client
from tests import phone
from tests.app.test_learning import learn_all
from tests.guide import run_page
from tests.load import server
from tests.onnx_models import light


@pytest.mark.parametrize("page", ["schedulers.md", "analysts.md"])
def test_everything_shown_can_be_run(page: str, tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "squeezenet.onnx").write_bytes(light("squeezenet"))
    with server(sqlite_url) as running:
        address = f"http://127.0.0.1:{running.port}"
        with Client(address) as client:
            for batch in phone.session(calm_runs=90, loaded_runs=30):
                client.upload(phone.encoded(batch), encoding=None)
        database = Database(sqlite_url)
        learn_all(database)
        database.dispose()
        run_page(page, tmp_path, {"SOCAST_SERVER": address, "SOCAST_DEVICE": phone.DEVICE_ID})
