"""The images and compose.yaml: what their files promise. tools.check_image builds and runs them."""

import fnmatch
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from cli import serve, webui
from sparktts_ms.ops.native import library
from sparktts_ms.weights import weight_cache
from tests.helpers import ROOT

pytest.importorskip("prometheus_client", reason="the server needs requirements-serve.txt")

from sparktts_ms.serving import api_keys
from sparktts_ms.serving.monitoring.health import PATHS

FOLDER = ROOT / "deploy" / "docker"
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
USER = "10001:10001"
WRITABLE = ("/tmp", "/voices", "/cache")
# Of a service in the compose specification, those that are used; another one may be misspelt.
SERVICE_KEYS = set(
    "build cap_drop command devices environment group_add healthcheck image mem_limit pids_limit "
    "ports profiles read_only restart secrets security_opt stop_grace_period tmpfs user "
    "volumes".split())
DEVICES = ["/dev/davinci0", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"]
DRIVER = {"/usr/local/dcmi", "/usr/local/bin/npu-smi", "/usr/local/Ascend/driver/lib64",
          "/usr/local/Ascend/driver/version.info", "/etc/ascend_install.info"}

by_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
by_service = pytest.mark.parametrize("name", sorted(SERVICES))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Of a Dockerfile: each with its arguments in one line."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(re.sub(r"\s+", " ", line).split(" ", 1)) for line in joined.splitlines()
            if line.strip()]


def stages(path: Path) -> list[list[tuple[str, str]]]:
    parts: list[list[tuple[str, str]]] = []
    for instruction in instructions(path):
        if instruction[0] == "FROM":
            parts.append([])
        if parts:
            parts[-1].append(instruction)
    return parts


def last_values(path: Path) -> dict[str, str]:
    """The last value of each instruction in the final stage and in what it is built on."""
    first, *_, last = stages(path)
    assert last[0] == ("FROM", "base") and first[0][1].endswith(" AS base")
    return dict([*first, *last])


def environment(path: Path) -> dict[str, str]:
    first, *_, last = stages(path)
    texts = [text for instruction, text in [*first, *last] if instruction == "ENV"]
    return dict(pair.split("=", 1) for text in texts for pair in text.split())


def lint(path: Path) -> subprocess.CompletedProcess:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if not hadolint:
        pytest.skip("hadolint is not installed (requirements-dev.txt)")
    return subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True,
                          check=False)


@by_dockerfile
def test_hadolint_finds_nothing(path):
    result = lint(path)
    assert result.returncode == 0, result.stdout


