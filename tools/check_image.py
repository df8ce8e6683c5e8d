"""Builds an image from its Dockerfile and tries it in a container: python -m tools.check_image

For Debian, as root, with apt-get install buildah podman runc debootstrap. The base is made by
debootstrap, for no registry is asked: what debian:bookworm-slim holds, without its documentation.
Then the container, without network and with the least rights, is started, asked for speech, given
a voice to save, checked for files that it wrote, stopped while it speaks, and started with wrong
settings. Start to ready is compared with the same command on this machine, in turns.

    --dockerfile ascend     only builds, on the same base: every step but those of CANN
    --base IMAGE            another base, such as one that was pulled
    --pip_conf FILE         settings of pip while the image is built (default: this machine's)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILES = ROOT / "deploy" / "docker"
BASE = "localhost/spark-tts-base:bookworm"
SUITE = "bookworm"
DOCUMENTATION = ("doc", "man", "info", "locale", "lintian")     # of /usr/share, not in slim images
COMPILERS = re.compile(r"(.+-)?(cc|gcc|g\+\+|c\+\+|cpp|clang|clang\+\+|as|ld|make|pip)(-?[\d.]+)?")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_SETTINGS = ("index-url", "extra-index-url", "timeout")
SENTENCE = "Thank you. The garden is beautiful today."
READY_SECONDS = 300.0
# runc sets limits that a machine without CAP_SYS_RESOURCE cannot raise.
LIMITS = ("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384")
LEAST_RIGHTS = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
                "--security-opt", "no-new-privileges", "--network", "none")
TMP = ("--tmpfs", "/tmp:size=256m,mode=1777")
SPEECH = """
import json, sys, urllib.request
body = {"input": sys.argv[1], "voice": "alloy", "response_format": "wav", "seed": 1}
url = "http://127.0.0.1:8000/v1/audio/speech"
with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as response:
    first = response.read(1)
    print("first", flush=True)
    print(len(first + response.read()), flush=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.check_image", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dockerfile", choices=("cpu", "ascend"), default="cpu")
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--extra", choices=("serve", "web", "ray"), default="serve")
    parser.add_argument("--pip_conf", type=Path)
    parser.add_argument("--pairs", type=int, default=2, help="starts that are compared")
    parser.add_argument("--no_build", action="store_true", help="the image is there")
    parser.add_argument("--only_starts", action="store_true", help="compare starts only")
    args = parser.parse_args()
    tag = f"localhost/spark-tts:{args.dockerfile}"
    checks = Checks()
    if not args.no_build:
        if args.base == BASE and not succeeds("podman", "image", "exists", BASE):
            make_base()
        build(args, tag)
    if args.only_starts:
        compare_starts(tag, args.pairs)
        return 0
    check_contents(checks, tag, args.dockerfile)
    if args.dockerfile == "cpu":
        check_server(checks, tag)
        check_wrong_settings(checks, tag)
        compare_starts(tag, args.pairs)
    else:
        check_ascend_start(checks, tag)
    print(f"{checks.count - len(checks.failed)} passed, {len(checks.failed)} failed")
    return 1 if checks.failed else 0


class Checks:
    """Prints what was checked, and keeps what failed."""

    def __init__(self) -> None:
        self.count = 0
        self.failed: list[str] = []

    def check(self, what: str, passed: bool, detail: object = "") -> None:
        self.count += 1
        if not passed:
            self.failed.append(what)
        print(f"{'ok    ' if passed else 'FAILED'} {what}{f': {detail}' if detail else ''}",
              flush=True)


def output(*command: str) -> str:
    # where a container runs out of memory, conmon leaves a file "oom" in the folder it starts from
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          cwd=tempfile.gettempdir()).stdout


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_base() -> None:
    """The base image, by debootstrap."""
    with tempfile.TemporaryDirectory() as folder:
        print("Making the base by debootstrap ...", flush=True)
        subprocess.run(["debootstrap", "--variant=minbase", SUITE, folder], check=True,
                       stdout=subprocess.DEVNULL)
        unwanted = [f"{folder}/usr/share/{name}" for name in DOCUMENTATION]
        unwanted += [f"{folder}/var/cache/apt/archives", f"{folder}/var/lib/apt/lists"]
        subprocess.run(["find", *unwanted, "-type", "f", "!", "-name", "copyright", "-delete"],
                       check=True)
        archive = f"{folder}.tar"
        try:
            subprocess.run(["tar", "--create", "--file", archive, "--directory", folder, "."],
                           check=True)
            output("podman", "import", archive, BASE)
        finally:
            Path(archive).unlink(missing_ok=True)


