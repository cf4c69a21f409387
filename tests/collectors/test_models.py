import hashlib
from pathlib import Path

import pytest

from collectors.errors import CollectorError
from collectors.models import find_models
from tests import networks


def test_a_folder_is_searched_and_each_file_is_named_and_digested(tmp_path: Path) -> None:
    path = networks.write(networks.convolution_network(), tmp_path / "deep" / "er")
    networks.write(networks.loop_network(), tmp_path)
    (tmp_path / "notes.txt").write_text("no model")
    found = {file.identity.name: file for file in find_models(str(tmp_path))}
    assert sorted(found) == ["loop", "small"]
    assert found["small"].identity.digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        networks.write(networks.convolution_network(), tmp_path / folder, "model")
    assert [file.identity.name for file in find_models(str(tmp_path))] == ["one/model", "two/model"]


def test_what_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CollectorError, match=r"no \.onnx file"):
        find_models(str(tmp_path))
    with pytest.raises(CollectorError, match="there is no folder"):
        find_models(str(tmp_path / "nowhere"))
