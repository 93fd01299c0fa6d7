"""Every YAML file of `cluster/` is what its reader takes: Ray's launcher, Compose, Kubernetes, KubeRay, gcloud."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml

from tests.cluster.recipes import CLUSTER, SCRIPTS, YAML, documents, name_of, pod_specs

ROLE = CLUSTER / "ray/gcp_head_role.yaml"
LAUNCHER = [path for path in YAML if path.parent.name == "ray" and path != ROLE]
COMPOSE = [path for path in YAML if path.parent.name == "compose"]
KUBERNETES = [path for path in YAML if path.parent.name == "kubernetes"]
KUBERNETES_VERSION = "1.31"

OBJECTS = [(path, document) for path in KUBERNETES for document in documents(path)]
CORE = [one for one in OBJECTS if not one[1]["apiVersion"].startswith("ray.io/")]
RAY = [one for one in OBJECTS if one[1]["apiVersion"].startswith("ray.io/")]

CRDS = "KUBERAY_CRDS"
"""An environment variable with the folder of KubeRay's CRDs (`ray-operator/config/crd/bases` of its repository)."""


def id_of(value: Any) -> str:
    return name_of(value) if isinstance(value, Path) else f"{value['kind']}-{value['metadata']['name']}"


def test_every_yaml_file_has_a_schema_here() -> None:
    assert sorted([*LAUNCHER, *COMPOSE, *KUBERNETES, ROLE]) == YAML


@pytest.mark.parametrize("path", LAUNCHER, ids=name_of)
def test_rays_launcher_takes_it(path: Path) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    for config in documents(path):
        jsonschema.validate(config, schema)
        types = config.get("available_node_types", {})
        assert not types or config["head_node_type"] in types
        workers = [kind for name, kind in types.items() if name != config["head_node_type"]]
        assert config.get("max_workers", 0) >= sum(kind["min_workers"] for kind in workers)


@pytest.mark.slow
@pytest.mark.parametrize("path", COMPOSE, ids=name_of)
def test_compose_takes_it(path: Path) -> None:
    place = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(place.read_text())
    (config,) = documents(path)
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "servces": {}}, schema)


@pytest.mark.parametrize(("path", "document"), CORE, ids=id_of)
def test_kubernetes_takes_it(path: Path, document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**document, "metadat": {}}, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize(("path", "document"), RAY, ids=id_of)
def test_kubernetes_takes_the_pods_of_ray(path: Path, document: dict[str, Any]) -> None:
    specs = pod_specs(document)
    assert len(specs) >= 2
    for spec in specs:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate({**pod, "spec": {**spec, "contaners": []}}, KUBERNETES_VERSION, strict=True)


def closed(schema: Any) -> Any:
    """Return an OpenAPI schema that refuses fields it does not name, which a Kubernetes server drops in silence."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not free:
        result.setdefault("additionalProperties", False)
    return result


@pytest.mark.parametrize(("path", "document"), RAY, ids=id_of)
def test_kuberay_takes_it(path: Path, document: dict[str, Any]) -> None:
    if CRDS not in os.environ:
        pytest.skip(f"KubeRay's CRDs are in no package: set {CRDS} to a folder of them")
    group, version = document["apiVersion"].split("/")
    crd = yaml.safe_load((Path(os.environ[CRDS]) / f"{group}_{document['kind'].lower()}s.yaml").read_text())
    (schema,) = [one["schema"] for one in crd["spec"]["versions"] if one["name"] == version]
    whole = closed(schema["openAPIV3Schema"])
    whole["properties"]["metadata"] = {"type": "object"}
    jsonschema.validate(document, whole)
    wrong = copy.deepcopy(document)
    wrong["spec"]["rayVersoin"] = "2"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, whole)


def test_the_role_on_gcp_is_what_gcloud_reads() -> None:
    """No schema of it is published; its documentation names these fields, and forms of permissions."""
    (role,) = documents(ROLE)
    assert set(role) == {"title", "description", "stage", "includedPermissions"}
    assert all(re.fullmatch(r"compute(\.[a-zA-Z]+){2}", permission) for permission in role["includedPermissions"])


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_the_shell_takes_it(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    beside = Path(sys.executable).with_name("shellcheck")
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("no shellcheck here (it comes with the extra `dev`)")
    done = subprocess.run([shellcheck, "--severity=warning", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