def build(args: argparse.Namespace, tag: str) -> None:
    """The image `tag`, with this machine's way to the package index, which enters no layer."""
    variables = [f"EXTRA={args.extra}", f"REVISION={revision()}"]
    if args.dockerfile == "cpu":
        variables.append(f"BASE={args.base}")
    else:
        variables += [f"CANN={args.base}", "PACKAGES=libgomp1 tini python3 python3-venv"]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(args.pip_conf.read_text() if args.pip_conf else pip_settings())
        file.flush()
        command = ["buildah", "bud", "--isolation", "chroot", "--layers", "--format", "docker",
                   "--secret", f"id=pip,src={file.name}",
                   "--file", str(DOCKERFILES / f"{args.dockerfile}.Dockerfile"), "--tag", tag]
        if CERTIFICATES.is_file():
            command += ["--secret", f"id=certificates,src={CERTIFICATES}"]
        for variable in variables:
            command += ["--build-arg", variable]
        start = time.monotonic()
        subprocess.run([*command, str(ROOT)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        print(f"Built {tag} in {time.monotonic() - start:.0f} s.", flush=True)


def revision() -> str:
    return output("git", "-C", str(ROOT), "rev-parse", "HEAD").strip()


def pip_settings() -> str:
    lines = ["[global]"]
    if CERTIFICATES.is_file():
        lines.append("cert = /run/secrets/certificates")
    for name in PIP_SETTINGS:
        result = subprocess.run([sys.executable, "-m", "pip", "config", "get", f"global.{name}"],
                                capture_output=True, text=True, check=False)
        values = [word for word in result.stdout.split() if not word.startswith("file:")]
        if values:
            lines.append(f"{name} = {' '.join(values)}")
    return "\n".join(lines) + "\n"


def check_contents(checks: Checks, tag: str, dockerfile: str) -> None:
    """Size, layers, user, and what must not be in the image."""
    image = json.loads(output("podman", "image", "inspect", tag))[0]
    config = image["Config"]
    print(f"size {image['Size'] / 1e6:.0f} MB; layers:")
    rows = output("podman", "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", tag)
    for row in rows.splitlines():
        size, _, command = row.partition("\t")
        if size.endswith(("MB", "GB")):
            print(f"  {size:>8}  {command[:70]}")
    checks.check("the user is a number, not root", config["User"] == "10001:10001", config["User"])
    checks.check("there is a health check", bool(image.get("Healthcheck")))
    container = output("podman", "create", *LIMITS, tag).strip()
    try:
        root = Path(output("podman", "mount", container).strip())
        folders = ["usr/bin", "usr/local/bin", "opt/spark-tts/bin", "usr/lib/gcc"]
        programs = [path for folder in folders for path in (root / folder).glob("*")]
        compilers = [path.name for path in programs if COMPILERS.fullmatch(path.name)]
        if dockerfile == "cpu":         # CANN's images have one, for operators compiled online
            checks.check("there is no compiler", not compilers, " ".join(compilers))
        caches = [name for name in ("root/.cache", "var/lib/apt/lists") if any(
            path.is_file() for path in (root / name).rglob("*"))]
        checks.check("there is no cache of packages", not caches, " ".join(caches))
        secrets = [name for name in ("etc/pip.conf", "run/secrets/certificates")
                   if (root / name).is_file() and (root / name).stat().st_size]
        checks.check("there is no secret of the build", not secrets, " ".join(secrets))
        own = output("find", str(root), "-xdev", "(", "-user", "10001", "-o", "-perm", "-0002",
                     "!", "-type", "l", ")", "!", "-type", "c")
        names = sorted("/" + str(Path(line).relative_to(root)) for line in own.splitlines())
        allowed = {"/tmp", "/var/tmp", "/run/lock", "/voices", "/cache"}
        checks.check("the user may write to few folders", set(names) <= allowed, " ".join(names))
    finally:
        output("podman", "rm", "--force", "--volumes", container)


@contextmanager
def running(tag: str, *flags: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A container in the background, by its id."""
    container = output("podman", "--runtime", "runc", "run", "--detach", *LIMITS, *LEAST_RIGHTS,
                       "--no-healthcheck", *flags, tag, *command).strip()
    try:
        yield container
    finally:
        subprocess.run(["podman", "rm", "--force", "--time", "0", "--volumes", container],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def in_network(container: str, *command: str) -> list[str]:
    """The command on this machine, in the container's network."""
    pid = output("podman", "inspect", "--format", "{{.State.Pid}}", container).strip()
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *command]


def demo(*flags: str) -> tuple[str, ...]:
    return (*TMP, "--volume", f"{ROOT / 'pretrained_models'}:/models:ro",
            "--volume", "/voices", *flags)


def serve(*arguments: str) -> tuple[str, ...]:
    return ("cli.serve", "--host", "0.0.0.0", "--model_dir", "/models/Spark-TTS-demo",
            "--voices", "/voices", *arguments)


def wait_for_ready(container: str) -> float:
    """Seconds. Raises RuntimeError with the log where the container ends before."""
    start = time.monotonic()
    command = ["podman", "logs", "--follow", container]     # to ask again and again takes a core
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as log:
        assert log.stdout is not None
        lines = []
        for line in log.stdout:
            lines.append(line)
            if line.startswith("Ready: "):
                log.terminate()
                return time.monotonic() - start
    raise RuntimeError(f"not ready: {''.join(lines)}")


def logs(container: str) -> str:
    result = subprocess.run(["podman", "logs", container], check=True, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.stdout


def state(container: str) -> dict:
    return json.loads(output("podman", "inspect", container))[0]["State"]


def check_server(checks: Checks, tag: str) -> None:
    """A start with the least rights, speech, a voice, what was written, and a stop."""
    with running(tag, *demo(), command=serve("--drain_seconds", "60")) as container:
        print(f"ready after {wait_for_ready(container):.1f} s")
        log = logs(container)
        checks.check("the kernels are those of the image",
                     "CPU kernels: kernels-" in log and "Compiling the CPU kernels" not in log,
                     "".join(re.findall(r"CPU kernels: (\S+)", log)))
        health = subprocess.run(["podman", "exec", container, "python", "-I",
                                 "/app/healthcheck.py"], capture_output=True, text=True,
                                check=False)
        checks.check("the health check passes", health.returncode == 0,
                     (health.stdout + health.stderr).strip())
        size = int(output(*in_network(container, sys.executable, "-c", SPEECH,
                                      SENTENCE)).split()[-1])
        checks.check("it speaks", size > 16_000, f"{size} bytes of wav")
        prompt = ROOT / "examples" / "sparktts" / "prompt.wav"
        subprocess.run(in_network(
            container, "curl", "--silent", "--fail", "http://127.0.0.1:8000/v1/audio/voices",
            "-F", "name=Anna", "-F", "consent=yes", "-F", f"audio_sample=@{prompt}"),
            check=True, stdout=subprocess.DEVNULL)
        voices = output("podman", "exec", container, "ls", "/voices").split()
        checks.check("a voice is saved in its volume", voices == ["Anna.json"], " ".join(voices))
        changes = [line for line in output("podman", "diff", container).splitlines()
                   if not re.fullmatch(r"[AC] (/etc|/run|/dev|/proc|/sys)(/\S*)?", line)]
        checks.check("nothing is written to the image", not changes, "; ".join(changes))
        temporary = output("podman", "exec", container, "find", "/tmp", "-type", "f").split()
        print(f"  files in /tmp: {' '.join(temporary) or 'none'}")
        check_stop(checks, container)


def check_stop(checks: Checks, container: str) -> None:
    """SIGTERM while it speaks."""
    with subprocess.Popen(in_network(container, sys.executable, "-c", SPEECH, 6 * SENTENCE),
                          stdout=subprocess.PIPE, text=True) as speech:
        assert speech.stdout is not None
        speech.stdout.readline()                # the first sound is there
        stopper = threading.Thread(target=output, args=("podman", "stop", "--time", "90",
                                                        container))
        stopper.start()
        size = int(speech.stdout.readline() or 0)
        stopper.join()
    status = state(container)["ExitCode"]
    checks.check("SIGTERM lets it finish what it speaks", size > 16_000 and speech.returncode == 0,
                 f"{size} bytes of wav")
    checks.check("it ends with status 0", status == 0, status)


def check_wrong_settings(checks: Checks, tag: str) -> None:
    """Each gives one line that says what is wrong; what is printed here is in docs/scaling.md."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        subprocess.run(["cp", "--recursive", str(ROOT / "pretrained_models" / "Spark-TTS-demo"),
                        f"{models}/"], check=True)
        models.chmod(0o700)                     # root's
        closed = Path(folder) / "voices"
        closed.mkdir(mode=0o755)
        Path(folder).chmod(0o755)
        key = Path(folder) / "key"
        key.write_text("secret")
        key.chmod(0o600)
        model = f"{ROOT / 'pretrained_models'}:/models:ro"
        cases: list[tuple[str, tuple[str, ...], tuple[str, ...], str]] = [
            ("no model is mounted", TMP, serve(), r"error: The model directory .* does not exist"),
            ("models that the user may not read", (*TMP, "-v", f"{models}:/models:ro"),
             ("cli.serve", "--model_dir", "/models"), r"error: /models/LLM cannot be read by"),
            ("voices that the user may not write",
             (*TMP, "-v", model, "-v", f"{closed}:/voices"), serve(),
             r"No voice can be saved in /voices"),
            ("no tmpfs", ("-v", model), serve(), r"error: There is no folder for temporary files"),
            ("an unreadable file of API keys",
             (*TMP, "-v", model, "-v", f"{key}:/run/secrets/api_keys:ro",
              "-e", "SPARKTTS_API_KEY_FILE=/run/secrets/api_keys"), serve(),
             r"error: The file of API keys .* Permission denied"),
            ("no Ascend device", (*TMP, "-v", model), serve("--device_target", "Ascend"),
             r"error: No Ascend device was found"),
            ("kernels of another version", (*TMP, "-v", model, "-e", "SPARKTTS_KERNELS=/tmp"),
             serve(), r"/tmp has no CPU kernels of this version for this processor"),
            ("too little memory", (*TMP, "-v", model, "--memory", "180m", "--memory-swap", "180m"),
             serve(), r"This process may use 180 MB of memory, and the model takes at least"),
        ]
        for what, flags, command, expected in cases:
            with running(tag, *flags, command=command) as container:
                line = wait_for_line(container, expected)
            checks.check(what, bool(line), line)
        with (running(tag, *TMP, "-v", model, command=serve()) as first,
              listening(first) as taken):
            line = taken
        checks.check("a port in use", "cannot listen on" in line, line)


def wait_for_line(container: str, expected: str) -> str:
    """The first line of the log that matches; empty where the container is ready, ends or takes
    too long without."""
    start = time.monotonic()
    while time.monotonic() - start < READY_SECONDS:
        ended = state(container)["Status"] == "exited"
        log = logs(container)
        for line in log.splitlines():
            if re.search(expected, line) and "Traceback" not in log:
                return line
        if ended or "Ready: " in log:
            print(log)
            return ""
        time.sleep(0.2)
    return ""


@contextmanager
def listening(container: str) -> Iterator[str]:
    """What a second server in the same container says."""
    wait_for(lambda: succeeds(*in_network(container, "curl", "--silent",
                                          "http://127.0.0.1:8000/health")))
    result = subprocess.run(["podman", "exec", container, "python", "-m", "cli.serve",
                             "--host", "0.0.0.0", "--grpc_port", "0"],
                            capture_output=True, text=True, check=False)
    yield result.stderr.strip().splitlines()[-1]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + READY_SECONDS
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)


def compare_starts(tag: str, pairs: int) -> None:
    """Start to ready in a container and on this machine, in turns."""
    for _ in range(pairs):
        start = time.monotonic()
        with running(tag, *demo(), command=serve()) as container:
            wait_for_ready(container)
            inside = time.monotonic() - start
        command = [sys.executable, "-m", *serve("--port", "0", "--grpc_port", "0")]
        command[command.index("/models/Spark-TTS-demo")] = "pretrained_models/Spark-TTS-demo"
        command[command.index("/voices")] = tempfile.gettempdir()
        command[command.index("0.0.0.0")] = "127.0.0.1"
        start = time.monotonic()
        environment = {**os.environ}
        environment.pop("OMP_NUM_THREADS", None)
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, env=environment) as server:
            assert server.stdout is not None
            server.stdout.readline()
            outside = time.monotonic() - start
            server.send_signal(signal.SIGTERM)
        print(f"start to ready: container {inside:.1f} s, this machine {outside:.1f} s", flush=True)


def check_ascend_start(checks: Checks, tag: str) -> None:
    """Without CANN and device: what the image says then."""
    model = f"{ROOT / 'pretrained_models'}:/models:ro"
    with running(tag, *TMP, "-v", model, command=serve("--device_target", "Ascend")) as container:
        line = wait_for_line(container, r"error: No Ascend device was found")
        log = logs(container)
    checks.check("no Ascend device", bool(line), line)
    checks.check("no driver is mounted", "mount the host's driver" in log)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("error: building in a chroot needs root.")
    for program in ("buildah", "podman", "runc", "nsenter", "curl"):
        if not succeeds("which", program):
            sys.exit(f"error: {shlex.quote(program)} is missing: apt-get install buildah podman "
                     "runc debootstrap curl")
    sys.exit(main())