def test_hadolint_finds_what_is_wrong(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text("FROM debian\nRUN cd /tmp && apt-get install g++\n")
    assert {"DL3006", "DL3003", "DL3008"} <= set(re.findall(r"DL\d+", lint(path).stdout))


@by_dockerfile
def test_images_run_as_a_numbered_user_and_hand_on_signals(path):
    values = last_values(path)
    assert values["USER"] == USER
    assert json.loads(values["ENTRYPOINT"])[:2] == ["tini", "--"]
    command = json.loads(values["CMD"])
    assert command[0] == "cli.serve"
    arguments = serve.build_parser().parse_args(command[1:])
    assert arguments.host == "0.0.0.0"
    assert values["EXPOSE"] == f"{arguments.port} {arguments.grpc_port}"
    made = dict(stages(path)[0])["RUN"]
    assert f"--uid {USER.split(':')[0]}" in made and f"--gid {USER.split(':')[1]}" in made


@by_dockerfile
def test_files_are_written_to_few_folders_only(path):
    values = environment(path)
    assert {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME", "MPLCONFIGDIR"} <= set(values)
    for name, value in values.items():
        if re.search(r"(HOME|DIR|CACHE_PATH|LOG_PATH|WORK_PATH|SETTINGS|VOICES)$", name):
            folders = WRITABLE if name != "SPARKTTS_MODEL_DIR" else ("/models",)
            assert Path(value).is_relative_to(next(f for f in folders if value.startswith(f)))
    assert values["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_image_for_cpus_has_kernels_and_no_compiler():
    path = FOLDER / "cpu.Dockerfile"
    base, builder, final = stages(path)
    kept = " ".join(text for _, text in [*base, *final])
    built = " ".join(text for _, text in builder)
    assert "g++" in built and "g++" not in kept and "pip install" not in kept
    assert re.search(r"library\.(\w+)\('kernels'\)", built)[1] == library.build_portable.__name__
    assert environment(path)[library.PORTABLE_VARIABLE] == "/app/kernels"
    assert ("COPY", "--from=builder /build/app /app") in final


@by_dockerfile
def test_versions_of_libraries_are_those_of_the_requirements(path):
    texts = [text for instruction, text in instructions(path) if instruction == "RUN"]
    installs = re.findall(r"pip install ([^&]*)", " ".join(texts))
    assert installs == ['--only-binary :all: --requirement "requirements-${EXTRA}.txt" ']
    copied = " ".join(text for instruction, text in instructions(path) if instruction == "COPY")
    for extra in ("serve", "web", "ray"):
        assert f"requirements-{extra}.txt" in copied.split()
        for line in (ROOT / f"requirements-{extra}.txt").read_text().splitlines():
            text = line.split("#")[0].strip()
            if text.startswith("-r "):
                assert text[3:] in copied.split()
            elif text:
                assert re.fullmatch(r"[\w\-]+(\[\w+\])?==[\d.]+", text), text


def test_the_requirements_of_ray_are_those_of_the_extra():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = [name for name in project["optional-dependencies"]["ray"]
             if not name.startswith("sparktts-ms")]
    lines = (ROOT / "requirements-ray.txt").read_text().splitlines()
    names = [line.split("#")[0].strip() for line in lines]
    assert [name for name in names if name and not name.startswith("-r")] == extra


@by_dockerfile
def test_no_secret_and_no_address_is_in_an_image(path):
    for instruction, text in instructions(path):
        if instruction in ("ARG", "ENV", "COPY", "LABEL"):
            assert not re.search(r"(?i)(password|secret|token|api_?key|pip\.conf|\.pem)", text)
        assert "://" not in text
    run = next(text for name, text in instructions(path) if "pip install" in text)
    mounts = re.findall(r"--mount=(\S+)", run)
    assert "type=secret,id=pip,target=/etc/pip.conf" in mounts
    assert any(mount.startswith("type=cache,target=/root/.cache/pip") for mount in mounts)


def is_ignored(name: str) -> bool:
    """Whether .dockerignore keeps a file from the builder: the last pattern that matches it, or a
    folder that it is in, decides."""
    parents = [name, *map(str, Path(name).parents)][:-1]
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        patterns = [pattern, pattern.removeprefix("**/")]
        tails = [parent.rpartition("/")[2] for parent in parents]
        matches = any(fnmatch.fnmatch(candidate, patterns[0]) for candidate in parents)
        if pattern.startswith("**/"):
            matches = any(fnmatch.fnmatch(tail, patterns[1]) for tail in tails)
        if matches:
            ignored = not line.startswith("!")
    return ignored


@by_dockerfile
def test_what_is_copied_exists_and_is_not_ignored(path):
    count = 0
    for instruction, text in instructions(path):
        if instruction == "COPY" and "--from=" not in text:
            words = [word for word in text.split() if not word.startswith("--")]
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                assert not is_ignored(source), source
                count += 1
    assert count >= 8


def test_nothing_else_reaches_the_builder():
    for name in (".git/config", ".env", ".venv/bin/python", "pip.conf", "compose.yaml", "README.md",
                 "pretrained_models/Spark-TTS-demo/config.yaml", "tests/conftest.py",
                 "cli/__pycache__/serve.pyc", "examples/sparktts/other.wav"):
        assert is_ignored(name), name
    assert not is_ignored("sparktts_ms/ops/native/linear.cc")


@pytest.fixture(scope="module")
def healthcheck():
    spec = importlib.util.spec_from_file_location("healthcheck", FOLDER / "healthcheck.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def answers():
    """A server that answers each path with a status, and its address."""
    statuses = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()
            self.wfile.write(b"loading")

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield statuses, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_health_check_asks_paths_of_the_server(healthcheck):
    assert set(healthcheck.PATHS) <= set(PATHS)
    assert "/health/ready" in healthcheck.PATHS and "/health/live" in healthcheck.PATHS


@pytest.mark.parametrize("live, ready, status, line", [
    (200, 200, 0, "OK"), (200, 503, 1, "/health/ready: 503 loading"),
    (503, 200, 1, "/health/live: 503 loading")])
def test_the_health_check_says_what_is_wrong(healthcheck, answers, capsys, live, ready, status,
                                             line):
    statuses, address = answers
    statuses.update({"/health/live": live, "/health/ready": ready})
    assert healthcheck.main([address]) == status
    assert capsys.readouterr().out == f"{line}\n"


def test_the_health_check_of_a_server_that_is_not_there(healthcheck, answers, capsys):
    _, address = answers
    assert healthcheck.main([address.rpartition(":")[0] + ":1"]) == 1
    assert capsys.readouterr().out.count("\n") == 1


@by_dockerfile
def test_images_run_the_health_check(path):
    check = last_values(path)["HEALTHCHECK"]
    command = json.loads(check[check.index("["):])
    assert command == ["python", "-I", "/app/healthcheck.py"]
    copies = [text for instruction, text in instructions(path) if instruction == "COPY"]
    assert any("deploy/docker/healthcheck.py" in text for text in copies)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_entry_of_ascend_runs_the_command_and_says_what_is_missing(tmp_path):
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    result = subprocess.run(
        ["bash", str(FOLDER / "ascend_entrypoint.sh"), "cli.serve", "--names", "a b"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True,
        check=True)
    assert result.stdout.splitlines() == ["-m", "cli.serve", "--names", "a b"]
    if not Path("/usr/local/Ascend").exists():
        assert "set_env.sh cannot be read" in result.stderr
        assert "mount the host's driver" in result.stderr


def expanded(text: str) -> str:
    """With the defaults of its variables."""
    return re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda match: match[1] or "", text)


def seconds(text: str) -> int:
    assert re.fullmatch(r"\d+s", text)
    return int(text[:-1])


@by_service
def test_services_have_the_least_rights(name):
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    assert service["read_only"] is True and service["user"] == USER
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [entry.partition(":")[0] for entry in service["tmpfs"]] == ["/tmp"]
    assert service["profiles"] == [name] and service["image"] == f"spark-tts:{name}"
    dockerfile = ROOT / service["build"]["dockerfile"]
    assert dockerfile in DOCKERFILES and (ROOT / service["build"]["context"]) == ROOT
    for port in service["ports"]:
        assert expanded(port).startswith("127.0.0.1:")


@by_service
def test_commands_of_services_are_understood_and_drain_in_time(name):
    service = SERVICES[name]
    command, *arguments = map(expanded, service["command"])
    module = {"cli.serve": serve, "cli.webui": webui}[command]
    args = module.build_parser().parse_args(arguments)
    assert str(args.voices) == "/voices"
    assert str(args.model_dir) == "/models/Spark-TTS-0.5B"
    assert args.device_target == ("Ascend" if name == "ascend" else "CPU")
    assert seconds(service["stop_grace_period"]) > getattr(args, "drain_seconds", 0)
    targets = {expanded(port).rpartition(":")[2] for port in service["ports"]}
    if module is serve:
        assert args.host == "0.0.0.0" and targets == {str(args.port), str(args.grpc_port)}
    else:
        assert args.server_name == "0.0.0.0" and targets == {str(args.server_port)}
        assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{args.server_port}"
        assert service["build"]["args"] == {"EXTRA": "web"}


@by_service
def test_models_are_read_only_and_voices_are_kept(name):
    volumes = SERVICES[name]["volumes"]
    mounted = {volume["target"]: volume for volume in volumes if isinstance(volume, dict)}
    for volume in mounted.values():
        assert volume["read_only"] is True and volume["type"] == "bind"
        assert volume["bind"]["create_host_path"] is False
    assert expanded(mounted["/models"]["source"]) == "./pretrained_models"
    named = dict(volume.split(":") for volume in volumes if isinstance(volume, str))
    assert set(named) <= set(COMPOSE["volumes"])
    assert named["voices"] == "/voices" and set(named.values()) <= set(WRITABLE)


@by_service
def test_keys_of_services_come_from_outside(name):
    service = SERVICES[name]
    assert service["secrets"] == ["api_keys"]
    others = {} if name == "ascend" else {weight_cache.VARIABLE: "/cache/weights"}
    assert service["environment"] == {
        api_keys.VARIABLE: "${SPARKTTS_API_KEY:-}",
        api_keys.FILE_VARIABLE: "/run/secrets/api_keys", **others}
    assert COMPOSE["secrets"] == {"api_keys": {"file": "${SPARKTTS_API_KEY_FILE:-/dev/null}"}}


@pytest.mark.parametrize("name", ["cpu", "page"])
def test_packed_weights_are_kept_in_a_volume(name):
    service = SERVICES[name]
    image = FOLDER / "cpu.Dockerfile"
    assert environment(image)[weight_cache.VARIABLE] == "0"     # without a volume
    folder = Path(service["environment"][weight_cache.VARIABLE])
    volumes = dict(volume.split(":") for volume in service["volumes"] if isinstance(volume, str))
    assert volumes["cache"] == str(folder.parent)
    made = dict(stages(image)[0])["RUN"]
    assert re.search(rf"--owner 10001 --group 10001 (\S+ )*{folder.parent}\b", made)


def test_ascend_has_its_devices_and_the_driver():
    service = SERVICES["ascend"]
    assert list(map(expanded, service["devices"])) == DEVICES
    assert list(map(expanded, service["group_add"])) == ["1000"]
    driver = {volume["target"]: volume["source"] for volume in service["volumes"]
              if isinstance(volume, dict) and volume["target"] != "/models"}
    assert driver == {path: path for path in DRIVER}
    for name in ("cpu", "page"):
        assert "devices" not in SERVICES[name]


def test_settings_of_compose_are_listed_in_it():
    text = (ROOT / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    listed = set(re.findall(r"SPARKTTS_\w+", text.partition("name: spark-tts")[0]))
    assert used == listed


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_compose_itself_accepts_the_file(name):
    command = ["docker", "compose", "--file", str(ROOT / "compose.yaml"), "--profile", name,
               "config"]
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], check=False,
                                                    capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert name in yaml.safe_load(result.stdout)["services"]
