"""What no schema says of `cluster/`: no password, no open door, no right too many, and the project's own versions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.recipes import CLUSTER, FILES, RECIPES, ROOT, documents, mappings, name_of, pod_specs

SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY", re.IGNORECASE)
FROM_ENVIRONMENT = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))

YAML = [path for path in RECIPES if path.suffix == ".yaml"]
WITH_RAY = [path for path in RECIPES if re.search(r"\bray start\b|kind: Ray(Cluster|Job)\b", path.read_text())]
CLOUDS = [CLUSTER / "ray/aws.yaml", CLUSTER / "ray/gcp.yaml"]


def secrets_in(text: str) -> Iterator[str]:
    """Yield what looks like a secret in a recipe: a URI with a password, a long random word, a value of an environment."""
    yield from re.findall(r"\w+://[^\s/@]+:[^\s/@]+@", text)
    yield from re.findall(r"\b[0-9a-f]{32,}\b|\b(?=\w*\d)(?=\w*[A-Z])(?=\w*[a-z])\w{32,}\b", text)
    yield from re.findall(r"\b(?:RAY_AUTH_TOKEN|\w*PASSWORD|\w*SECRET_KEY)=[\"']?(?!\$)\w+", text)


def plain_secrets_in(document: Any) -> Iterator[str]:
    """Yield the names of variables of a YAML document whose secret value stands there."""
    for mapping in mappings(document):
        if mapping.get("kind") == "Secret":
            yield "Secret"
        pairs = mapping["environment"].items() if isinstance(mapping.get("environment"), dict) else ()
        listed = ((str(mapping["name"]), str(mapping["value"])),) if {"name", "value"} <= set(mapping) else ()
        for name, value in (*pairs, *listed):
            if SECRET.search(name) and not FROM_ENVIRONMENT.fullmatch(str(value)):
                yield name


def open_doors_in(text: str) -> Iterator[str]:
    """Yield lines that bind to every address, but for an MLflow that asks for a name and a password."""
    guarded = "--app-name=basic-auth" in text
    for line in text.splitlines():
        mlflow = guarded and "--host=0.0.0.0" in line
        if re.search(r"0\.0\.0\.0|\[?::\]?/0|hostNetwork|hostPort|NodePort|LoadBalancer", line) and not mlflow:
            yield line
        if (host := re.search(r"--dashboard-host[= ]?(\S+)", line)) and not host[1].startswith("127.0.0.1"):
            yield line


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_no_recipe_holds_a_secret(path: Path) -> None:
    assert list(secrets_in(path.read_text())) == []
    if path in YAML:
        assert [name for document in documents(path) for name in plain_secrets_in(document)] == []


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_nothing_listens_for_everybody(path: Path) -> None:
    assert list(open_doors_in(path.read_text())) == []


@pytest.mark.parametrize("path", WITH_RAY, ids=name_of)
def test_every_ray_asks_for_a_token(path: Path) -> None:
    text = path.read_text()
    clusters = [one for one in mappings(documents(path) if path in YAML else []) if "headGroupSpec" in one]
    assert all(cluster["authOptions"] == {"mode": "token"} for cluster in clusters)
    assert clusters or "RAY_AUTH_MODE=token" in text
    if path in YAML and not clusters:  # the launcher: each command by itself, and the file with the token
        config = documents(path)[0]
        starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
        assert all("RAY_AUTH_MODE=token" in command for command in starts if "ray start" in command)
        assert any(place.endswith("/.ray/auth_token") for place in config["file_mounts"])


def test_a_published_port_is_on_loopback() -> None:
    (compose,) = documents(CLUSTER / "compose/compose.yaml")
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"mlflow": ["127.0.0.1:5000:5000"]}
    assert compose["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize(
    "wrong",
    [
        "MLFLOW_TRACKING_URI: postgresql://mlflow:hunter2@db/mlflow",
        "export RAY_AUTH_TOKEN=abc",
        "token: 0123456789abcdef0123456789abcdef",
        "POSTGRES_PASSWORD=hunter2",
    ],
)
def test_a_secret_would_be_found(wrong: str) -> None:
    assert list(secrets_in(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        "{services: {db: {environment: {POSTGRES_PASSWORD: hunter2}}}}",
        "{services: {db: {environment: {POSTGRES_PASSWORD: '${POSTGRES_PASSWORD:-hunter2}'}}}}",
        "{spec: {containers: [{env: [{name: ADMIN_PASSWORD, value: hunter2}]}]}}",
        "{kind: Secret, stringData: {x: y}}",
    ],
)
def test_a_secret_in_an_environment_would_be_found(wrong: str) -> None:
    assert list(plain_secrets_in(yaml.safe_load(wrong)))


@pytest.mark.parametrize(
    "wrong",
    [
        "ray start --head --dashboard-host=10.0.0.1",
        "mlflow server --host=0.0.0.0",
        "type: LoadBalancer",
        "cidr 0.0.0.0/0",
    ],
)
def test_an_open_door_would_be_found(wrong: str) -> None:
    assert list(open_doors_in(wrong))


@pytest.mark.parametrize("path", CLOUDS, ids=name_of)
def test_on_a_cloud_the_head_has_a_role_and_trains_nothing_and_workers_are_spot_and_have_none(path: Path) -> None:
    (config,) = documents(path)
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert any("ray start --head" in one and "--num-cpus=0" in one for one in config["head_start_ray_commands"])
    role = {"IamInstanceProfile", "serviceAccounts"}
    assert len(role & set(head["node_config"])) == 1, "else Ray makes one with every right"
    for worker in types.values():
        spot = [worker["node_config"].get("InstanceMarketOptions"), worker["node_config"].get("scheduling")]
        assert "spot" in str(spot).lower()
        assert not role & set(worker["node_config"])


def test_the_head_on_aws_may_do_little() -> None:
    statements = json.loads((CLUSTER / "ray/aws_head_policy.json").read_text())["Statement"]
    for one in statements:
        actions = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
        assert all(action.startswith("ec2:") and "*" not in action for action in actions)
        everything = one["Resource"] == "*"
        assert not everything or all(action.startswith("ec2:Describe") for action in actions)
        if "ec2:TerminateInstances" in actions:
            assert one["Condition"]["StringEquals"] == {"aws:ResourceTag/ray-cluster-name": "mtlsweep"}
    (config,) = documents(CLUSTER / "ray/aws.yaml")
    assert config["cluster_name"] == "mtlsweep", "the tag that the policy names"


def test_no_pod_is_root_or_may_ask_kubernetes() -> None:
    specs = [spec for path in YAML if path.parent.name == "kubernetes" for spec in pod_specs(documents(path))]
    assert len(specs) == 7
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_only_the_head_knows_the_password_of_mlflow() -> None:
    for path in (CLUSTER / "kubernetes/raycluster.yaml", CLUSTER / "kubernetes/rayjob.yaml"):
        for cluster in (one for one in mappings(documents(path)) if "headGroupSpec" in one):
            assert "MLFLOW_TRACKING_PASSWORD" in str(cluster["headGroupSpec"])
            assert "MLFLOW" not in str(cluster["workerGroupSpecs"])


def test_versions_are_those_of_the_constraints() -> None:
    texts = {path: path.read_text() for path in RECIPES}
    pinned = [pin for text in texts.values() for pin in re.findall(r"\b([\w.-]+)==(\d[\w.]*)", text)]
    assert {name: version for name, version in pinned if PINS.get(name) != version} == {}
    rays = [one["rayVersion"] for path in YAML for one in mappings(documents(path)) if "rayVersion" in one]
    assert rays == [PINS["ray"]] * 2
    installs = [line for text in texts.values() for line in re.findall(r".*\bpip install\b.*", text)]
    loose = [line.strip() for line in installs if "constraints.txt" not in line and not line.endswith(" uv")]
    assert len(installs) >= 8 and loose == []


def test_the_image_has_the_python_of_the_launchers() -> None:
    assert "FROM python:3.11-" in (CLUSTER / "Dockerfile").read_text()
    assert all("--python 3.11 " in path.read_text() for path in CLOUDS)


def test_folders_and_files_are_as_small_as_the_packages() -> None:
    assert max(Counter(path.parent for path in FILES).values()) <= 13
    assert {name_of(path): lines for path in FILES if (lines := len(path.read_text().splitlines())) > 300} == {}


def test_every_recipe_says_what_to_do_and_what_it_costs() -> None:
    folders = {path.parent for path in RECIPES} - {CLUSTER}
    assert {folder.name for folder in folders} == {"compose", "kubernetes", "ray", "slurm"}
    for folder in folders:
        text = (folder / "README.md").read_text()
        assert "```sh" in text and "## What it costs to leave it running" in text
