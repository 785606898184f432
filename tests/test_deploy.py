"""Files of the deployment: what they name exists, and what exists they name."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SETTINGS = (ROOT / ".env.example").read_text(encoding="utf-8")


def test_every_setting_of_compose_is_explained() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE))
    explained = re.findall(r"^([A-Z_]+)=", SETTINGS, re.MULTILINE)
    assert used == set(explained)


def test_a_default_names_no_other_setting() -> None:
    """The docker-compose of Debian 12 ends a setting at the first brace."""
    assert not re.search(r"\$\{[^}]*\$", COMPOSE)


def test_no_secret_is_among_the_arguments_of_a_process() -> None:
    script = (ROOT / "deploy/mlflow-server").read_text(encoding="utf-8")
    assert "postgresql" not in script[script.index("exec mlflow") :]


def test_no_secret_has_a_default() -> None:
    for name in ("POSTGRES_PASSWORD", "RAY_AUTH_TOKEN"):
        assert f"${{{name}:?" in COMPOSE
        assert re.search(rf"^{name}=$", SETTINGS, re.MULTILINE)


def test_only_the_service_can_be_published_beyond_loopback() -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    published = {
        name: [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
        for name, service in services.items()
    }
    assert {name for name, ports in published.items() if ports} == {"gatetune"}
    assert published["gatetune"] == ["${GATETUNE_BIND:-127.0.0.1}:${GATETUNE_PORT:-8765}:8765"]


@pytest.mark.parametrize("name", ["postgres", "mlflow", "ray-head", "gatetune"])
def test_services_say_how_they_are(name: str) -> None:
    service = yaml.safe_load(COMPOSE)["services"][name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]


class TestKubeRay:
    @pytest.fixture
    def cluster(self) -> dict[str, Any]:
        cluster: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kuberay.yaml").read_text())
        return cluster

    def test_it_is_a_cluster_of_this_ray(self, cluster: dict[str, Any]) -> None:
        lock = (ROOT / "deploy/requirements.lock").read_text(encoding="utf-8")
        assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
        assert f"]=={cluster['spec']['rayVersion']} " in lock

    def test_its_pods_are_kubernetes_own(self, cluster: dict[str, Any]) -> None:
        groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
        for group in groups:
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}
            validate(pod | group["template"], "1.34", strict=True)

    def test_its_nodes_have_the_settings_of_compose(self, cluster: dict[str, Any]) -> None:
        in_compose = yaml.safe_load(COMPOSE)["x-gatetune"]["environment"]
        groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
        for group in groups:
            pod = group["template"]["spec"]
            (container,) = pod["containers"]
            names = {one["name"] for one in container["env"]}
            assert names <= set(in_compose)
            assert {"GATETUNE_HOME", "GATETUNE_DATABASE_URL", "RAY_AUTH_TOKEN"} <= names
            assert container["resources"]["limits"]
            volumes = {volume["name"] for volume in pod["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert all(isinstance(value, str) for value in group["rayStartParams"].values())
            secrets = [one for one in container["env"] if "valueFrom" in one]
            assert {one["name"] for one in secrets} >= {"GATETUNE_DATABASE_URL", "RAY_AUTH_TOKEN"}
