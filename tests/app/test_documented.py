"""Bodies that endpoints decode themselves are documented like all others."""

from fastapi.testclient import TestClient


def test_the_request_of_predictions_is_described_without_references(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/predictions"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert {"processor", "device_id", "operators", "context"} <= set(schema["properties"])
    assert "$ref" not in str(schema)
    assert schema["properties"]["operators"]["anyOf"][0]["items"]["required"] == ["op_type"]


def test_so_is_the_batch_of_measurements(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/measurements"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"batch_id", "device"}
