"""deploy/kubernetes: valid for Kubernetes and its extensions, and in agreement with the server, its
images, its Ray application and its metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cli.serve import build_parser
from sparktts_ms.serving.monitoring.health import PATHS
from sparktts_ms.serving.monitoring.metrics import Metrics
from tests.deploy.kustomize import load, render
from tests.deploy.manifests import (
    APPLIED,
    FOLDER,
    LOADER,
    OVERLAYS,
    check_query,
    dashboard,
    find,
    objects_of,
    ports,
    ray,
    ray_templates,
    relabel,
    server,
    templates,
)
from tests.deploy.schemas import CUSTOM
from tests.helpers import ROOT, free_port

VERSIONS = ("1.27", "1.37")         # of Kubernetes: an old one, and the newest of the validator
RESOURCES = {"mindcluster": "huawei.com/Ascend910", "cce": "huawei.com/ascend-1980"}
KUBERAY_LABELS = {"ray.io/is-ray-node": "yes"}      # which it gives its pods
MARGIN = 10                         # seconds between a drain and its end by force


def by_overlay(names=OVERLAYS):
    return pytest.mark.parametrize("name", names)


def deployment_of(template):
    """A Deployment of these pods: the validator knows whole objects."""
    labels = template["metadata"]["labels"]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pods"},
            "spec": {"selector": {"matchLabels": labels}, "template": template}}


def selects(selector, labels):
    """Whether a selector of Kubernetes matches these labels."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    assert all(each["operator"] == "In" for each in selector.get("matchExpressions", []))
    return (selector.get("matchLabels", {}).items() <= labels.items()
            and all(labels.get(each["key"]) in each["values"]
                    for each in selector.get("matchExpressions", [])))


def seconds(probe):
    """How long it may fail."""
    return probe["periodSeconds"] * probe["failureThreshold"]


def arguments(name):
    """The server's, as it reads them."""
    entry, *flags = server(name)[1]["args"]
    assert entry == "cli.serve"
    return build_parser().parse_args(flags)


def engine_options(config):
    deployments = config["applications"][0]["deployments"]
    return next(each for each in deployments if each["name"] == "Engine")


# Schemas


