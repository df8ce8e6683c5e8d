"""What `kubectl kustomize` prints, for machines without kubectl: the part of kustomize that
deploy/kubernetes uses. A test compares the two where there is a kubectl."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

FIELDS = {"apiVersion", "kind", "resources", "components", "configMapGenerator", "patches",
          "labels", "images"}
MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def render(folder: Path) -> list[Object]:
    """The objects of a kustomization, in no order. Raises ValueError for what is not known here."""
    return _apply(folder, [])


def load(path: Path) -> list[Object]:
    """The objects of a YAML file; what has an anchor in it is copied where an alias stands."""
    parts = [part for part in yaml.safe_load_all(path.read_text(encoding="utf-8")) if part]
    return json.loads(json.dumps(parts))


def _apply(folder: Path, objects: list[Object]) -> list[Object]:
    kustomization = load(folder / "kustomization.yaml")[0]
    unknown = kustomization.keys() - FIELDS
    if unknown:
        raise ValueError(f"{folder}: {sorted(unknown)}")
    for name in kustomization.get("resources", []):
        path = folder / name
        objects = [*objects, *(render(path) if path.is_dir() else load(path))]
    objects = [*objects, *(_config_map(folder, each)
                           for each in kustomization.get("configMapGenerator", []))]
    for name in kustomization.get("components", []):
        objects = _apply(folder / name, objects)
    for patch in kustomization.get("patches", []):
        _patch(folder, patch, objects)
    for labels in kustomization.get("labels", []):
        for each in objects:
            _label(each, labels)
    for image in kustomization.get("images", []):
        for each in objects:
            _rename_images(each, image)
    return objects


def _config_map(folder: Path, generator: Object) -> Object:
    if not generator["options"]["disableNameSuffixHash"]:
        raise ValueError("names with a hash")
    data = {name: (folder / name).read_text(encoding="utf-8") for name in generator["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": generator["name"], "labels": generator["options"]["labels"]}}


def _patch(folder: Path, patch: Object, objects: list[Object]) -> None:
    text = patch.get("patch") or (folder / patch["path"]).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    target = patch.get("target") or {"kind": content["kind"], "name": content["metadata"]["name"]}
    found = [index for index, each in enumerate(objects)
             if each["kind"] == target["kind"] and each["metadata"]["name"] == target["name"]]
    if not found and isinstance(content, dict):
        raise ValueError(f"{folder}: nothing to patch")
    for index in found:
        if isinstance(content, list):
            for operation in content:
                _operate(objects[index], operation)
        else:
            objects[index] = _merge(objects[index], content, target["kind"] == "Deployment")


def _operate(document: Any, operation: Object) -> None:
    """One operation of RFC 6902: add, replace or remove."""
    *path, last = [part.replace("~1", "/").replace("~0", "~")
                   for part in operation["path"].split("/")[1:]]
    for part in path:
        document = document[int(part) if isinstance(document, list) else part]
    value = copy.deepcopy(operation.get("value"))
    if isinstance(document, list) and last == "-":
        document.append(value)
        return
    key = int(last) if isinstance(document, list) else last
    if operation["op"] in ("replace", "remove"):
        document[key]                       # KeyError: there must be one
    if operation["op"] == "remove":
        del document[key]
    elif isinstance(document, list) and operation["op"] == "add":
        document.insert(int(last), value)
    else:
        document[key] = value


def _merge(base: Any, patch: Any, known_kind: bool, name: str = "") -> Any:
    """A strategic merge; kinds that kustomize does not know have their lists replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        merged = dict(base)
        for key, value in patch.items():
            merged[key] = _merge(base.get(key), value, known_kind, key)
        return merged
    if isinstance(base, list) and isinstance(patch, list) and known_kind and name in MERGE_KEYS:
        key = MERGE_KEYS[name]
        entries = {entry[key]: entry for entry in base}
        for entry in patch:
            entries[entry[key]] = _merge(entries.get(entry[key]), entry, known_kind)
        return list(entries.values())
    return copy.deepcopy(patch)


def _label(document: Object, labels: Object) -> None:
    document["metadata"].setdefault("labels", {}).update(labels["pairs"])
    template = document.get("spec", {}).get("template")
    if template and labels.get("includeTemplates"):
        template["metadata"].setdefault("labels", {}).update(labels["pairs"])


def _rename_images(document: Any, image: Object) -> None:
    """In every list `containers`, wherever it is."""
    if isinstance(document, list):
        for each in document:
            _rename_images(each, image)
    elif isinstance(document, dict):
        for container in document.get("containers", []):
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
        for each in document.values():
            _rename_images(each, image)
