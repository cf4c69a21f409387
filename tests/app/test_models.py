"""`/v1/models`: real architectures become graphs, everything else a clear refusal."""

from collections.abc import Callable

import onnx
import pytest
from fastapi.testclient import TestClient

from predictors import cost, onnx_reader
from tests.onnx_models import LIGHT, light, model, node

URL = "/v1/models"


@pytest.mark.parametrize("name", LIGHT)
def test_the_light_models_are_understood(client: TestClient, name: str) -> None:
    answer = client.post(URL, content=light(name), params={"name": name})
    assert answer.status_code == 200, answer.text
    described = answer.json()
    assert described["name"] == name
    assert described["macs"] > 1e8
    assert all(operator["outputs"] for operator in described["operators"])
    assert client.get(f"{URL}/{described['digest']}").json() == described


def test_known_costs() -> None:
    """AlexNet's and ResNet-50's multiply-accumulates are published: 0.7 (grouped) and about 4 billion."""
    for name, low, high in (("bvlc_alexnet", 0.6e9, 0.8e9), ("resnet50", 3.7e9, 4.2e9)):
        graph = onnx_reader.read(light(name))
        assert low < sum(cost.macs(item.operator) for item in graph.nodes) < high


def test_dynamic_axes_are_bound_by_the_upload(client: TestClient) -> None:
    data = model([node("Relu", "x", "y")], [("x", ["batch", 3])], ["y"])
    refused = client.post(URL, content=data)
    assert refused.status_code == 422
    assert "input" in refused.json()["detail"]
    bound = client.post(URL, content=data, params={"input": "x:4,3"})
    assert bound.json()["operators"][0]["outputs"] == [[4, 3]]
    assert client.post(URL, content=data, params={"input": "x=4"}).status_code == 422


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
        (light("resnet50")[:5000], "corrupt"),
        (onnx.ModelProto().SerializeToString(), ""),
    ],
)
def test_other_files_are_refused_and_not_stored(client: TestClient, data: bytes, words: str) -> None:
    answer = client.post(URL, content=data)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Unreadable model"
    assert words in answer.json()["detail"]


def test_oversized_files_are_refused(serve: Callable[..., TestClient]) -> None:
    client = serve(max_model_bytes=2000)
    answer = client.post(URL, content=light("resnet50"))
    assert answer.status_code == 413


def test_unknown_models_are_not_found(client: TestClient) -> None:
    assert client.get(f"{URL}/sha256:00").status_code == 404
