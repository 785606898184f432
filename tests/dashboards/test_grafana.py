"""The board and the alerts ask for numbers that there are, of a service and of a Ray that run."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.search.conftest import add_job
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC, tell
from tests.servers import free_port

ROOT = Path(__file__).parent.parent.parent
GRAFANA = ROOT / "dashboards" / "grafana"
BOARD = json.loads((GRAFANA / "boards" / "gatetune.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]

PATIENCE_S = 90.0

ADDED = {"job", "instance"}
"""Labels that Prometheus gives to all that it scrapes."""

WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "bool"}
"""Identifiers of a query that are no metrics."""

QUERIES = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(rule["expr"]
      for group in yaml.safe_load((GRAFANA / "alerts.yml").read_text(encoding="utf-8"))["groups"]
      for rule in group["rules"]),
]  # fmt: skip


def read(name: str) -> Any:
    return yaml.safe_load((GRAFANA / name).read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


@dataclass
class Samples:
    """What has been scraped: for each metric, the labels of its samples."""

    labels: dict[str, list[dict[str, str]]]

    @classmethod
    def of(cls, *texts: str) -> "Samples":
        found: dict[str, list[dict[str, str]]] = {"up": [{}]}
        for text in texts:
            for family in text_string_to_metric_families(text):
                for one in family.samples:
                    found.setdefault(one.name, []).append(one.labels)
        return cls(found)

    def has(self, name: str, matchers: list[tuple[str, str, str]]) -> bool:
        """Whether there is a sample of a metric that a query's matchers choose."""
        return any(
            all(
                label in ADDED
                or (label in labels and re.fullmatch(value if how == "=~" else re.escape(value),
                                                     labels[label]))
                for label, how, value in matchers
            )
            for labels in self.labels.get(name, [])
        )  # fmt: skip

    def labels_of(self, name: str) -> set[str]:
        return ADDED.union(*self.labels.get(name, []))


def selectors(query: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the metrics of a query, each with the matchers on its labels."""
    bare = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)|\[[^\]]*\]", " ", query)
    found = re.findall(r"\b([A-Za-z_:][\w:]*)\b(?!\s*\()(?:\{([^}]*)\})?", bare)
    return [
        (name, re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers))
        for name, matchers in found
        if name not in WORDS
    ]


def grouped(query: str) -> set[str]:
    """Return the labels by which a query groups, or that it ignores."""
    found = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", query)
    return {label for labels in found for label in re.findall(r"\w+", labels)}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with a finished job and one that waits, that answered well and badly."""
    with serving(fresh(tmp_path_factory.mktemp("home"))) as service:
        tell(service)
        add_job(service.store, SPEC, "waits-0001", status="queued", supervised=True)
        service.get("/jobs")
        service.service.trouble = lambda: ["MLflow's server is down"]
        assert service.ask("GET", "/ready").status_code == 503
        yield service


@pytest.fixture(scope="module")
def ray_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a node of Ray tells that was started as docker-compose.yml starts its head.

    It has a processor and a GPU, as Ray counts them, and ports of its own.
    """
    command = compose()["ray-head"]["command"]
    port = free_port()
    for given, own in [
        ("--port=6379", f"--port={free_port()}"),
        ("--metrics-export-port=8080", f"--metrics-export-port={port}"),
        ("--dashboard-host=0.0.0.0", f"--dashboard-port={free_port()}"),
        ("--num-cpus=0", "--num-cpus=1"),
        ("--num-gpus=0", "--num-gpus=1"),
    ]:
        assert f" {given} " in command
        command = command.replace(given, own)
    log = tmp_path_factory.mktemp("ray") / "ray.log"
    # Names of sockets must be short.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, log.open("w") as out:
        more = [
            f"--dashboard-agent-listen-port={free_port()}",
            f"--ray-client-server-port={free_port()}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--object-store-memory=80000000",
            f"--temp-dir={folder}",
        ]
        ray = subprocess.Popen(
            [str(Path(sys.executable).parent / "ray"), *command.split()[1:], *more],
            stdout=out,
            stderr=out,
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-tests" * 8},
        )
        try:
            yield scraped(f"http://127.0.0.1:{port}/metrics", ray, log)
        finally:
            ray.send_signal(signal.SIGTERM)
            ray.wait()


def scraped(url: str, ray: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return what is told once it is all there: a node counts its resources after it has begun."""
    deadline = time.monotonic() + PATIENCE_S
    text = ""
    while "ray_resources{" not in text or "ray_node_mem_used{" not in text:
        with suppress(subprocess.TimeoutExpired):
            ray.wait(0.2)
        assert ray.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"not all is told by {url}:\n{log.read_text()}"
        with suppress(requests.RequestException):
            text = requests.get(url, timeout=5).text
    return text


@pytest.fixture(scope="module")
def samples(told: Served, ray_metrics: str) -> Samples:
    return Samples.of(told.ask("GET", "/metrics").text, ray_metrics)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(samples: Samples, query: str) -> None:
    asked = selectors(query)
    assert asked
    for name, matchers in asked:
        assert samples.has(name, matchers), f"no sample of {name} has {matchers}"
        assert grouped(query) <= samples.labels_of(name)


def test_legends_name_labels_that_their_queries_leave(samples: Samples) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
            ((metric, _), *_) = selectors(target["expr"])
            left = grouped(target["expr"]) or samples.labels_of(metric)
            assert named <= left, panel["title"]


def test_panels_can_be_read_by_a_person() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_no_two_panels_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_datasource_of_the_board_is_the_one_that_is_provided() -> None:
    (source,) = read("provisioning/datasources/prometheus.yaml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert {panel["datasource"]["type"] for panel in PANELS} == {source["type"]}
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in compose()


def test_grafana_and_prometheus_find_their_files() -> None:
    (provider,) = read("provisioning/dashboards/gatetune.yaml")["providers"]
    mounted = {
        target: source
        for name in ("grafana", "prometheus")
        for source, target, *_ in (one.split(":") for one in compose()[name]["volumes"])
    }
    assert ROOT / mounted[provider["options"]["path"]] == GRAFANA / "boards"
    assert ROOT / mounted["/etc/grafana/provisioning"] == GRAFANA / "provisioning"
    assert ROOT / mounted["/etc/prometheus/prometheus.yml"] == GRAFANA / "prometheus.yml"
    for rules in read("prometheus.yml")["rule_files"]:
        assert (ROOT / mounted[rules]).is_file()


def test_prometheus_scrapes_what_compose_starts(told: Served) -> None:
    scraped_jobs = {job["job_name"]: job for job in read("prometheus.yml")["scrape_configs"]}
    (target,) = scraped_jobs["gatetune"]["static_configs"][0]["targets"]
    service, port = target.split(":")
    assert compose()[service]["ports"][0].endswith(f":{port}")
    assert told.ask("GET", scraped_jobs["gatetune"]["metrics_path"]).status_code == 200
    (nodes,) = scraped_jobs["ray"]["dns_sd_configs"]
    for name in nodes["names"]:
        assert f"--metrics-export-port={nodes['port']} " in compose()[name]["command"]
