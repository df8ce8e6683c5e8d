"""The fields of custom resources that deploy/kubernetes uses, as strict JSON schemas. Written after
the public definitions of KubeRay (August 2026), prometheus-operator 0.93 and KEDA 2.20."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}}
ANY: Schema = {"type": "object"}        # checked by another schema


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "properties": {**required, **(optional or {})},
            "required": list(required), "additionalProperties": False}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def resource(version: str, kind: str, spec: Schema) -> Schema:
    return record({"apiVersion": {"const": version}, "kind": {"const": kind},
                   "metadata": record({"name": STRING}, {"labels": LABELS}), "spec": spec})


SELECTOR = record({"matchLabels": LABELS})
RELABELING = record({"sourceLabels": array(STRING), "regex": STRING, "targetLabel": STRING,
                     "replacement": STRING})
ENDPOINT = record({"port": STRING}, {"path": STRING, "interval": DURATION,
                                     "metricRelabelings": array(RELABELING)})
SERVICE_MONITOR = resource("monitoring.coreos.com/v1", "ServiceMonitor", record(
    {"selector": SELECTOR, "endpoints": array(ENDPOINT)}))
POD_MONITOR = resource("monitoring.coreos.com/v1", "PodMonitor", record(
    {"selector": SELECTOR, "podMetricsEndpoints": array(ENDPOINT)}))
ALERT = record({"alert": STRING, "expr": STRING, "for": DURATION,
                "labels": record({"severity": {"enum": ["critical", "warning"]}}),
                "annotations": record({"summary": STRING, "description": STRING})})
PROMETHEUS_RULE = resource("monitoring.coreos.com/v1", "PrometheusRule", record(
    {"groups": array(record({"name": STRING, "rules": array(ALERT)}))}))

# KubeRay passes rayStartParams on as flags of `ray start`, so their values are strings.
START_PARAMETERS = record({}, {"num-cpus": STRING, "dashboard-host": STRING, "resources": STRING})
HEAD = record({"rayStartParams": START_PARAMETERS, "template": ANY})
WORKERS = record({"groupName": STRING, "replicas": COUNT, "minReplicas": COUNT,
                  "maxReplicas": COUNT, "rayStartParams": START_PARAMETERS, "template": ANY})
AUTOSCALER = record({}, {"idleTimeoutSeconds": COUNT, "resources": ANY, "securityContext": ANY,
                         "env": {"type": "array"}, "volumeMounts": {"type": "array"}})
CLUSTER = record({"rayVersion": STRING, "headGroupSpec": HEAD, "workerGroupSpecs": array(WORKERS)},
                 {"enableInTreeAutoscaling": FLAG, "autoscalerOptions": AUTOSCALER,
                  "authOptions": record({"mode": {"enum": ["disabled", "token"]}})})
UPGRADE = record({"type": {"enum": ["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]}})
RAY_SERVICE = resource("ray.io/v1", "RayService", record(
    {"serveConfigV2": STRING, "rayClusterConfig": CLUSTER},
    {"rayClusterDeletionDelaySeconds": COUNT, "upgradeStrategy": UPGRADE}))

POLICY = record({"type": {"enum": ["Pods", "Percent"]}, "value": COUNT, "periodSeconds": COUNT})
DOWN = record({"stabilizationWindowSeconds": COUNT, "policies": array(POLICY)})
TRIGGER = record({"type": {"const": "prometheus"}, "metadata": record(
    {"serverAddress": STRING, "query": STRING, "threshold": STRING})})
SCALED_OBJECT = resource("keda.sh/v1alpha1", "ScaledObject", record(
    {"scaleTargetRef": record({"name": STRING}), "triggers": array(TRIGGER)},
    {"minReplicaCount": COUNT, "maxReplicaCount": COUNT, "pollingInterval": COUNT,
     "fallback": record({"failureThreshold": COUNT, "replicas": COUNT}),
     "advanced": record({"horizontalPodAutoscalerConfig": record({"behavior": record(
         {"scaleDown": DOWN})})})}))

CUSTOM = {"RayService": RAY_SERVICE, "ServiceMonitor": SERVICE_MONITOR, "PodMonitor": POD_MONITOR,
          "PrometheusRule": PROMETHEUS_RULE, "ScaledObject": SCALED_OBJECT}