@pytest.mark.parametrize("version", VERSIONS)
@by_overlay([*APPLIED, "loader"])
def test_every_object_is_valid(name, version):
    objects = objects_of(name)
    for each in objects:
        if each["kind"] in CUSTOM:
            jsonschema.validate(each, CUSTOM[each["kind"]])
        else:
            kubernetes_validate.validate(each, version, strict=True)
        for template in ray_templates(each) if each["kind"] == "RayService" else []:
            kubernetes_validate.validate(deployment_of(template), version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_misspelled_fields_are_found(version):
    objects = render(OVERLAYS["ray-ascend"])
    service = find(objects, "RayService")
    template = ray_templates(service)[1]
    template["spec"]["containers"][0]["livnessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment_of(template), version, strict=True)
    service["spec"]["rayClusterConfig"]["rayVersoin"] = "2.60.0"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(service, CUSTOM["RayService"])


def in_order(value):
    """Lists of named things by name: kustomize keeps another order than we do."""
    if isinstance(value, dict):
        return {key: in_order(each) for key, each in value.items()}
    if isinstance(value, list):
        entries = [in_order(each) for each in value]
        if entries and all(isinstance(each, dict) and "name" in each for each in entries):
            entries.sort(key=lambda each: each["name"])
        return entries
    return value


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
@by_overlay(APPLIED)
def test_kubectl_renders_what_these_tests_see(name):
    done = subprocess.run(["kubectl", "kustomize", APPLIED[name]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def by_name(objects):
        return {(each["kind"], each["metadata"]["name"]): in_order(each) for each in objects}

    assert by_name(yaml.safe_load_all(done.stdout)) == by_name(render(APPLIED[name]))


@pytest.mark.parametrize("device", ["cpu", "ascend"])
def test_with_its_component_keda_sets_the_replicas(tmp_path, device):
    folder = shutil.copytree(FOLDER, tmp_path / "kubernetes") / "overlays" / device
    file = folder / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text(encoding="utf-8"))
    kustomization.setdefault("components", []).append("../../components/autoscaling")
    file.write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    objects = render(folder)
    scaled, deployment = find(objects, "ScaledObject"), find(objects, "Deployment")
    jsonschema.validate(scaled, CUSTOM["ScaledObject"])
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]         # an apply would set them again
    trigger = scaled["spec"]["triggers"][0]["metadata"]
    check_query(trigger["query"])
    assert 0 < float(trigger["threshold"]) <= 16


# One setting: the name of an NPU


def with_plugin(folder, plugin):
    """A copy of deploy/kubernetes with one line of one file changed."""
    shutil.copytree(FOLDER, folder)
    file = folder / "components" / "npu" / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("  - mindcluster ") == 1
    file.write_text(text.replace("  - mindcluster ", f"  - {plugin} "), encoding="utf-8")
    return folder


@pytest.mark.parametrize("plugin", RESOURCES)
def test_one_line_names_the_resource(tmp_path, plugin):
    folder = with_plugin(tmp_path / "kubernetes", plugin)
    assert {path.name for path in (folder / "components" / "npu").iterdir() if path.is_dir()} == {
        *RESOURCES}
    (pods,) = templates(render(folder / "overlays" / "ascend"))
    head, workers = templates(render(folder / "ray" / "overlays" / "ascend"))
    for template in (pods, workers):
        limits = template["spec"]["containers"][0]["resources"]["limits"]
        assert {name: limits[name] for name in limits if "/" in name} == {RESOURCES[plugin]: "1"}
    assert "huawei.com" not in json.dumps(head)


@by_overlay()
def test_pods_without_a_device_say_so(name):
    for template in templates(render(OVERLAYS[name])):
        container = template["spec"]["containers"][0]
        environment = {each["name"]: each.get("value") for each in container["env"]}
        has_device = "huawei.com" in json.dumps(container["resources"])
        assert has_device == (name.endswith("ascend") and container["name"] != "ray-head")
        assert (environment.get("ASCEND_VISIBLE_DEVICES") == "void") is not has_device


# Agreement with the server


@by_overlay(["cpu", "ascend"])
def test_ports_are_the_servers(name):
    args = arguments(name)
    _, container = server(name)
    assert ports(container) == {"http": args.port, "grpc": args.grpc_port}
    service = find(render(OVERLAYS[name]), "Service")
    offered = {port["name"]: (port["port"], port["targetPort"])
               for port in service["spec"]["ports"]}
    assert offered == {"http": (args.port, "http"), "grpc": (args.grpc_port, "grpc")}
    assert args.host == "0.0.0.0"
    assert args.device_target == {"cpu": "CPU", "ascend": "Ascend"}[name]


@by_overlay(["cpu", "ascend"])
def test_probes_ask_what_the_server_answers(name):
    deployment, container = server(name)
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    for probe in probes.values():
        assert probe["httpGet"]["port"] == "http"
        assert probe["httpGet"]["path"] in PATHS
    assert probes["liveness"]["httpGet"]["path"] == "/health/live"
    assert probes["readiness"]["httpGet"]["path"] == "/health/ready"
    assert probes["startup"]["httpGet"]["path"] == "/health/ready"
    assert seconds(probes["startup"]) >= {"cpu": 300, "ascend": 1800}[name]
    assert deployment["spec"]["progressDeadlineSeconds"] > seconds(probes["startup"])


@by_overlay(["cpu", "ascend"])
def test_requests_in_progress_are_finished(name):
    deployment, container = server(name)
    sleep, before = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(before) >= seconds(container["readinessProbe"])
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= int(before) + arguments(name).drain_seconds + MARGIN


def test_an_update_keeps_capacity_where_there_is_room():
    deployment, _ = server("cpu")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    deployment, _ = server("ascend")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


@by_overlay(["cpu", "ascend"])
def test_paths_are_on_volumes(name):
    args = arguments(name)
    _, container = server(name)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[str(Path(args.model_dir).parent)].get("readOnly")
    assert not mounts[str(args.voices)].get("readOnly")


@by_overlay(["cpu", "ascend"])
def test_selectors_match_the_pods(name):
    objects = render(OVERLAYS[name])
    deployment = find(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert selects(deployment["spec"]["selector"], labels)
    assert selects({"matchLabels": find(objects, "Service")["spec"]["selector"]}, labels)
    assert selects(find(objects, "PodDisruptionBudget")["spec"]["selector"], labels)
    assert selects(find(objects, "NetworkPolicy")["spec"]["podSelector"], labels)
    (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert selects(spread["labelSelector"], labels)
    (rule,) = find(objects, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == {"http", "grpc"}
    (head, workers) = templates(render(OVERLAYS[f"ray-{name}"]))
    for other in (head, workers):       # of the same namespace
        assert not selects(deployment["spec"]["selector"], other["metadata"]["labels"])


# All pods


@by_overlay([*OVERLAYS, "loader"])
def test_pods_are_restricted(name):
    """As the Pod Security Standard `restricted`, and nobody writes to the root file system."""
    objects = objects_of(name)
    for template in templates(objects):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert_contained(container["securityContext"])
        for volume in pod["volumes"]:
            assert volume.keys() - {"name"} <= {"emptyDir", "persistentVolumeClaim"}
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]
        assert pod["enableServiceLinks"] is False
        is_head = pod["containers"][0]["name"] == "ray-head"        # its autoscaler asks for pods
        assert pod.get("automountServiceAccountToken") is (None if is_head else False)
    for each in objects:
        if each["kind"] == "RayService":
            autoscaler = each["spec"]["rayClusterConfig"]["autoscalerOptions"]
            assert_contained(autoscaler["securityContext"])


def assert_contained(context):
    assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                       "capabilities": {"drop": ["ALL"]}}


@by_overlay([*OVERLAYS, "loader"])
def test_every_mount_has_a_volume_and_every_claim_is_there(name):
    objects = objects_of(name)
    claims = {each["metadata"]["name"] for each in render(FOLDER / "storage")}
    for template in templates(objects):
        pod = template["spec"]
        mounted = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]
                if "persistentVolumeClaim" in volume} <= claims


@by_overlay()
def test_memory_is_limited_and_the_model_fits(name):
    for template in templates(render(OVERLAYS[name])):
        resources = template["spec"]["containers"][0]["resources"]
        assert int(resources["requests"]["memory"].removesuffix("Gi")) >= 4     # it takes 2.8 GB
        assert resources["limits"]["memory"] and resources["limits"]["cpu"]


def test_stopping_keeps_the_storage():
    for name, folder in APPLIED.items():
        kinds = {each["kind"] for each in render(folder)}
        assert ("PersistentVolumeClaim" in kinds) == (name == "storage")


@pytest.mark.skipif(Path("/models").exists(), reason="there are models")
def test_documents_say_what_a_pod_without_a_model_says(tmp_path):
    flags = [*server("cpu")[1]["args"], f"--port={free_port()}", "--grpc_port=0",
             f"--voices={tmp_path}"]
    done = subprocess.run([sys.executable, "-m", *flags], cwd=ROOT, capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    for path in ("docs/scaling.md", "docs/zh/scaling.md"):
        text = (ROOT / path).read_text(encoding="utf-8")
        documented = re.search(r"`(error: The model directory .*?\.) …`", text)
        assert documented is not None and said.startswith(documented[1])


# Agreement with the images


@pytest.mark.parametrize("device", ["cpu", "ascend"])
def test_user_and_entry_point_are_the_images(device):
    dockerfile = ROOT / "deploy" / "docker" / f"{device}.Dockerfile"
    text = dockerfile.read_text(encoding="utf-8")
    (user,) = re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    for name in (device, f"ray-{device}"):
        for template in templates(render(OVERLAYS[name])):
            context = template["spec"]["securityContext"]
            assert (context["runAsUser"], context["runAsGroup"]) == (int(user[0]), int(user[1]))
    (loader,) = load(LOADER)
    assert loader["spec"]["securityContext"]["fsGroup"] == int(user[1])
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    command = json.loads(entry)
    if command[-1].endswith(".sh"):
        script = dockerfile.parent / Path(command[-1]).name
        command = script.read_text(encoding="utf-8").split()[:-1]       # without "$@"
    assert command[-2:] == ["python", "-m"]
    assert "command" not in server(device)[1]


@pytest.mark.parametrize("name", ["ascend", "ray-ascend"])
def test_the_cache_of_kernels_is_on_a_volume(name):
    dockerfile = ROOT / "deploy" / "docker" / "ascend.Dockerfile"
    text = dockerfile.read_text(encoding="utf-8")
    written = set(re.findall(r"ASCEND_\w+=(/\w+)/", text))
    assert written
    pod = templates(render(OVERLAYS[name]))[-1]["spec"]
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert all(not mounts[path].get("readOnly") for path in written)


@pytest.mark.parametrize("device", ["cpu", "ascend"])
def test_images_are_those_of_compose(device):
    (compose,) = load(ROOT / "compose.yaml")
    named = {service["image"] for service in compose["services"].values()}
    image = server(device)[1]["image"]
    assert image in named
    for template in templates(render(OVERLAYS[f"ray-{device}"])):
        assert template["spec"]["containers"][0]["image"] == f"{image}-ray"


# Ray


@by_overlay(["ray-cpu", "ray-ascend"])
def test_serve_reads_the_configuration(name):
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import ServeDeploySchema

    _, config, _ = ray(name)
    # What they do not know they drop, or pass on, without a word.
    read = ServeDeploySchema.model_validate(config)
    assert json.loads(read.model_dump_json(exclude_unset=True)) == config
    scaling = engine_options(config)["autoscaling_config"]
    assert scaling.keys() <= AutoscalingConfig.model_fields.keys()
    AutoscalingConfig.model_validate(scaling)


@by_overlay(["ray-cpu", "ray-ascend"])
def test_the_application_is_that_of_deploy_ray(name):
    (application,) = load(ROOT / "deploy" / "ray" / "spark_tts.yaml")
    _, config, _ = ray(name)
    for each in (*config["applications"], *application["applications"]):
        each.pop("args", None)          # the resources of an engine: checked below
    assert config == application


@by_overlay(["ray-cpu", "ray-ascend"])
def test_a_worker_pod_has_one_engine(name):
    service, config, group = ray(name)
    container = group["template"]["spec"]["containers"][0]
    limits = container["resources"]["limits"]
    resources = config["applications"][0]["args"]["resources"]
    if name == "ray-ascend":
        assert resources == {"NPU": 1}
        told = group["rayStartParams"]["resources"]     # a word of a shell's command line
        assert told[0] == told[-1] == "'"
        assert json.loads(told[1:-1]) == {"NPU": 1}
    else:
        assert resources.keys() == {"CPU"}
        assert resources["CPU"] <= int(limits["cpu"]) < 2 * resources["CPU"]
    scaling = engine_options(config)["autoscaling_config"]
    assert group["minReplicas"] == group["replicas"] == scaling["min_replicas"]
    assert group["maxReplicas"] == scaling["max_replicas"]
    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@by_overlay(["ray-cpu", "ray-ascend"])
def test_rays_version_is_the_one_that_is_installed(name):
    extra = re.search(r'"ray\[serve\]==([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert extra is not None
    service, _, _ = ray(name)
    assert service["spec"]["rayClusterConfig"]["rayVersion"] == extra[1]


@by_overlay(["ray-cpu", "ray-ascend"])
def test_ray_pods_have_ports_probes_and_paths(name):
    _, config, _ = ray(name)
    head, workers = templates(render(OVERLAYS[name]))
    for template in (head, workers):
        container = template["spec"]["containers"][0]
        assert ports(container)["serve"] == config["http_options"]["port"]
        assert ports(container)["metrics"] == 8080          # KubeRay's --metrics-export-port
        for probe in (container["livenessProbe"], container["readinessProbe"]):
            assert probe.keys() & {"exec", "httpGet"} == {"httpGet"}     # no wget in the images
        assert container["livenessProbe"]["httpGet"] == {"path": "/api/healthz", "port": 52365}
    container = workers["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/healthz", "port": "serve"}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    variables = config["applications"][0]["runtime_env"]["env_vars"]
    assert mounts[str(Path(variables["SPARKTTS_MODEL_DIR"]).parent)]["readOnly"]
    assert not mounts[variables["SPARKTTS_VOICES"]].get("readOnly")


@by_overlay(["ray-cpu", "ray-ascend"])
def test_streams_of_a_ray_pod_are_finished(name):
    from sparktts_ms.serving.ray_app import GRACEFUL_SECONDS

    _, _, group = ray(name)
    pod = group["template"]["spec"]
    variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    drain = float(variables["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert drain >= GRACEFUL_SECONDS
    assert pod["terminationGracePeriodSeconds"] >= drain + MARGIN


@by_overlay(["ray-cpu", "ray-ascend"])
def test_rays_dashboard_is_closed_to_others(name):
    objects = render(OVERLAYS[name])
    assert ray(name)[0]["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}
    policy = find(objects, "NetworkPolicy")["spec"]
    for template in templates(objects):
        assert selects(policy["podSelector"], template["metadata"]["labels"])
    cluster, operator, everybody = policy["ingress"]
    assert cluster == {"from": [{"podSelector": policy["podSelector"]}]}
    assert operator.keys() == {"from"}
    assert {port["port"] for port in everybody["ports"]} == {"serve", "metrics"}
    pods = operator["from"][0]["podSelector"]
    for name in ("kuberay-operator", "kuberay"):        # of its Helm chart, of its kustomization
        assert selects(pods, {"app.kubernetes.io/name": name,
                              "app.kubernetes.io/component": "kuberay-operator"})


# Metrics


@pytest.fixture(scope="module")
def series():
    """Every series of the server's /metrics, and its labels."""
    metrics = Metrics()
    for metric in vars(metrics).values():
        if names := getattr(metric, "_labelnames", ()):
            metric.labels(*names)
    return {sample.name: set(sample.labels)
            for family in metrics.registry.collect() for sample in family.samples}




def alerts():
    groups = find(render(FOLDER / "monitoring"), "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_dashboard_shows_series_that_there_are(series):
    shown = set()
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            shown.update(check_query(target["expr"], series))
            assert target["legendFormat"].strip("{}") in {"api", "code", "pod"} or (
                "{{" not in target["legendFormat"])
    expected = {name for name in series if not name.endswith(("_created", "_sum", "_count"))}
    assert shown == expected            # and nothing that there is is left out
    variable = dashboard()["templating"]["list"][1]["query"]["query"]
    assert re.fullmatch(r"label_values\((.*), namespace\)", variable)[1] in series


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_alerts_use_series_that_there_are(series, rule):
    check_query(rule["expr"], series)


@pytest.mark.parametrize("query", [
    "sum(rate(spark_tts:ready[5m])", "rate(spark_tts:ready)", "sum(spark_tts:num_request_running)",
    "sum by (device) (spark_tts:ready)", "sum(rate(spark_tts:request_success[5m]))", "vector(1)"])
def test_wrong_queries_are_found(series, query):
    with pytest.raises((ValueError, AssertionError)):
        check_query(query, series)


def test_grafana_reads_the_dashboard():
    board = dashboard()
    assert board["schemaVersion"] >= 36 and board["uid"] and board["title"]
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    source, namespace = board["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for each in (namespace, *panels, *(target for panel in panels for target in panel["targets"])):
        assert each["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_sidecar_finds_the_dashboard():
    config = find(render(FOLDER / "monitoring"), "ConfigMap")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["dashboard.json"]) == dashboard()


@pytest.mark.parametrize("device", ["cpu", "ascend"])
def test_monitors_find_their_targets(device):
    monitors = render(FOLDER / "monitoring")
    service = find(render(OVERLAYS[device]), "Service")
    monitor = find(monitors, "ServiceMonitor")["spec"]
    assert selects(monitor["selector"], service["metadata"]["labels"])
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics" and endpoint["path"] in PATHS
    monitor = find(monitors, "PodMonitor")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    for template in templates(render(OVERLAYS[f"ray-{device}"])):
        assert selects(monitor["selector"], {**template["metadata"]["labels"], **KUBERAY_LABELS})
        assert endpoint["port"] in ports(template["spec"]["containers"][0])


def test_series_from_ray_get_the_same_names(series):
    for name in series:
        assert relabel("ray_" + name.replace(":", "_")) == name
    assert relabel("ray_serve_num_http_requests_total") == "ray_serve_num_http_requests_total"
