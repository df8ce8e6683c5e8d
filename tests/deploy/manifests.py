"""What deploy/kubernetes would send to a cluster, and the queries and names in it."""

from __future__ import annotations

import json
import re

import promql_parser
import yaml

from tests.deploy.kustomize import load, render
from tests.helpers import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = {f"{part}{device}": FOLDER / part.replace("-", "/") / "overlays" / device
            for part in ("", "ray-") for device in ("cpu", "ascend")}
APPLIED = {**OVERLAYS, "monitoring": FOLDER / "monitoring", "storage": FOLDER / "storage"}
LOADER = FOLDER / "storage" / "loader.yaml"
TARGET_LABELS = {"namespace", "pod"}        # which Prometheus adds


def objects_of(name):
    """What an `apply` of this name would send."""
    return load(LOADER) if name == "loader" else render(APPLIED[name])


def find(objects, kind):
    """The one object of this kind."""
    found = [each for each in objects if each["kind"] == kind]
    assert len(found) == 1, kind
    return found[0]


def ray_templates(service):
    """Pod templates of a RayService: of the head, and of the workers."""
    cluster = service["spec"]["rayClusterConfig"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def templates(objects):
    """Pod templates, of whatever object has them."""
    found = []
    for each in objects:
        if each["kind"] == "Deployment":
            found.append(each["spec"]["template"])
        elif each["kind"] == "RayService":
            found += ray_templates(each)
        elif each["kind"] == "Pod":
            found.append(each)
    return found


def server(name):
    """The Deployment of an overlay, and its container."""
    deployment = find(render(OVERLAYS[name]), "Deployment")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    return deployment, containers[0]


def ports(container):
    """Of a container, by name."""
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def ray(name):
    """The RayService of an overlay, its configuration of Serve, and its group of workers."""
    service = find(render(OVERLAYS[name]), "RayService")
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert len(groups) == 1
    return service, yaml.safe_load(service["spec"]["serveConfigV2"]), groups[0]


def dashboard():
    """What Grafana gets."""
    return json.loads((FOLDER / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))


def relabel(name):
    """What the PodMonitor makes of the name of a series."""
    (endpoint,) = find(render(FOLDER / "monitoring"), "PodMonitor")["spec"]["podMetricsEndpoints"]
    (rule,) = endpoint["metricRelabelings"]
    assert (rule["sourceLabels"], rule["targetLabel"]) == (["__name__"], "__name__")
    match = re.fullmatch(rule["regex"], name)           # Prometheus anchors it
    return match.expand(rule["replacement"].replace("$", "\\")) if match else name


def check_query(query, series=None):
    """Names of the series in a query, `series` being all that there are, with their labels.

    Raises ValueError, AssertionError for what Prometheus would not understand, or would answer with
    nothing.
    """
    names = []
    for variable, value in (("$__rate_interval", "5m"), ("$namespace", "default")):
        query = query.replace(variable, value)
    assert "$" not in query
    for name, labels in selectors(promql_parser.parse(query)):
        names.append(name)
        if series is not None:
            assert name in series, query
            assert labels <= series[name] | TARGET_LABELS, query
    assert names and all(name.startswith("spark_tts:") for name in names), query
    return names


def selectors(node):
    """Names of series in a query, each with the labels that it is selected and grouped by."""
    if isinstance(node, promql_parser.VectorSelector):
        return [(node.name, {matcher.name for matcher in node.matchers.matchers})]
    if isinstance(node, promql_parser.MatrixSelector):
        return selectors(node.vector_selector)
    found = []
    for name in ("lhs", "rhs", "expr"):
        found += selectors(getattr(node, name)) if hasattr(node, name) else []
    for argument in getattr(node, "args", []):
        found += selectors(argument)
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
        found = [(name, {*labels, *node.modifier.labels}) for name, labels in found]
    return found
