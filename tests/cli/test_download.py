"""Downloads by the hubs' real clients, from servers on this machine that speak the hubs' APIs."""

import hashlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from cli.download import main
from sparktts_ms.errors import ModelError
from sparktts_ms.weights import hub
from sparktts_ms.weights.hub import CONVERTED_WEIGHTS, REQUIRED, TORCH_WEIGHTS, verify
from tests.helpers import ROOT
from tests.weights.test_torch_file import storage, table, tensor, write_zip

MODEL = "Someone/Spark"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LLM = "LLM/model.safetensors"


def is_lfs(path: str) -> bool:
    return path.endswith((".safetensors", ".bin"))


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def files(tmp_path_factory) -> dict[str, bytes]:
    """A model in the released layout: real formats, next to no content."""
    files = {path: b"{}" for path in REQUIRED}
    files["config.yaml"] = files["BiCodec/config.yaml"] = b"sample_rate: 16000\n"
    files["BiCodec/model.safetensors"] = save({"a": np.full(30_000, 7, np.float32)})
    # Longer than two of the blocks of 10 MB that the clients write.
    files[LLM] = save({"a": np.full(6 << 20, 7, np.float32)})
    path = tmp_path_factory.mktemp("torch") / "w.bin"
    tensors = table({"w": tensor(storage(count=6))})
    files[TORCH_WEIGHTS] = write_zip(path, tensors, {"0": bytes(24)}).read_bytes()
    return files | {"LLM/merges.txt": b"#version: 0.2\n", "README.md": b"# not needed",
                    "../evil": b"", "figures/a b.png": b"png"}


