"""Downloads, from hubs imitated on 127.0.0.1 after the source of their own clients; no live hub was ever reached."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from sparktts_ms.errors import DownloadError, InputError, ModelError, OutputError, WeightsError
from sparktts_ms.weights import download as room
from sparktts_ms.weights import fetch as fetching
from sparktts_ms.weights.download import CONVERTED, RELEASED, REQUIRED, download, verify
from sparktts_ms.weights.fetch import HubFault, RemoteFile, fetch, get_json, is_whole, patiently
from sparktts_ms.weights.hubs import HUBS, _stays_inside, open_hub

ROOT = Path(__file__).resolve().parents[2]
MODEL = "Someone/Spark"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BIG = "LLM/model.safetensors"
OTHERS = ("modelscope", "modelers")         # those listed without a library


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def tiny_release() -> dict[str, bytes]:
    """Files in the released layout: real formats, next to no content. wav2vec2's pickle is only carried."""
    weights = {name: save({"a": np.full(count, 7, np.float32)}) for name, count in (("codec", 30_000), ("llm", 90_000))}
    files = {path: b"{}" if path.endswith(".json") else b"sample_rate: 16000\n" for path in REQUIRED}
    return files | {"BiCodec/model.safetensors": weights["codec"], BIG: weights["llm"], RELEASED: b"pickle" * 9000,
                    "LLM/merges.txt": b"#version: 0.2\n", "README.md": b"# not needed", "src/figures/a b.png": b"png"}


class Site:
    """A hub on this machine. It notes what it was asked and can be told to misbehave."""

    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.digests: dict[str, str] = {}           # lies
        self.extra: list[dict] = []                 # entries of the listing as the hub's own JSON
        self.statuses: list[int] = []               # answered to the next requests, whatever they ask
        self.cuts: dict[str, list[int]] = {}        # file -> after how many bytes its next answers break off
        self.stalls: set[str] = set()               # files of which half is sent, and then nothing
        self.ranges = "206"                         # or "200": with Content-Range, as ModelScope; or "ignored"
        self.redirect: str | None = None            # where the next redirects lead instead, and how
        self.redirect_status = 302
        self.asked: list[str] = []                  # address of every request
        self.sent: list[tuple[str, str | None]] = []            # files sent, and the Range asked for
        self.tokens: set[tuple[str, str | None]] = set()        # of which host, and what it was shown
        self.half_sent, self.let_go = threading.Event(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"site": self}))
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()

    def digest(self, path: str, is_lfs: bool = True) -> str:
        return self.digests.get(path) or (sha256 if is_lfs else git_blob)(self.files[path])


def is_lfs(path: str) -> bool:
    return path.endswith((".safetensors", ".bin"))


