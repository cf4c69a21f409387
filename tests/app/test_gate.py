"""The gate passes, fails, or says that it cannot say: over HTTP and from the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import build
from app.services.gate import Verdict, _best, _worst
from app.terminal import gate_markdown
from tests import phone
from tests.load import server
from tests.onnx_models import light


def judge(client: TestClient, network: str = "middle", **fields: Any) -> dict[str, Any]:
    request = {
        "model": {"digest": phone.digest(network)},
        "limits_us": {"p95": 1e6},
        "device_ids": [phone.DEVICE_ID],
        **fields,
    }
    response = client.post("/v1/gate", json=request)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_limit_decides_and_is_that_of_predictions(reported: TestClient) -> None:
    context = {"probe_compute_us": 100.0, "cpu_utilization": 0.1}
    predicted = reported.post(
        "/v1/predictions",
        json={
            "device_id": phone.DEVICE_ID,
            "processor": phone.PROCESSOR,
            "model": {"digest": phone.digest("middle")},
            "context": context,
        },
    ).json()["runtime"]
    p95, p99 = predicted["interval_us"]["high"], predicted["total_us"]["p99"]
    limits = {"p95": p95 * 1.01, "p99": p99 * 1.01}
    wide = judge(reported, limits_us=limits, context=context)
    assert wide["verdict"] == "pass"
    (own,) = wide["places"][0]["processors"]
    assert own["latency_us"] == pytest.approx({"p95": p95, "p99": p99}, rel=1e-3)
    assert wide["places"][0]["best"] == phone.PROCESSOR
    narrow = judge(reported, limits_us=limits | {"p99": p99 * 0.5}, context=context)
    assert narrow["verdict"] == "fail"


def test_what_rests_on_too_little_is_neither_passed_nor_failed(reported: TestClient) -> None:
    unknown = judge(reported, "new")
    assert unknown["verdict"] == "too_thin"
    assert "Mystery" in unknown["places"][0]["processors"][0]["reasons"][0]
    for batch in phone.session(calm_runs=1, loaded_runs=0, processor="cpu:7", device_id="phone-2"):
        reported.post("/v1/measurements", json=batch)
    borrowed = judge(reported, device_ids=["phone-2", phone.DEVICE_ID])
    assert [place["verdict"] for place in borrowed["places"]] == ["too_thin", "pass"]
    assert borrowed["verdict"] == "too_thin"
    assert "answers instead" in borrowed["places"][0]["processors"][0]["reasons"][0]


def test_a_processor_that_cannot_run_it_never_passes(reported: TestClient) -> None:
    (batch,) = phone.session(calm_runs=1, loaded_runs=0, seed=9)
    batch["device"]["processors"] = [{"name": phone.PROCESSOR, "kind": "cpu", "unsupported": ["Conv"]}]
    reported.post("/v1/measurements", json=batch)
    answer = judge(reported)
    assert answer["verdict"] == "fail"
    assert answer["places"][0]["processors"][0]["reasons"] == ["cannot run Conv"]


def test_one_processor_suffices_and_every_place_must_pass() -> None:
    assert _best([Verdict.FAIL, Verdict.PASS, Verdict.TOO_THIN]) is Verdict.PASS
    assert _best([Verdict.FAIL, Verdict.TOO_THIN]) is Verdict.TOO_THIN
    assert _worst([Verdict.PASS, Verdict.TOO_THIN]) is Verdict.TOO_THIN
    assert _worst([Verdict.PASS, Verdict.TOO_THIN, Verdict.FAIL]) is Verdict.FAIL


def test_wrong_requests_are_told_what_is_wrong(reported: TestClient) -> None:
    model = {"digest": phone.digest("middle")}
    here: dict[str, Any] = {"model": model, "limits_us": {"p95": 1.0}, "device_ids": [phone.DEVICE_ID]}
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"device_ids": []}, 422, "at least one of"),
        ({"device_ids": ["nobody"]}, 404, "nobody"),
        ({"socs": ["none"]}, 404, "none"),
        ({"processors": ["npu"]}, 404, "cpu:0"),
        ({"limits_us": {}}, 422, "at least 1"),
        ({"limits_us": {"p95": -1.0}}, 422, "greater than 0"),
        ({"limits_us": {"p42": 1.0}}, 422, "p95"),
        ({"model": {"digest": "sha256:00"}}, 404, "/v1/models"),
        ({"colour": "red"}, 422, "Extra"),
    ]
    for change, status, words in wrong:
        response = reported.post("/v1/gate", json=here | change)
        assert response.status_code == status, change
        assert response.headers["content-type"] == "application/problem+json"
        assert words in response.text, change


def test_names_cannot_break_out_of_the_markdown() -> None:
    processor = {"processor": "a|b", "verdict": "fail", "latency_us": {"p95": 5.0}, "reasons": ["<script>"]}
    place = {"device_id": "`x`\n", "soc": None, "verdict": "fail", "best": "a|b", "processors": [processor]}
    text = gate_markdown({"verdict": "fail", "limits_us": {"p95": 1.0}, "places": [place]}, "m.onnx")
    assert len(text.splitlines()) == 5
    assert "<script>" not in text
    assert text.splitlines()[-1].count("|") == 6


def test_a_pipeline_reads_the_exit_code(
    learned_database: Path,
    tmp_path: Path,
) -> None:
    shutil.copy(learned_database, tmp_path / "socast.db")
    model = tmp_path / "squeezenet.onnx"
    model.write_bytes(light("squeezenet"))
    with server(f"sqlite:///{tmp_path / 'socast.db'}") as running:
        address = f"http://127.0.0.1:{running.port}"

        def gate(*options: str, to: str = address) -> tuple[int, str]:
            done = CliRunner().invoke(
                build(), ["gate", str(model), "--server", to, *options], catch_exceptions=True
            )
            return done.exit_code, done.stdout

        here = ("--devices", phone.DEVICE_ID)
        code, text = gate("--p95-us", "33000", *here, "--json")
        assert code == 11
        assert json.loads(text)["verdict"] == "too_thin"
        code, text = gate("--p95-us", "33000", *here, "--markdown")
        assert (code, text.splitlines()[0]) == (11, "### squeezenet.onnx: too thin to say")
        assert gate("--p95-us", "33000")[0] == 2
        assert gate(*here)[0] == 2
        assert gate("--p95-us", "33000", *here, "--context", "hot")[0] == 2
        assert gate("--p95-us", "33000", "--devices", "nobody")[0] == 1
        assert gate("--p95-us", "33000", *here, to="http://127.0.0.1:9")[0] == 1

        for name, expected in (
            *(("errors", "group"), ("drift", "kind"), ("misses", "shares")),
            *(("coverage", "soc"), ("regret", "")),
        ):
            for how in ("table", "json", "csv", "parquet"):
                out = tmp_path / f"{name}.{how}"
                arguments = ["report", name, "--server", address, "--format", how, "--out", str(out)]
                done = CliRunner().invoke(build(), arguments)
                assert done.exit_code == 0, done.output
                assert out.stat().st_size > 0
            assert expected in (tmp_path / f"{name}.json").read_text()
        assert not list(tmp_path.glob("*.part"))