class HubServer:
    """A hub on this machine. It records requests and can be told to fail."""

    def __init__(self, files: dict[str, bytes], tls: ssl.SSLContext | None = None):
        self.files = files
        self.digests: dict[str, str] = {}               # stated instead of the right ones
        self.statuses: list[int] = []                   # of the next responses
        self.cuts: dict[str, list[int]] = {}            # file -> bytes after which responses end
        self.stalled: set[str] = set()                  # files of which half is sent
        self.sent: list[tuple[str, str | None]] = []    # files sent, and the Range asked for
        self.tokens: set[tuple[str, str | None]] = set()        # host, Authorization
        self.half_sent = threading.Event()
        self.closing = threading.Event()
        handler = type("Handler", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
            self.address = f"https://hub.modelers.cn:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def digest(self, path: str, git: bool = True) -> str:
        """What the hub states of a file: its SHA-256, or with `git` that of LFS files only."""
        digest = hashlib.sha256(self.files[path]).hexdigest()
        if git and not is_lfs(path):
            digest = git_blob(self.files[path])
        return self.digests.get(path, digest)


class Handler(BaseHTTPRequestHandler):
    """The APIs of all three hubs."""

    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *args):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        path = unquote(url.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.hub.tokens.add((self.headers["Host"], self.headers.get("Authorization")))
        if self.hub.statuses:
            return self.send(self.hub.statuses.pop(0), b"{}")
        folders = {f"/{MODEL}/resolve/{COMMIT}/": self.hugging_face_file, "/cdn/": self.send_file,
                   f"/api/v1/file/{MODEL}/main/media/": self.modelers_file}
        for prefix, route in folders.items():
            if path.startswith(prefix):
                return route(path.removeprefix(prefix))
        routes = {f"/api/models/{MODEL}/revision/main": self.hugging_face_listing,
                  f"/api/v1/models/{MODEL}/repo/files": self.modelscope_listing,
                  f"/api/v1/models/{MODEL}/repo": self.modelscope_file,
                  f"/api/v1/model/{MODEL}": self.modelers_model,
                  f"/api/v1/file/{MODEL}": self.modelers_listing,
                  f"/api/v1/file/{MODEL}/info": self.modelers_info}
        if path not in routes:
            return self.send(404, b'{"error": "not found"}', {"X-Error-Code": "RepoNotFound"})
        return routes[path](query)

    do_HEAD = do_GET

    def send(self, status: int, body: bytes, headers: dict | None = None):
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def send_json(self, document):
        self.send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def send_file(self, name: str, headers: dict | None = None):
        if name not in self.hub.files:
            return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        body = self.hub.files[name]
        requested = self.headers.get("Range")
        status, headers = 200, dict(headers or {})
        if self.command == "GET":
            self.hub.sent.append((name, requested))
        if requested:
            start = int(requested.removeprefix("bytes=").split("-")[0])
            if start >= len(body):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[start:]
        cuts = self.hub.cuts.get(name)
        if self.command == "HEAD" or not (cuts or name in self.hub.stalled):
            return self.send(status, body, headers)
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body[:cuts.pop(0) if cuts else len(body) // 2])
        if name in self.hub.stalled:
            self.hub.half_sent.set()
            self.hub.closing.wait()
        self.close_connection = True
        return None

    # Hugging Face

    def hugging_face_listing(self, query: dict):
        siblings = []
        for path, content in self.hub.files.items():
            sibling = {"rfilename": path, "size": len(content), "blobId": self.hub.digest(path)}
            if is_lfs(path):
                sibling["lfs"] = {"sha256": self.hub.digest(path), "size": len(content),
                                  "pointerSize": 134}
            siblings.append(sibling if "blobs" in query else {"rfilename": path})
        self.send_json({"id": MODEL, "modelId": MODEL, "sha": COMMIT, "private": False,
                        "gated": False, "tags": [], "downloads": 1, "siblings": siblings})

    def hugging_face_file(self, name: str):
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{self.hub.digest(name)}"'}
        if not is_lfs(name):
            return self.send_file(name, headers)
        location = f"{self.hub.address.replace('127.0.0.1', 'localhost')}/cdn/{name}"
        return self.send(302, b"", {
            "Location": location, "X-Repo-Commit": COMMIT, "X-Linked-Etag": headers["ETag"],
            "X-Linked-Size": len(self.hub.files[name])})

    # ModelScope

    def modelscope_listing(self, query: dict):
        assert query["Revision"] == "master"
        entries = [{"Path": "LLM", "Name": "LLM", "Type": "tree", "Size": 0, "Sha256": ""}]
        for path, content in self.hub.files.items():
            entries.append({"Path": path, "Name": Path(path).name, "Type": "blob",
                            "Size": len(content), "Sha256": self.hub.digest(path, git=False),
                            "Mode": "33188", "IsLFS": is_lfs(path), "Revision": COMMIT})
        self.send_json({"Code": 200, "Success": True, "Message": "success", "RequestId": "x",
                        "Data": {"Files": entries}})

    def modelscope_file(self, query: dict):
        self.send_file(query["FilePath"])

    # Modelers

    def modelers_model(self, query: dict):
        self.send_json({"code": "", "msg": "", "data": {"id": "1", "name": "Spark"}})

    def modelers_listing(self, query: dict):
        assert query["ref"] == "main"
        tree = []
        folders = {}
        for path, content in self.hub.files.items():
            folder, _, name = path.rpartition("/")
            if folder == query.get("path", ""):
                tree.append({"type": "file", "path": path, "name": name, "size": len(content),
                             "is_lfs": is_lfs(path), "etag": self.hub.digest(path), "commit": {}})
            elif not query.get("path"):
                folders[folder] = {"type": "dir", "path": folder, "name": folder, "commit": {}}
        self.send_json({"code": "", "msg": "",
                        "data": {"last_commit": {}, "tree": tree + list(folders.values())}})

    def modelers_info(self, query: dict):
        name = query["path"]
        self.send_json({"code": "", "msg": "", "data": {
            "branch_last_commit": COMMIT, "etag": self.hub.digest(name),
            "size": len(self.hub.files[name]), "path": name}})

    def modelers_file(self, name: str):
        self.send(302, b"", {"Location": f"{self.hub.address}/cdn/{name.replace(' ', '%20')}"})


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost,.modelers.cn")
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "RETRY_DELAYS", (0.0, 0.0, 0.0))


@pytest.fixture
def server(files):
    server = HubServer(files)
    yield server
    server.close()


def arguments(server: HubServer, folder: Path, source: str = "huggingface") -> list[str]:
    return ["--source", source, "--model_id", MODEL, "--endpoint", server.address,
            "--local_dir", str(folder)]


def assert_complete(folder: Path, files: dict[str, bytes]) -> None:
    """The folder has the files of a model, converted, and nothing else."""
    verify(folder)
    expected = {path for path in files if path not in ("README.md", "../evil", "figures/a b.png")}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == expected | {CONVERTED_WEIGHTS}
    for path in expected:
        assert (folder / path).read_bytes() == files[path]
    np.testing.assert_array_equal(load_file(folder / CONVERTED_WEIGHTS)["w"], np.zeros((2, 3)))


# By huggingface_hub in this process

def test_download_is_complete_and_not_repeated(server, tmp_path, capsys):
    folder = tmp_path / "a" / "model"
    assert main(arguments(server, folder)) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder}\n"
    assert "CC BY-NC-SA 4.0" in err.splitlines()[0] and "non-commercial" in err.splitlines()[0]
    assert_complete(folder, server.files)
    server.sent.clear()
    assert main(arguments(server, folder)) == 0
    assert server.sent == []


