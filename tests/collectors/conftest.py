from pathlib import Path

import pytest

from tests import networks


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of two small models."""
    folder = tmp_path / "models"
    networks.write(networks.convolution_network(), folder)
    networks.write(networks.loop_network(), folder)
    return folder
