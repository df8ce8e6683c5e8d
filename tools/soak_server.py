"""A server under mixed load for a long time: python -m tools.soak_server --minutes 60

Starts `python -m cli.serve` with a key, folders of its own and few places in its queue. Clients of
all protocols speak to it: every format, events, WebSockets, KServe over HTTP and gRPC, uploads and
deletions of voices, slow readers, clients that leave or are killed, and garbage.

First the server is restarted under load, by SIGTERM and by SIGKILL. Then one process runs for the
rest of the time; in the middle its disk is full for a while. It is seen idle after the warm-up and
at the end, and is ended by SIGTERM under load.

Exit status 1: a request was lost (it neither ended nor was refused in words), speech was of the
wrong length or format, the server raised or did not end or start again, the peak of its memory
after the warm-up is more than --max_growth above that of the warm-up, or it holds more threads,
files, temporary files or slots when idle than before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from tools.server_soak import (
    garbage,
    kserve_clients,
    speech_clients,
    voice_clients,
    websocket_clients,
)
from tools.server_soak.audio import ExpectedLengths
from tools.server_soak.context import Action, Context, perform
from tools.server_soak.disk import SmallDisk
from tools.server_soak.ledger import Failed, Ledger, Point, Verdict, as_json, table
from tools.server_soak.ports import free_ports
from tools.server_soak.process import ROOT, Server, ServerFailed, Usage, serve_command

ACTIONS: dict[str, tuple[float, Action]] = {
    **speech_clients.ACTIONS, **websocket_clients.ACTIONS, **kserve_clients.ACTIONS,
    **voice_clients.ACTIONS, **garbage.ACTIONS}
RESTARTS = 0.2              # of the time; then one process runs:
WARM_UP = 0.4               # until this part of the time,
DISK_FULL = (0.6, 0.65)     # with a full disk meanwhile
KEY = "soak-key"
MAX_QUEUE = 16
DRAIN_SECONDS = 20
RETRY_SECONDS = 1.0         # of a client while the server ends or starts
MAX_GROWTH = 0.05           # of memory after the warm-up of a long test,
LONG_MINUTES = 20           # in minutes; in shorter ones the warm-up is not over:
MAX_GROWTH_SHORT = 0.25
QUIET_SECONDS = 60          # in which an idle server must have no requests
# Samples of silence that a stream of these formats begins and ends with, at 16 kHz.
ADDED = {"mp3": (529, 529 + 575), "aac": (1024, 1024 + 1023)}


class Soak:
    """One soak test. `minutes` of clients; starts and ends of the server come on top."""

    def __init__(self, server: Server, context: Context, args: argparse.Namespace):
        self.server = server
        self.context = context
        self.ledger = context.ledger
        self.args = args
        self.life = 0
        self.working = asyncio.Event()      # set: clients may begin something
        self.ended = False
        self.busy = 0                       # clients in the middle of something

    async def run(self) -> float:
        """Run the whole test; returns when the warm-up had ended, in seconds of the ledger."""
        await self.start()
        await voice_clients.keep_a_voice(self.context)
        self.working.set()
        clients = [asyncio.create_task(self.client(n)) for n in range(self.args.clients)]
        watcher = asyncio.create_task(self.watch())
        try:
            warm_up = await self.run_stages()
            _, unfinished = await asyncio.wait(clients, timeout=QUIET_SECONDS)
            for _ in unfinished:
                self.ledger.fail("server", "lost", "a client waits although the server has ended")
        finally:
            self.ended = True
            for task in (*clients, watcher):
                task.cancel()
        return warm_up

    async def run_stages(self) -> float:
        """What happens to the server while clients call it, to its last end."""
        await self.work(RESTARTS / 2)
        await self.restart_gently()
        await self.work(RESTARTS / 2)
        await self.restart_hard()
        await self.try_once("kept voice", voice_clients.use_kept)
        await self.work(WARM_UP - RESTARTS)
        warm_up = self.ledger.seconds
        await self.see_idle("after the warm-up")
        await self.work(DISK_FULL[0] - WARM_UP)
        self.fill_disk()
        for _ in range(3):
            await self.try_once("voice upload", voice_clients.add_and_delete)
        await self.work(DISK_FULL[1] - DISK_FULL[0])
        self.free_disk()
        await self.work(1 - DISK_FULL[1])
        await self.see_idle("at the end")
        await self.work(min(0.05, 5 / 60 / self.args.minutes))      # under load again
        self.context.outages.begin()
        self.ended = True
        await self.end_gently()
        return warm_up

    async def work(self, part: float) -> None:
        """Let the clients work for this part of the time."""
        await asyncio.sleep(60 * self.args.minutes * part)

    async def try_once(self, name: str, action: Action) -> None:
        """An action beside those of the clients, which choose theirs at random."""
        await perform(self.context, name, action, random.Random(self.ledger.requests))

    async def client(self, number: int) -> None:
        """One client after another, chosen at random by weight."""
        generator = random.Random(f"{self.args.seed} {number}")
        names = [name for name in ACTIONS if self.args.only in name]
        weights = [ACTIONS[name][0] for name in names]
        while not self.ended:
            await self.working.wait()
            name = generator.choices(names, weights)[0]
            self.busy += 1
            try:
                await perform(self.context, name, ACTIONS[name][1], generator)
            finally:
                self.busy -= 1
            if self.context.outages.now:
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(generator.expovariate(1 / max(self.args.pause, 0.001)))

    async def watch(self) -> None:
        """A point of the ledger at each interval."""
        interval = max(0.5, min(10.0, 60 * self.args.minutes / 100))
        last = float("-inf")
        while True:
            usage = await asyncio.to_thread(self.server.usage)
            if usage is not None:
                self.ledger.points.append(Point(self.ledger.seconds, self.life, usage))
                if self.ledger.seconds - last >= min(60.0, 12 * interval):
                    last = self.ledger.seconds
                    log(f"{last / 60:6.1f} min {usage.memory:7.0f} MB {usage.threads:4d} threads "
                        f"{usage.files:4d} files {usage.running:3d} running {usage.waiting:3d} "
                        f"waiting {self.ledger.requests:6d} requests "
                        f"{self.ledger.failure_count:3d} failed")
            await asyncio.sleep(interval)

    async def start(self) -> None:
        self.life += 1
        await asyncio.to_thread(self.server.start)
        self.context.outages.end()
        log(self.ledger.note(f"ready after {self.server.starts[-1]:.1f} s"))

    async def restart_gently(self) -> None:
        """SIGTERM under load: what runs is finished or told, then the server starts again."""
        self.context.outages.begin()
        await self.end_gently()
        await self.start()

    async def end_gently(self) -> None:
        began = time.monotonic()
        self.server.begin_termination()
        status = await asyncio.to_thread(self.server.wait, DRAIN_SECONDS + 30)
        log(self.ledger.note(f"SIGTERM: ended with status {status} after "
                             f"{time.monotonic() - began:.1f} s"))
        if status != 0:
            self.ledger.fail("server", "unexpected", f"exit status {status} after SIGTERM")
        if left := self.server.temp_files():
            self.ledger.fail("server", "unexpected", f"files left after SIGTERM: {left}")

    async def restart_hard(self) -> None:
        """SIGKILL under load: nothing half-written is taken for a voice, the next start works."""
        self.context.outages.begin()
        await asyncio.to_thread(self.server.kill)
        left = self.server.temp_files()
        log(self.ledger.note(f"SIGKILL: files left: {[path.name for path in left]}"))
        for path in left:                   # as what cleans a temporary folder would do
            path.unlink()
        await self.start()

    async def see_idle(self, when: str) -> None:
        """Let all clients finish, and look at what the server still holds."""
        self.working.clear()
        while self.busy:
            await asyncio.sleep(0.1)
        await self.quiet()
        if "slot" in self.args.only or not self.args.only:
            await self.see_slots_freed()
        await asyncio.sleep(min(7.0, 6 * self.args.minutes))     # connections are kept for 5 s
        usage = await self.quiet()
        if usage is not None:
            self.ledger.idle.append(Point(self.ledger.seconds, self.life, usage))
            log(self.ledger.note(f"idle {when}: {usage}"))
        self.working.set()

    async def see_slots_freed(self) -> None:
        """Time how long the slot of a client that left stays taken."""
        try:
            for _ in range(5):
                freed = await speech_clients.seconds_until_free(self.context, self.running)
                self.ledger.slot_freed.append(freed)
        except Failed as error:
            self.ledger.fail("leaver of an idle server", error.kind, str(error))

    async def running(self) -> int:
        metrics = await asyncio.to_thread(self.server.metrics)
        return int(metrics["spark_tts:num_requests_running"])

    async def quiet(self) -> Usage | None:
        """The usage when no request runs any more, or after a while."""
        end = time.monotonic() + QUIET_SECONDS
        while True:
            usage = await asyncio.to_thread(self.server.usage)
            idle = usage is not None and not usage.running and not usage.waiting
            if idle or time.monotonic() > end:
                return usage
            await asyncio.sleep(0.2)

    def fill_disk(self) -> None:
        disk = self.context.disk
        disk.fill(self.server.process)
        log(self.ledger.note("disk full" if disk.mounted else "no file can be written"))

    def free_disk(self) -> None:
        self.context.disk.free()
        log(self.ledger.note("disk free"))


async def soak(args: argparse.Namespace, folder: Path,
               command: Callable[[int, int, Path], list[str]] | None = None
               ) -> tuple[Ledger, Verdict, Server]:
    """The test in a folder of its own. command(HTTP's port, gRPC's port, folder of voices) starts
    another server than cli.serve."""
    port, grpc_port = free_ports(2)
    disk = SmallDisk(folder / "storage")
    server = Server([], port, folder)
    if command is not None:
        server.command = command(port, grpc_port, server.voices)
    else:
        server.command = serve_command(
            port, grpc_port, args.model_dir, server.voices, "--api_key", KEY, "--max_queue",
            str(MAX_QUEUE), "--drain_seconds", str(DRAIN_SECONDS))
    ledger = Ledger()
    warm_up = 0.0
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=4)
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=None, trust_env=False,
                                     limits=limits,
                                     headers={"Authorization": f"Bearer {KEY}"}) as client:
            context = Context(server.url, f"127.0.0.1:{grpc_port}", KEY, client, ledger,
                              ExpectedLengths(ADDED), disk)
            test = asyncio.create_task(Soak(server, context, args).run())
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, test.cancel)
            warm_up = await test
    except ServerFailed as error:
        ledger.fail("server", "unexpected", str(error))
    except asyncio.CancelledError:
        ledger.fail("soak test", "unexpected", "ended by a signal")
    finally:
        server.close()
        disk.close()
    max_growth = args.max_growth
    if max_growth is None:
        max_growth = MAX_GROWTH if args.minutes >= LONG_MINUTES else MAX_GROWTH_SHORT
    return ledger, Verdict.of(ledger, warm_up, server.errors, max_growth), server


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.soak_server", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", default=str(ROOT / "pretrained_models" / "Spark-TTS-demo"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=6, help="at once")
    parser.add_argument("--pause", type=float, default=0.5, metavar="SECONDS",
                        help="of a client between two requests, on average")
    parser.add_argument("--max_growth", type=float, metavar="PART",
                        help=f"of memory (default: {MAX_GROWTH:g}, in tests of less than "
                             f"{LONG_MINUTES} minutes {MAX_GROWTH_SHORT:g})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="NAME",
                        help="clients whose names contain this")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR",
                        help="folder for the server's log (default: deleted unless it failed)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argument_parser()
    args = parser.parse_args(arguments)
    if not any(args.only in name for name in ACTIONS):
        parser.error(f"no client's name contains {args.only[:80]!r}: {', '.join(ACTIONS)}")
    folder = args.keep or Path(tempfile.mkdtemp(prefix="soak-server-"))
    folder.mkdir(parents=True, exist_ok=True)
    before = os.getloadavg()[0]
    ledger, verdict, server = asyncio.run(soak(args, folder))
    print(table(ledger, verdict))
    print(f"Load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, "
          f"{os.cpu_count()} cores.")
    if args.output is not None:
        more = {"minutes": args.minutes, "clients_at_once": args.clients, "pause_s": args.pause,
                "seed": args.seed, "starts_s": server.starts, "log_errors": server.errors,
                "load_average": [before, os.getloadavg()[0]], "cores": os.cpu_count()}
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(as_json(ledger, verdict, more), indent=1) + "\n")
    if verdict.problems:
        print(f"The server's log: {server.log}")
        return 1
    if args.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