def test_missing_and_damaged_files_are_downloaded_again(server, tmp_path):
    assert main(arguments(server, tmp_path)) == 0
    damaged = tmp_path / LLM
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    (tmp_path / "config.yaml").unlink()
    server.sent.clear()
    assert main(arguments(server, tmp_path)) == 0
    assert sorted(server.sent) == [(LLM, None), ("config.yaml", None)]
    assert_complete(tmp_path, server.files)


def test_converted_weights_on_the_hub_are_used(server, tmp_path):
    server.files[CONVERTED_WEIGHTS] = save({"w": np.zeros((2, 3), np.float32)})
    del server.files[TORCH_WEIGHTS]
    assert main(arguments(server, tmp_path)) == 0
    assert_complete(tmp_path, server.files)


def test_language_model_in_several_files(server, tmp_path):
    shards = {f"model-0000{n}-of-00002.safetensors": {f"t{n}": np.ones(n, np.float32)}
              for n in (1, 2)}
    del server.files[LLM]
    weight_map = {}
    for name, arrays in shards.items():
        server.files[f"LLM/{name}"] = save(arrays)
        weight_map |= dict.fromkeys(arrays, name)
    index = json.dumps({"weight_map": weight_map}).encode()
    server.files["LLM/model.safetensors.index.json"] = index
    assert main(arguments(server, tmp_path)) == 0
    assert_complete(tmp_path, server.files)
    (tmp_path / "LLM" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors.*missing"):
        verify(tmp_path)


def test_torch_weights_may_be_deleted_after_conversion(server, tmp_path):
    assert main(arguments(server, tmp_path)) == 0
    (tmp_path / TORCH_WEIGHTS).unlink()
    assert main(arguments(server, tmp_path)) == 0
    assert not (tmp_path / TORCH_WEIGHTS).exists()
    (tmp_path / CONVERTED_WEIGHTS).write_bytes(b"damaged")
    assert main(arguments(server, tmp_path)) == 0
    assert_complete(tmp_path, server.files)


def test_new_torch_weights_are_converted(server, tmp_path):
    assert main(arguments(server, tmp_path)) == 0
    converted = (tmp_path / CONVERTED_WEIGHTS).stat().st_mtime_ns
    tensors = table({"v": tensor(storage(count=6))})
    server.files[TORCH_WEIGHTS] = write_zip(tmp_path / "x", tensors, {"0": bytes(24)}).read_bytes()
    assert main(arguments(server, tmp_path)) == 0
    assert (tmp_path / CONVERTED_WEIGHTS).stat().st_mtime_ns > converted
    assert load_file(tmp_path / CONVERTED_WEIGHTS).keys() == {"v"}


def test_busy_hub_is_asked_again(server, tmp_path):
    server.statuses = [503, 429, 502]
    assert main(arguments(server, tmp_path)) == 0


def test_token_is_shown_to_the_hub_only(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert main(arguments(server, tmp_path)) == 0
    host = urlsplit(server.address).netloc
    storage_host = host.replace("127.0.0.1", "localhost")
    assert server.tokens == {(host, "Bearer hf_secret"), (storage_host, None)}


def failed(capsys, arguments: list[str]) -> str:
    """Run the command, which must fail with one line; returns that line."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert out == "" and len(errors) == 1 and err.splitlines()[-1] == errors[0]
    return errors[0]


@pytest.mark.parametrize("status, hint", [
    (404, "Check model_id"), (403, "private or gated"), (401, "private or gated"),
    (500, "which resumes")])
def test_refusal_names_hub_and_model(server, tmp_path, capsys, status, hint):
    server.statuses = [status] * 4
    error = failed(capsys, arguments(server, tmp_path / "model"))
    assert server.address in error and MODEL in error and str(status) in error and hint in error
    assert not (tmp_path / "model").exists()


def test_unreachable_hub(server, tmp_path, capsys):
    server.close()
    error = failed(capsys, arguments(server, tmp_path / "model"))
    assert "Connection refused" in error and "another source" in error
    assert "MaxRetryError" not in error
    assert not (tmp_path / "model").exists()


def test_offline_mode(server, tmp_path):
    done = subprocess.run([sys.executable, "-m", "cli.download", *arguments(server, tmp_path)],
                          cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"}, text=True,
                          capture_output=True)
    assert (done.returncode, done.stdout, server.sent) == (2, "", [])
    assert len(done.stderr.splitlines()) == 2 and "HF_HUB_OFFLINE" in done.stderr


def test_answer_that_is_no_listing(server, tmp_path, capsys, monkeypatch):
    def send_page(self, query):
        self.send(200, b"<html>log in</html>")

    monkeypatch.setattr(Handler, "hugging_face_listing", send_page)
    assert "did not give" in failed(capsys, arguments(server, tmp_path))


def test_another_model(server, tmp_path, capsys):
    del server.files["LLM/tokenizer.json"], server.files[TORCH_WEIGHTS]
    error = failed(capsys, arguments(server, tmp_path))
    assert f"LLM/tokenizer.json, {TORCH_WEIGHTS}" in error and server.sent == []


def test_free_space_is_checked_first(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    error = failed(capsys, arguments(server, tmp_path / "model"))
    assert "GB are needed, 0.00 GB free" in error and server.sent == []


def test_unwritable_folder(server, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert "file" in failed(capsys, arguments(server, tmp_path / "file" / "model"))
    assert "too long" in failed(capsys, arguments(server, tmp_path / ("x" * 300)))
    (tmp_path / "model" / "config.yaml" / "x").mkdir(parents=True)
    assert "config.yaml" in failed(capsys, arguments(server, tmp_path / "model"))
    assert server.sent == []


def test_hf_endpoint_is_used(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    error = failed(capsys, ["--model_id", "No/Such", "--local_dir", str(tmp_path)])
    assert server.address in error and "404" in error


def test_modelers_needs_model_id(capsys, tmp_path):
    error = failed(capsys, ["--source", "modelers", "--local_dir", str(tmp_path)])
    assert error == "error: No Spark-TTS is known on modelers. Add --model_id OWNER/NAME."


@pytest.mark.parametrize("source, endpoint", [
    ("huggingface", "hf-mirror.com"), ("modelscope", "file:///etc"), ("modelers", "http://x.cn")])
def test_endpoint_is_an_address(capsys, tmp_path, source, endpoint):
    error = failed(capsys, ["--source", source, "--model_id", MODEL, "--endpoint", endpoint,
                            "--local_dir", str(tmp_path)])
    assert endpoint in error and "no address like https://" in error


@pytest.mark.parametrize("source, package", [
    ("modelscope", "modelscope_hub"), ("modelers", "openmind_hub")])
def test_missing_client_is_named(capsys, tmp_path, monkeypatch, source, package):
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("OPENMIND_HUB_ENDPOINT", "HUB_WHITE_LIST_PATHS"):
        monkeypatch.setenv(name, "")
    error = failed(capsys, ["--source", source, "--model_id", MODEL, "--local_dir", str(tmp_path)])
    assert f"pip install {package}" in error


def test_command_needs_no_mindspore():
    script = ("import sys, cli.download; from sparktts_ms.weights.hub import open_hub; open_hub(); "
              "print([m for m in ('mindspore', 'torch') if m in sys.modules])")
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) == "[]\n"


# Each hub's client in a process of its own. Those of ModelScope and Modelers are optional and each
# in a folder of its own, for openmind_hub needs an older `requests`.

RESOLVE_LOCALLY = """
import socket
getaddrinfo = socket.getaddrinfo
def local(host, *args, **kwargs):
    return getaddrinfo("127.0.0.1" if host == "hub.modelers.cn" else host, *args, **kwargs)
socket.getaddrinfo = local
"""
SOURCES = ["huggingface", pytest.param("modelscope", marks=pytest.mark.slow),
           pytest.param("modelers", marks=pytest.mark.slow)]


def install_client(source: str) -> Path:
    """The folder in .cache into which the extra `source` of pyproject.toml is installed."""
    project = (ROOT / "pyproject.toml").read_text()
    requirement = re.search(rf'^{source} = \["(.+)"\]', project, re.MULTILINE)[1]
    folder = ROOT / ".cache" / "hub_clients" / requirement
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", part, requirement]
        if subprocess.run(command).returncode != 0:
            shutil.rmtree(part, ignore_errors=True)
            pytest.skip(f"{requirement} cannot be installed here")
        part.rename(folder)
    return folder


def certificate(folder: Path) -> Path:
    """A certificate of *.modelers.cn and its key in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    path = folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=hub.modelers.cn", "-addext", "subjectAltName=DNS:hub.modelers.cn",
                    "-keyout", path, "-out", folder / "cert.pem"], check=True, capture_output=True)
    path.write_text(path.read_text() + (folder / "cert.pem").read_text())
    return path


