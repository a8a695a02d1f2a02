"""The container file and the Kubernetes manifests: fields that exist, files that are there, commands that would run."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.cluster.job_server import FLINK_ARTIFACT
from jobs.cluster.options import parsed, runner_of
from jobs.commands import steps
from jobs.config import RunConfig
from jobs.settings import build

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "jobs/deploy"
# The schema of the operator's own resource (flinkdeployments.flink.apache.org, v1beta1), without its pods.
MAPPING: dict[str, Any] = {}
RESOURCE = {"cpu": (int, float), "memory": str, "ephemeralStorage": str}
FLINK_DEPLOYMENT = {
    "image": str, "imagePullPolicy": str, "serviceAccount": str, "mode": {"native", "standalone"},
    "flinkVersion": {f"v1_{minor}" for minor in range(15, 21)} | {"v2_0", "v2_1", "v2_2"},
    "flinkConfiguration": MAPPING, "logConfiguration": MAPPING, "ingress": MAPPING, "podTemplate": MAPPING, "job": MAPPING,
    "restartNonce": int,
    "jobManager": {"replicas": int, "resource": RESOURCE, "podTemplate": MAPPING},
    "taskManager": {"replicas": int, "resource": RESOURCE, "podTemplate": MAPPING},
}  # fmt: skip


def documents(kind: str = "") -> list[Any]:
    found = [each for path in sorted(DEPLOY.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text("utf-8"))]
    return [each for each in found if kind in ("", each["kind"])]


def wrong_fields(value: Any, schema: Any, where: str) -> list[str]:
    if schema is MAPPING:
        return [] if isinstance(value, dict) else [f"{where} is no mapping"]
    if isinstance(schema, dict):
        unknown = [f"{where}.{name} does not exist" for name in value if name not in schema]
        return unknown + [
            each
            for name in value
            if name in schema
            for each in wrong_fields(value[name], schema[name], f"{where}.{name}")
        ]
    if isinstance(schema, set):
        return [] if value in schema else [f"{where} is {value!r}"]
    return [] if isinstance(value, schema) and not isinstance(value, bool) else [f"{where} is {value!r}"]


@pytest.mark.parametrize("document", documents(), ids=lambda each: each["kind"])
def test_manifests_fit_the_schema_of_kubernetes(document: Any) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs pip install kubernetes-validate")
    if document["kind"] == "FlinkDeployment":
        assert wrong_fields(document["spec"], FLINK_DEPLOYMENT, "spec") == []
        assert all(isinstance(value, str) for value in document["spec"]["flinkConfiguration"].values())
        template = document["spec"]["taskManager"]["podTemplate"]
        document = {"apiVersion": "v1", "kind": "Pod", **{key: template[key] for key in ("metadata", "spec")}}
    validate.validate(document, "1.33", strict=True)


def test_a_wrong_field_is_found() -> None:
    assert wrong_fields({"taskManager": {"replica": 3}}, FLINK_DEPLOYMENT, "spec") == ["spec.taskManager.replica does not exist"]  # fmt: skip
    assert wrong_fields({"mode": "cluster"}, FLINK_DEPLOYMENT, "spec") == ["spec.mode is 'cluster'"]


def test_the_parts_fit_each_other() -> None:
    """Ports, parallelism and Flink's version agree between the cluster and the driver."""
    (cluster,), (driver,) = documents("FlinkDeployment"), documents("Job")
    spec, settings = cluster["spec"], cluster["spec"]["flinkConfiguration"]
    words = shlex.split(driver["spec"]["template"]["spec"]["containers"][0]["args"][0].replace(";", " ; "))
    given = [word for word in words if word.startswith("--") and word != "--"]
    assert runner_of(given) == "FlinkRunner"
    options = parsed(given)
    pool = next(
        each for each in spec["taskManager"]["podTemplate"]["spec"]["containers"] if each["name"] == "worker-pool"
    )
    assert options["environment_config"] == f"localhost:{pool['command'][-1]}"
    assert options["flink_master"] == f"{cluster['metadata']['name']}-rest:8081"
    slots = int(settings["taskmanager.numberOfTaskSlots"]) * spec["taskManager"]["replicas"]
    assert options["parallelism"] == int(settings["parallelism.default"]) == slots
    version = spec["flinkVersion"].removeprefix("v").replace("_", ".")
    assert spec["image"].startswith(f"flink:{version}.")
    assert FLINK_ARTIFACT.format(version) in options["flink_job_server_jar"]
    jobs = words[words.index("in") + 1 : words.index(";", words.index("in"))]
    assert set(jobs) <= {*steps._STEPS, "train-tokenizer", "pack"}


def test_the_settings_are_settings() -> None:
    import tomllib

    (config,) = documents("ConfigMap")
    settings = tomllib.loads(config["data"]["settings.toml"])
    build(RunConfig, settings)
    example = tomllib.loads((ROOT / "jobs/configs/common-crawl-cluster.toml").read_text("utf-8"))
    assert settings == {name: table for name, table in example.items() if name not in ("model", "train")}


def test_pods_need_no_privileges() -> None:
    (driver,) = documents("Job")
    pods = [
        driver["spec"]["template"]["spec"],
        documents("FlinkDeployment")[0]["spec"]["taskManager"]["podTemplate"]["spec"],
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            if container["name"] != "flink-main-container":
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert "memory" in container["resources"]["limits"], "one pod could take the memory of all"


# --- the container file -------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    lines = re.sub(
        r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    ).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def test_the_container_file_is_in_order() -> None:
    found = instructions()
    known = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in found} <= known
    assert found[0][0] == "FROM"
    for name, rest in found:
        if name == "FROM":
            assert ":" in rest.split()[0], f"{rest}: which version?"
            assert not rest.split()[0].endswith(":latest")
        if name in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list), "the form that needs no shell"
        if name == "RUN" and "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists" in rest
        if name == "RUN" and "pip install" in rest:
            assert "--constraint constraints.txt" in rest
    assert [rest for name, rest in found if name == "USER"][-1] not in ("root", "0")


def test_what_the_container_file_copies_is_there() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                path = arguments[source.strip("${}")] if source.startswith("$") else source
                assert (ROOT / path).exists(), f"COPY {path}"


def test_the_image_is_of_our_beam_and_python() -> None:
    import apache_beam

    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert f"apache/beam_python3.11_sdk:{apache_beam.__version__}" in bases
