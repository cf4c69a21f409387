"""Alerts and dashboard ask for metrics that the service exports, in valid PromQL."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml
from fastapi.testclient import TestClient

DOCKER = Path(__file__).parents[2] / "docker"


def alerts() -> Iterator[tuple[str, str]]:
    groups = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        yield rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "socast.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


QUERIES = dict([*alerts(), *panels()])


@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
def test_it_is_promql(query: str) -> None:
    promql_parser.parse(query)


def test_every_metric_asked_for_is_exported(client: TestClient) -> None:
    client.get("/v1/devices")
    page = client.get("/metrics").text
    known = set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE))
    asked = {name for query in QUERIES.values() for name in re.findall(r"\bsocast_\w+", query)}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= known


def test_each_metric_of_the_service_is_looked_at(client: TestClient) -> None:
    page = client.get("/metrics").text
    known = set(re.findall(r"^# TYPE (socast_\w+)", page, re.MULTILINE))
    shown = " ".join(query for _, query in panels())
    assert {name for name in known if name not in shown and not name.endswith("_created")} == set()


def test_the_scraped_port_and_the_data_source_fit_the_compose_file() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    scrape = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    (discovery,) = scrape["dns_sd_configs"]
    assert discovery["names"] == ["api"]
    assert compose["api"]["ports"] == [f"127.0.0.1:8321-8322:{discovery['port']}"]
    sources = (DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    (source,) = yaml.safe_load(sources)["datasources"]
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "socast.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    assert source["url"].split("//")[1].split(":")[0] in compose