class Client:
    """The command in a process of its own, and a hub's server that it downloads from."""

    def __init__(self, source: str, files: dict[str, bytes], folder: Path):
        tls = None
        path = [] if source == "huggingface" else [install_client(source)]
        self.env = dict(os.environ)
        if source == "modelers":
            pem = certificate(folder)
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(pem)
            (folder / "sitecustomize.py").write_text(RESOLVE_LOCALLY)
            path.append(folder)
            self.env["REQUESTS_CA_BUNDLE"] = str(pem)
        self.env["PYTHONPATH"] = os.pathsep.join(map(str, path))
        self.env["HOME"] = str(folder)
        self.source = source
        self.server = HubServer(files, tls)

    def start(self, folder: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.download", *arguments(self.server, folder, self.source)],
            cwd=ROOT, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, folder: Path) -> tuple[int, str, str]:
        process = self.start(folder)
        out, err = process.communicate()
        assert "Traceback" not in err
        return process.returncode, out, err


@pytest.fixture(params=SOURCES)
def client(request, files, tmp_path_factory):
    client = Client(request.param, files, tmp_path_factory.mktemp("client"))
    yield client
    client.server.close()


def test_client_downloads_completely(client, tmp_path):
    code, out, err = client.run(tmp_path / "model")
    assert (code, out) == (0, f"{tmp_path / 'model'}\n"), err
    assert_complete(tmp_path / "model", client.server.files)
    client.server.sent.clear()
    assert client.run(tmp_path / "model")[0] == 0
    assert client.server.sent == []