class Handler(BaseHTTPRequestHandler):
    """Routes of all three hubs; an id and a path decide which."""

    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer()

    do_HEAD = do_GET

    def answer(self):
        url = urlsplit(self.path)
        path, query = unquote(url.path), {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        prefixes = {f"/{MODEL}/resolve/{COMMIT}/": self.hugging_face_file, "/cdn/": self.content,
                    f"/api/v1/file/{MODEL}/main/media/": lambda name: self.moved(f"/cdn/{name}")}
        self.site.asked.append(self.path)
        self.site.tokens.add((self.headers["Host"], self.headers.get("Authorization")))
        if self.site.statuses:
            return self.send(self.site.statuses.pop(0), b"{}")
        for prefix, route in prefixes.items():
            if path.startswith(prefix):
                return route(path.removeprefix(prefix))
        routes = {f"/api/models/{MODEL}/revision/main": self.hugging_face_listing,
                  f"/api/v1/models/{MODEL}/repo/files": self.modelscope_listing,
                  f"/api/v1/models/{MODEL}/repo": lambda q: self.content(q["FilePath"]),
                  f"/api/v1/file/{MODEL}": self.modelers_listing}
        if path not in routes:
            return self.send(404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        return routes[path](query)

    def send(self, status: int, body: bytes, headers: dict | None = None):
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def send_json(self, document):
        self.send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def moved(self, path: str, headers: dict | None = None):
        place = self.site.redirect or path.replace(" ", "%20")
        self.send(self.site.redirect_status, b"", {"Location": place, **(headers or {})})

    def hugging_face_listing(self, query: dict):
        siblings = []
        for path, content in self.site.files.items():
            sibling = {"rfilename": path, "size": len(content), "blobId": self.site.digest(path, is_lfs=False)}
            if is_lfs(path):
                sibling["lfs"] = {"sha256": self.site.digest(path), "size": len(content), "pointerSize": 134}
            siblings.append(sibling if "blobs" in query else {"rfilename": path})
        self.send_json({"id": MODEL, "modelId": MODEL, "sha": COMMIT, "private": False, "gated": False, "tags": [],
                        "downloads": 1, "siblings": siblings + self.site.extra})

    def hugging_face_file(self, name: str):
        if name not in self.site.files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content, etag = self.site.files[name], f'"{self.site.digest(name, is_lfs(name))}"'
        if is_lfs(name):
            return self.moved(f"{self.site.address.replace('127.0.0.1', 'localhost')}/cdn/{name}", headers={
                "X-Repo-Commit": COMMIT, "X-Linked-Etag": etag, "X-Linked-Size": len(content)})
        return self.content(name, {"X-Repo-Commit": COMMIT, "ETag": etag})

    def modelscope_listing(self, query: dict):
        assert query == {"Revision": "master", "Recursive": "True"}
        trees = [{"Path": p, "Name": p, "Type": "tree", "Size": 0, "Sha256": "", "Mode": "16384", "IsLFS": False}
                 for p in ("BiCodec", "LLM")]
        blobs = [{"Path": p, "Name": Path(p).name, "Type": "blob", "Size": len(c), "Sha256": self.site.digest(p),
                  "Mode": "33188", "IsLFS": is_lfs(p), "Revision": COMMIT} for p, c in self.site.files.items()]
        self.send_json({"Code": 200, "Success": True, "Message": "success", "RequestId": "x",
                        "Data": {"Files": trees + blobs + self.site.extra}})

    def modelers_listing(self, query: dict):
        assert query["ref"] == "main"
        tree, folders = [], {}
        for path, content in self.site.files.items():
            folder, _, rest = path.rpartition("/")
            if folder == query["path"]:
                tree.append({"type": "file", "path": path, "name": rest, "size": len(content), "is_lfs": is_lfs(path),
                             "etag": self.site.digest(path, is_lfs(path)), "commit": {}})
            elif not query["path"]:
                folders[path.split("/")[0]] = True
        tree += [{"type": "dir", "path": f, "name": f, "commit": {}} for f in folders] + self.site.extra
        self.send_json({"code": "", "msg": "", "data": {"last_commit": {}, "tree": tree}})

    def content(self, name: str, headers: dict | None = None):
        if name not in self.site.files:
            return self.send(404, b"{}")
        whole, wanted = self.site.files[name], self.headers.get("Range")
        self.site.sent.append((name, wanted))
        body, status, headers = whole, 200, dict(headers or {})
        if wanted and self.site.ranges != "ignored":
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(whole):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(whole)}"})
            body, status = whole[start:], int(self.site.ranges)
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        cuts = self.site.cuts.get(name)
        if self.command == "HEAD" or not (cuts or name in self.site.stalls):
            return self.send(status, body, headers)
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body[:cuts.pop(0) if cuts else len(body) // 2])
        if name in self.site.stalls:
            self.site.half_sent.set()
            self.site.let_go.wait()
        self.close_connection = True
        return None


@pytest.fixture
def site(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    site = Site(tiny_release())
    yield site
    site.close()


@pytest.fixture
def converted(monkeypatch):
    """Puts a stand-in in the place of the conversion, and notes what it was called with."""
    def stand_in(source, target, overwrite, progress):
        Path(target).write_bytes(save({name: np.zeros(1) for name in progress("ab")}))

    monkeypatch.setattr(room, "convert", create_autospec(room.convert, side_effect=stand_in))
    return room.convert


def get(site: Site, source: str, folder: Path, **options) -> tuple[Path, list[float]]:
    """Download in this process; the waits between attempts are noted and not waited."""
    waits = []
    hub = open_hub(source, MODEL, endpoint=site.address)
    return download(hub, folder, sleep=waits.append, **options), waits


def command(*args: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "cli.download", *args], cwd=ROOT, text=True, env=os.environ | env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(*args: str, **env: str) -> tuple[int, str, str]:
    process = command(*args, **env)
    out, err = process.communicate()
    assert "Traceback" not in err
    return process.returncode, out, err


# -- a whole model

@pytest.mark.parametrize("source", HUBS)
def test_a_model_arrives_whole_and_a_second_run_fetches_nothing(site, converted, tmp_path, source):
    folder, waits = get(site, source, tmp_path / "a" / "model")
    names = {p for p in site.files if p != "README.md" and not p.startswith("src/")}
    assert folder == tmp_path / "a" / "model" and waits == []
    assert {p: (folder / p).read_bytes() for p in names} == {p: site.files[p] for p in names}
    assert {p for p, _ in site.sent} == names and not list(folder.rglob("*.incomplete"))
    assert converted.call_args.args == (folder / RELEASED, folder / CONVERTED)
    site.sent.clear()
    get(site, source, folder)
    assert site.sent == [] and converted.call_count == 1


@pytest.mark.parametrize("source", HUBS)
def test_only_the_file_that_is_missing_or_damaged_is_fetched_again(site, converted, tmp_path, source):
    get(site, source, tmp_path)
    damaged = tmp_path / BIG
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    (tmp_path / "config.yaml").unlink()
    site.sent.clear()
    get(site, source, tmp_path)
    assert sorted(site.sent) == [(BIG, None), ("config.yaml", None)]
    assert damaged.read_bytes() == site.files[BIG] and converted.call_count == 1


@pytest.mark.parametrize("source", HUBS)
def test_weights_that_are_converted_already_are_taken_as_they_are(site, converted, tmp_path, source):
    site.files[CONVERTED] = site.files["BiCodec/model.safetensors"]
    del site.files[RELEASED]
    get(site, source, tmp_path)
    assert (tmp_path / CONVERTED).read_bytes() == site.files[CONVERTED] and not converted.called


def test_the_pickle_may_be_deleted_after_its_conversion(site, converted, tmp_path):
    get(site, "modelscope", tmp_path)
    (tmp_path / RELEASED).unlink()
    get(site, "modelscope", tmp_path)
    assert not (tmp_path / RELEASED).exists() and converted.call_count == 1


def test_a_pickle_that_arrives_later_is_converted_again(site, converted, tmp_path):
    get(site, "modelscope", tmp_path)
    site.files[RELEASED] = b"other" * 9000
    os.utime(tmp_path / CONVERTED, (1, 1))
    get(site, "modelscope", tmp_path)
    assert converted.call_count == 2


# -- interruptions

@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("ranges", ["206", "200"])
def test_a_dropped_connection_is_continued_where_it_broke(site, converted, tmp_path, source, ranges):
    site.ranges, site.cuts[BIG] = ranges, [1000, 0, 500]
    _, waits = get(site, source, tmp_path)
    assert [start for path, start in site.sent if path == BIG] == [
        None, "bytes=1000-", "bytes=1000-", "bytes=1500-"]
    assert waits == [1, 2, 1]           # patience starts afresh when bytes have come


def test_a_server_that_ignores_ranges_sends_the_whole_file_again(site, converted, tmp_path):
    site.ranges, site.cuts[BIG] = "ignored", [1000]
    get(site, "modelers", tmp_path)
    assert (tmp_path / BIG).read_bytes() == site.files[BIG]


def test_a_server_that_always_breaks_off_without_ranges_is_given_up(site, tmp_path):
    site.ranges, site.cuts[BIG] = "ignored", [1000] * 20
    with pytest.raises(DownloadError, match=r"the connection ended after 1000 of \d+ bytes"):
        get(site, "modelscope", tmp_path)
    assert len(site.cuts[BIG]) == 16 and not (tmp_path / BIG).exists()


def test_what_was_kept_of_another_revision_is_thrown_away_once(site, converted, tmp_path):
    partial = tmp_path / (BIG + ".incomplete")
    partial.parent.mkdir(parents=True)
    for stale in (b"x" * 1000, b"x" * len(site.files[BIG]), b"x" * (len(site.files[BIG]) + 1)):
        (tmp_path / BIG).unlink(missing_ok=True)
        partial.write_bytes(stale)
        get(site, "modelscope", tmp_path)
        assert (tmp_path / BIG).read_bytes() == site.files[BIG]


def test_a_file_that_shrank_on_the_hub_is_started_over(site, tmp_path):
    remote = RemoteFile(BIG, len(site.files[BIG]), site.digest(BIG), "master")
    site.files[BIG] = site.files[BIG][:500]
    (tmp_path / "x.incomplete").write_bytes(b"y" * 1000)
    with pytest.raises(HubFault, match="416") as caught:
        fetch(f"{site.address}/cdn/{BIG}", remote, tmp_path / "x")
    assert caught.value.passing and not (tmp_path / "x.incomplete").exists()


@pytest.mark.parametrize("source", HUBS)
def test_a_busy_hub_is_asked_again_after_a_growing_wait(site, converted, tmp_path, source):
    site.statuses = [503, 429, 502]
    _, waits = get(site, source, tmp_path)
    assert waits == [1, 2, 4]


@pytest.mark.parametrize("source", HUBS)
def test_a_connection_that_falls_silent_is_opened_again(site, converted, tmp_path, monkeypatch, source):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.3)
    site.stalls.add(BIG)
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        site.stalls.clear()

    download(open_hub(source, MODEL, endpoint=site.address), tmp_path, sleep=sleep)
    assert waits == [1] and site.sent.count((BIG, None)) == 1 and len([p for p, _ in site.sent if p == BIG]) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(site, converted, tmp_path, status):
    site.redirect_status = status
    get(site, "modelers", tmp_path)
    assert (tmp_path / BIG).read_bytes() == site.files[BIG]


def test_an_empty_file_arrives(site, tmp_path):
    site.files["empty"] = b""
    fetch(f"{site.address}/cdn/empty", RemoteFile("empty", 0, sha256(b""), "main"), tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b"" and site.asked == []


@pytest.mark.parametrize("source", HUBS)
def test_ctrl_c_keeps_what_came_and_the_same_command_resumes(site, tmp_path, source):
    site.files[CONVERTED] = site.files["BiCodec/model.safetensors"]
    del site.files[RELEASED]
    site.stalls.add(BIG)
    args = ("--source", source, "--model_id", MODEL, "--endpoint", site.address, "--local_dir", str(tmp_path))
    process = command(*args)
    site.half_sent.wait()
    while process.poll() is None and not room._arrived(tmp_path):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == "Interrupted. What has arrived is kept; the same command resumes."
    assert list(tmp_path.rglob("*.incomplete")) and not (tmp_path / BIG).exists()
    finished = {path for path in site.files if (tmp_path / path).exists()}
    site.let_go.set()
    site.stalls.clear()
    site.sent.clear()
    code, out, err = run(*args)
    assert (code, out.splitlines()[-1]) == (0, str(tmp_path))
    again = dict(site.sent)
    assert finished and not finished & again.keys()
    assert again[BIG].startswith("bytes=")


# -- hubs that lie

@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("path", [BIG, "config.yaml"])
def test_a_wrong_checksum_leaves_no_file_behind(site, tmp_path, source, path):
    site.digests[path] = ("0" * 64) if is_lfs(path) or source == "modelscope" else ("0" * 40)
    with pytest.raises(DownloadError, match="arrived damaged"):
        get(site, source, tmp_path)
    assert not (tmp_path / path).exists() and not (tmp_path / (path + ".incomplete")).exists()


HOSTILE = ["../evil", "/etc/evil", "LLM/../../evil", "C:\\evil", "LLM\\evil", "a//b", "./a", "a\nb", "", 7, None]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("source", HUBS)
def test_a_listing_with_a_hostile_name_is_refused_whole(site, tmp_path, source, name):
    site.extra = [{"huggingface": {"rfilename": name, "size": 1, "blobId": "0" * 40},
                   "modelscope": {"Path": name, "Type": "blob", "Size": 1, "Sha256": "0" * 64},
                   "modelers": {"path": name, "type": "file", "size": 1, "etag": "0" * 40}}[source]]
    with pytest.raises(DownloadError, match="a path outside the model; nothing is fetched"):
        get(site, source, tmp_path)
    assert site.sent == [] and list(tmp_path.iterdir()) == []


@given(st.text())
def test_a_name_that_is_let_in_stays_in_the_folder(name):
    if _stays_inside(name):
        folder = Path("/model")
        assert Path(os.path.normpath(folder / name)).is_relative_to(folder) and folder / name != folder


@pytest.mark.parametrize(("source", "entry"), [
    ("modelscope", {"Path": "LLM/vocab.json", "Type": "blob", "Mode": "40960", "Size": 9, "Sha256": ""}),
    ("modelscope", {"Path": "LLM/vocab.json", "Type": "commit", "Size": 9}),
    ("modelers", {"path": "LLM/vocab.json", "type": "symlink", "size": 9})])
def test_a_link_in_place_of_a_file_is_refused(site, tmp_path, source, entry):
    site.extra = [entry]
    with pytest.raises(DownloadError, match=r"LLM/vocab\.json is not a plain file there"):
        get(site, source, tmp_path)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_off_the_web_is_refused(site, tmp_path, target):
    site.redirect = target
    with pytest.raises(DownloadError, match=r"redirects to|HTTP 302"):
        get(site, "modelers", tmp_path)
    assert not list(tmp_path.rglob("*.yaml"))


def test_more_bytes_than_listed_are_not_kept(site, tmp_path):
    remote = RemoteFile(BIG, 1000, None, "master")
    with pytest.raises(HubFault, match="more bytes"):
        fetch(f"{site.address}/cdn/{BIG}", remote, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_listing_has_a_size_limit(site, monkeypatch):
    monkeypatch.setattr(fetching, "LISTING_LIMIT", 100)
    with pytest.raises(HubFault, match="too long"):
        get_json(f"{site.address}/cdn/{BIG}")


@pytest.mark.parametrize("source", OTHERS)
@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"[]", b"{}", b'{"Code":200,"Data":null,"data":null}',
                                    b'{"Code":200,"Data":{"Files":[7]},"data":{"tree":[7]}}', b"[" * 100_000,
                                    b'{"Code":404,"Message":"no such model","data":{"tree":null}}'])
def test_an_answer_that_is_no_listing_is_one_clear_line(site, tmp_path, monkeypatch, source, answer):
    listing = {"modelscope": "modelscope_listing", "modelers": "modelers_listing"}[source]
    monkeypatch.setattr(Handler, listing, lambda self, query: self.send(200, answer))
    with pytest.raises(DownloadError, match="it answer"):
        get(site, source, tmp_path)


def test_a_portal_in_place_of_hugging_face_is_one_clear_line(site, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "hugging_face_listing", lambda self, query: self.send(200, b"<html>log in</html>"))
    with pytest.raises(DownloadError, match="it answered something that is not the listing"):
        get(site, "huggingface", tmp_path)


def test_a_mirror_that_tells_no_sizes_is_one_clear_line(site, tmp_path, monkeypatch):
    plain = Handler.hugging_face_listing
    monkeypatch.setattr(Handler, "hugging_face_listing", lambda self, query: plain(self, {}))
    with pytest.raises(DownloadError, match="no size for"):
        get(site, "huggingface", tmp_path)


def test_a_token_is_shown_to_the_hub_and_not_to_the_store_it_redirects_to(site, converted, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get(site, "huggingface", tmp_path)
    assert site.tokens == {(urlsplit(site.address).netloc, "Bearer hf_secret"),
                           (urlsplit(site.address).netloc.replace("127.0.0.1", "localhost"), None)}


# -- what a person is told

@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize(("status", "hint"), [(404, "Check --model_id"), (403, "private or gated"),
                                              (401, "--model_id|private or gated"), (500, "to resume")])
def test_a_refusal_names_hub_model_and_remedy_in_one_line(site, tmp_path, source, status, hint):
    site.statuses = [status] * 4
    with pytest.raises(DownloadError, match=hint) as caught:
        get(site, source, tmp_path / "model")
    said = str(caught.value)
    assert all(part in said for part in (urlsplit(site.address).netloc, MODEL, "--source", "HTTPS_PROXY", "BiCodec"))
    assert "\n" not in said and not (tmp_path / "model").exists()


@pytest.mark.parametrize("source", HUBS)
def test_a_file_the_hub_refuses_is_named(site, tmp_path, source):
    hub = open_hub(source, MODEL, endpoint=site.address)
    with pytest.raises(HubFault, match="404") as caught:
        hub.bring(RemoteFile("gone.bin", 3, None, COMMIT if source == "huggingface" else hub.revision), tmp_path,
                  fetching.silent)
    assert not caught.value.passing


@pytest.mark.parametrize("source", HUBS)
def test_another_model_is_not_mistaken_for_ours(site, tmp_path, source):
    del site.files["LLM/tokenizer.json"], site.files[RELEASED]
    with pytest.raises(DownloadError, match=rf"LLM/tokenizer\.json, {RELEASED} not there"):
        get(site, source, tmp_path)
    assert site.sent == []


@pytest.mark.parametrize("source", HUBS)
def test_no_room_is_said_before_anything_is_fetched(site, tmp_path, source, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    with pytest.raises(OutputError, match=r"no room .* GB are needed, 0\.00 GB free"):
        get(site, source, tmp_path / "model")
    assert site.sent == [] and not (tmp_path / "model").exists()


@pytest.mark.parametrize("source", HUBS)
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_fetched(site, tmp_path, source):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="is not a folder one may write to"):
        get(site, source, tmp_path / "file" / "model")
    with pytest.raises(OutputError, match="File name too long"):
        get(site, source, tmp_path / ("x" * 300))
    assert site.asked == []


@pytest.mark.parametrize("source", HUBS)
def test_a_folder_where_a_file_should_be_is_one_clear_line(site, tmp_path, source):
    (tmp_path / "config.yaml" / "x").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"config\.yaml cannot be written"):
        get(site, source, tmp_path)


def test_a_disk_that_fills_up_is_one_clear_line(tmp_path):
    with pytest.raises(OutputError, match=r"No space left on device.*the same command resumes"), \
            fetching.writing(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("arguments", "said"), [
    (("github",), "choose one of huggingface, modelscope, modelers"), (("modelers",), "needs --model_id OWNER/NAME"),
    (("modelscope", "../x"), "not of the form"), (("modelscope", "a/.."), "not of the form"),
    (("modelscope", "a/b?c"), "not of the form"), (("modelscope", None, "a b"), "--revision"),
    (("modelscope", None, "../.."), "--revision"), (("huggingface", None, None, "hf-mirror.com"), "--endpoint"),
    (("modelscope", None, None, "file:///etc"), "--endpoint"),
    (("modelscope", None, None, "https://user:secret@host"), "--endpoint")])
def test_settings_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        open_hub(*arguments)


def test_an_id_that_hugging_face_does_not_allow_is_refused(site, tmp_path):
    with pytest.raises(InputError, match="--model_id"):
        download(open_hub("huggingface", "Some--one/x", endpoint=site.address), tmp_path)


def test_without_huggingface_hub_the_other_sources_are_named(site, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DownloadError, match="pip install huggingface_hub, or use --source modelscope"):
        get(site, "huggingface", tmp_path)


def test_known_ids_and_addresses_are_the_defaults(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert open_hub() == HUBS["huggingface"]("SparkAudio/Spark-TTS-0.5B", "main", "https://huggingface.co")
    assert open_hub("modelscope") == HUBS["modelscope"]("SparkAudio/Spark-TTS-0.5B", "master",
                                                        "https://www.modelscope.cn")
    monkeypatch.setenv("HF_ENDPOINT", "https://hf-mirror.com/")
    assert open_hub().endpoint == "https://hf-mirror.com" and "hf-mirror" not in open_hub("modelscope").endpoint


# -- verification

def test_verification_finds_what_is_missing_or_damaged(site, tmp_path):
    site.files[CONVERTED] = site.files[BIG]
    for path, content in site.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    verify(tmp_path)
    for path, content, kind in [(BIG, site.files[BIG][:-1], WeightsError), (BIG, site.files[BIG] + b"x", WeightsError),
                                (BIG, b"", WeightsError), (BIG, b"\xff" * 64, WeightsError),
                                ("LLM/tokenizer.json", b"{", ModelError), ("LLM/tokenizer.json", b"\xff", ModelError),
                                ("BiCodec/config.yaml", b"a: [", ModelError), ("config.yaml", b"text", ModelError)]:
        (tmp_path / path).write_bytes(content)
        with pytest.raises(kind, match="download") as caught:
            verify(tmp_path)
        assert path in str(caught.value) and "\n" not in str(caught.value)
        (tmp_path / path).write_bytes(site.files[path])
    (tmp_path / BIG).unlink()
    with pytest.raises(ModelError, match=rf"{BIG} missing"):
        verify(tmp_path)


@given(st.binary(max_size=300))
def test_both_kinds_of_digest_recognise_their_content(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("d") / "f"
    file.write_bytes(content)
    for digest in (sha256(content), git_blob(content), None):
        assert is_whole(file, RemoteFile("f", len(content), digest, "main"))
        assert not is_whole(file, RemoteFile("f", len(content) + 1, digest, "main"))
    assert not is_whole(file, RemoteFile("f", len(content), sha256(content + b"x"), "main"))
    shutil.rmtree(file.parent)


def test_a_fault_that_will_not_pass_is_not_waited_for():
    waits = []
    with pytest.raises(HubFault):
        patiently(lambda: (_ for _ in ()).throw(HubFault("no")), waits.append)
    assert waits == []


# -- the command

def test_the_command_ends_with_the_model_directory_and_states_the_licence(site, tmp_path):
    site.files[CONVERTED] = site.files[BIG]
    del site.files[RELEASED]
    folder = tmp_path / "model"
    code, out, err = run("--source", "modelers", "--model_id", MODEL, "--endpoint", site.address, "--local_dir",
                         str(folder))
    assert code == 0 and out == f"{folder}\n"
    lines = err.splitlines()
    assert "CC BY-NC-SA 4.0" in lines[0] and "non-commercial" in lines[0]
    assert any("100%" in line and "model.safetensors" in line for line in lines)
    verify(folder)


def test_the_mirror_in_hf_endpoint_is_asked(site, tmp_path):
    code, out, err = run("--model_id", "No/Such", "--local_dir", str(tmp_path), HF_ENDPOINT=site.address)
    assert (code, out) == (2, "") and site.asked
    assert urlsplit(site.address).netloc in err.splitlines()[-1] and "HTTP 404" in err.splitlines()[-1]


def test_offline_mode_is_one_clear_line(tmp_path):
    code, out, err = run("--local_dir", str(tmp_path), HF_HUB_OFFLINE="1")
    assert (code, out) == (2, "") and len(err.splitlines()) == 2
    assert err.splitlines()[1].startswith("error: huggingface.co did not give model SparkAudio/Spark-TTS-0.5B")
    assert "HF_HUB_OFFLINE" in err


@pytest.mark.parametrize("source", HUBS)
def test_a_hub_out_of_reach_is_one_clear_line(site, tmp_path, source):
    site.close()
    with pytest.raises(DownloadError, match=r"Connection refused.*try --source") as caught:
        get(site, source, tmp_path / "model")
    assert "\n" not in str(caught.value) and not (tmp_path / "model").exists()


def test_a_host_that_does_not_exist_is_one_clear_line(tmp_path):
    hub = open_hub("modelscope", endpoint="http://no-such-host.invalid")
    waits = []
    with pytest.raises(DownloadError, match=r"no-such-host\.invalid did not give"):
        download(hub, tmp_path, sleep=waits.append)
    assert waits == [1, 2, 4]


def test_modelers_without_an_id_is_one_clear_line(tmp_path):
    code, out, err = run("--source", "modelers", "--local_dir", str(tmp_path))
    assert (code, out) == (2, "")
    assert err == "error: --source modelers needs --model_id OWNER/NAME: no Spark-TTS is known there by default.\n"


def test_the_command_needs_no_mindspore_and_modelscope_no_hub_library():
    script = ("import sys, cli.download; from sparktts_ms.weights.hubs import open_hub; open_hub('modelscope'); "
              "print([m for m in ('mindspore', 'torch', 'huggingface_hub') if m in sys.modules])")
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) == "[]\n"