def test_client_resumes_after_lost_connection(client, tmp_path):
    client.server.cuts[LLM] = [11 << 20]
    code, _, err = client.run(tmp_path)
    assert code == 0, err
    requests = [requested for path, requested in client.server.sent if path == LLM]
    assert requests[0] is None and len(requests) == 2
    assert int(requests[1].removeprefix("bytes=").rstrip("-")) >= 10 << 20
    assert_complete(tmp_path, client.server.files)


def test_client_is_interrupted_and_resumes(client, tmp_path):
    client.server.stalled.add(LLM)
    process = client.start(tmp_path)
    assert client.server.half_sent.wait(60)
    while process.poll() is None and hub.partial_size(tmp_path) < 10 << 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err
    assert err.splitlines()[-1] == (
        "Interrupted. What has arrived is kept; the same command resumes.")
    assert not (tmp_path / LLM).exists()
    with pytest.raises(ModelError):
        verify(tmp_path)
    finished = {path for path in client.server.files if (tmp_path / path).is_file()}
    client.server.closing.set()
    client.server.stalled.clear()
    client.server.sent.clear()
    code, _, err = client.run(tmp_path)
    assert code == 0, err
    sent = dict(client.server.sent)
    assert finished and not finished & sent.keys()
    assert int(sent[LLM].removeprefix("bytes=").rstrip("-")) >= 10 << 20
    assert_complete(tmp_path, client.server.files)


@pytest.mark.parametrize("path", [LLM, "config.yaml"])
def test_wrong_digest_leaves_no_file(client, tmp_path, path):
    size = 40 if client.source != "modelscope" and not is_lfs(path) else 64
    client.server.digests[path] = "0" * size
    code, out, err = client.run(tmp_path)
    assert (code, out) == (2, "") and err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / path).exists()
    with pytest.raises(ModelError):
        verify(tmp_path)


@pytest.mark.slow       # attempts are repeated for some seconds
def test_client_names_failure(client, tmp_path):
    client.server.statuses = [404] * 9
    code, out, err = client.run(tmp_path / "model")
    assert (code, out) == (2, "")
    assert "HTTP 404" in err.splitlines()[-1] and client.server.address in err.splitlines()[-1]
    client.server.close()
    code, out, err = client.run(tmp_path / "model")
    assert (code, out) == (2, "") and err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "model").exists()
