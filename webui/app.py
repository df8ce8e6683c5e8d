"""The server: page, endpoints and service put together."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from fastapi.exception_handlers import http_exception_handler
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from sparktts_ms.service import Service
from sparktts_ms.serving.app import (
    KEY_HEADERS,
    OPEN_PATHS,
    OPEN_SOCKETS,
    error_handlers,
    larger_bodies,
    refusals,
)
from sparktts_ms.serving.app import routes as protocol_routes
from sparktts_ms.serving.http_server import HttpServer
from sparktts_ms.serving.middleware import (
    AllowedRoutes,
    ApiKeys,
    BodyLimit,
    BodyTimeLimit,
    ConcurrencyLimit,
    ErrorLog,
    FullDisk,
    HostCheck,
    OriginCheck,
    TotalBodyLimit,
    VisitorCookie,
)
from sparktts_ms.serving.middleware.api_key import KEY_ID
from sparktts_ms.serving.middleware.errors import log_error
from sparktts_ms.serving.middleware.hosts import LOOPBACK_HOSTS, is_loopback
from sparktts_ms.serving.middleware.visitors import VISITOR
from sparktts_ms.serving.monitoring.tracing import RequestLog
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Settings as SpeechSettings
from sparktts_ms.serving.settings import answered_hosts
from sparktts_ms.serving.voices.store import VisitorVoices, Voices, VoiceStore
from webui.gradio_guard import CallErrors, guard_calls
from webui.handlers import Handlers
from webui.http_api import (
    FORM_OVERHEAD,
    SYNTHESIS_PATHS,
    UPLOAD_PATH,
    HttpApi,
    refusal,
)
from webui.page import CSS, THEME, Page
from webui.sessions import Limits, Sessions
from webui.temp_files import TempFiles

logger = logging.getLogger("sparktts_ms")
warnings.filterwarnings("ignore", module=r"gradio\.")    # its own use of deprecated Starlette API

QUIET_PATHS = r"(?!/v[12]/)[^\0]*|/v2/health/\w+"       # not in the log

MAX_THREADS = 240       # a waiting visitor holds one
FILE_PATH = "/gradio_api/file="
JOIN_PATH = r"/gradio_api/(queue/join|call/(v2/)?\w+)"

# Of Gradio's routes those that the page and gradio_client 1.4 and newer use, and ours. What is not
# here is not found: Gradio has routes for development, for monitoring and for other components.
ROUTES = (
    ("GET HEAD", r"/|/config|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json"),
    ("GET HEAD", r"/(assets|static)/[^\0]+"),
    ("GET HEAD", r"/gradio_api/(info|openapi\.json|theme\.css|upload_progress)"),
    ("GET HEAD", r"/gradio_api/file=[^\0]+"),
    ("GET", r"/gradio_api/(queue/data|heartbeat/[\w-]+)"),
    ("POST", JOIN_PATH),
    ("GET", r"/gradio_api/call/(v2/)?\w+/\w+"),
    ("POST", r"/gradio_api/(run/\w+|upload|cancel|reset)"),
    ("GET POST HEAD", r"/tts"),
    ("POST", r"/api"),
    ("GET HEAD", r"/live/[\w-]+"),
    ("OPTIONS", r"/(api|tts|gradio_api/[^\0]*)?"),
    ("GET HEAD", r"/health(/\w+)?|/metrics"),
    ("GET HEAD", r"/v[12](/[^\0]*)?"),
    ("POST OPTIONS", r"/v1/(?!audio/voice)[^\0]+|/v2/[^\0]+"),
)
# Where visitors may save and delete shared voices.
MANAGING_ROUTES = (("POST DELETE OPTIONS", r"/v1/audio/voice[^\0]*"),)


@dataclass(frozen=True)
class Settings:
    """Where to listen, what to show, and who may do what.

    voices: folder of saved voices that all visitors see; None: there are none. manage_voices:
    whether visitors save and delete them there; otherwise they have voices of their own, which are
    removed after an hour. None: only where just this machine's users reach the server. origins:
    other sites whose pages may send requests, "*" for all. allowed_hosts: host names by which
    the server may be called; "*.example.org", "*". Empty: all, but on a loopback address its own.
    api_keys: requests need one of them; saved voices then belong to a key, and are kept.
    note: Markdown at the top of the page. example: a recording to try, its transcript beside it.
    """

    server_name: str = "127.0.0.1"
    server_port: int = 7860
    root_path: str = ""
    share: bool = False
    voices: Path | None = Path("voices")
    origins: Sequence[str] = ()
    note: str = ""
    example: Path | None = None
    limits: Limits = Limits()  # noqa: RUF009
    allowed_hosts: Sequence[str] = ()
    api_keys: Sequence[str] = ()
    manage_voices: bool | None = None

    @property
    def is_local(self) -> bool:
        """Whether only users of this machine reach the server."""
        behind_proxy = bool(self.root_path or self.allowed_hosts)
        return is_loopback(self.server_name) and not self.share and not behind_proxy

    @property
    def shares_voices(self) -> bool:
        """Whether visitors may save and delete shared voices."""
        return self.is_local if self.manage_voices is None else self.manage_voices

    @property
    def speech(self) -> SpeechSettings:
        """Of the protocols that `cli.serve` has, too."""
        return SpeechSettings(
            host=self.server_name, voices=self.voices, api_keys=self.api_keys,
            max_queue=self.limits.requests, allowed_hosts=self.allowed_hosts,
            origins=self.origins, limits=self.limits)


class Server:
    """url: address of the page; public_url: its address at gradio.live, if it is shared."""

    def __init__(self, service: Service, settings: Settings):
        """Raises OutputError if there can be no temporary files."""
        self.settings = settings
        self.url = ""
        self.public_url: str | None = None
        self.temp_files = TempFiles()
        os.environ["GRADIO_TEMP_DIR"] = str(self.temp_files.folder)     # uploads and served files
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        self.sessions = Sessions(service, self.temp_files, settings.limits)
        self.speech_server = SpeechServer(settings.speech)
        self.speech_server.speech.start(service)
        self.shared_store = None if settings.voices is None else VoiceStore(settings.voices)
        self.page = self._build_page(service)
        self.http: HttpServer | None = None

    def start(self) -> Server:
        """Listen. Raises InputError if the port is taken."""
        settings = self.settings
        hosts = _allowed_hosts(settings)
        app = self._app(hosts)
        self.http = HttpServer(app, settings.server_name, settings.server_port).start()
        self.url = self.http.url
        if settings.share:
            self.public_url = self._share()
            hosts.append(urlsplit(self.public_url or "").hostname or LOOPBACK_HOSTS[0])
        return self

    def close(self) -> None:
        """Stop listening and remove all temporary files."""
        self.page.is_running = False            # ends its streams
        self.speech_server.speech.drain(0)
        self.sessions.close()
        if self.http is not None:
            self.http.close()
        self.speech_server.close()
        self.temp_files.close()

    def voice_store(self, request: gr.Request) -> Voices:
        """The saved voices of who sent a request to the page."""
        session = str(request.session_hash)
        scope = request.request.scope if request.request is not None else {}
        return self._voices(scope, session) or self._own_voices(session)

    def _build_page(self, service: Service) -> gr.Blocks:
        handlers = Handlers(self.sessions, self.voice_store)
        languages = service.tts.config.languages
        page = Page(handlers, self.settings.note, self.settings.example, languages).blocks
        requests = self.settings.limits.requests
        page.queue(max_size=2 * requests, default_concurrency_limit=requests)
        page.share = self.settings.share
        page.max_threads = page._queue.max_thread_count = MAX_THREADS
        guard_calls(page, self.temp_files.folder)
        return page

    def _app(self, hosts: Sequence[str]) -> ASGIApp:
        """The application, with everything that guards it; the first middleware sees a request
        first."""
        settings = self.settings
        limits = settings.limits
        own_address = settings.root_path if urlsplit(settings.root_path).netloc else ""
        origins = [*settings.origins, *map(_origin, filter(None, [own_address]))]
        upload = limits.upload + FORM_OVERHEAD
        larger = {"/api": upload, UPLOAD_PATH: upload, **larger_bodies(limits)}
        allowed = [*ROUTES, *(MANAGING_ROUTES if settings.shares_voices else ())]
        refuse = refusals(refusal)
        guards = [
            Middleware(ErrorLog, refuse=refuse),
            Middleware(RootPath, urlsplit(settings.root_path).path),
            Middleware(RequestLog, QUIET_PATHS),
            Middleware(HostCheck, hosts, refuse=refuse),
            Middleware(OriginCheck, origins, SYNTHESIS_PATHS, refuse=refuse),
            Middleware(ApiKeys, settings.api_keys, KEY_HEADERS, OPEN_PATHS, refuse=refuse,
                       open_sockets=OPEN_SOCKETS),
            Middleware(AllowedRoutes, allowed, self._may_fetch, refuse=refuse),
            Middleware(ConcurrencyLimit, SYNTHESIS_PATHS, limits.requests, refuse=refuse),
            Middleware(BodyLimit, limits.body, larger, refuse=refuse),
            Middleware(TotalBodyLimit, limits.bodies, limits.body, refuse=refuse),
            Middleware(BodyTimeLimit, limits.body_seconds, refuse=refuse),
            Middleware(VisitorCookie),
        ]
        inner = [Middleware(kind, refuse=refuse) for kind in (CallErrors, FullDisk)]
        routes = [*HttpApi(self.sessions, self._voices, own_address).routes(),
                  *protocol_routes(self.speech_server)]
        app: Any = Starlette()
        gr.mount_gradio_app(
            app, self.page, "/", root_path=settings.root_path or None,
            max_file_size=limits.upload, show_error=False, ssr_mode=False, theme=THEME, css=CSS,
            enable_monitoring=False, pwa=False,
            app_kwargs={"routes": routes, "middleware": inner,
                        "exception_handlers": error_handlers(refuse, http_exception_handler)})
        for guard in reversed(guards):
            app = guard.cls(app, *guard.args, **guard.kwargs)
        return app

    def _may_fetch(self, path: str) -> bool:
        """Whether a path is none of Gradio's files, or a file that visitors may fetch."""
        if not path.startswith(FILE_PATH):
            return True
        file = Path(os.path.normpath(path.removeprefix(FILE_PATH)))
        return file.is_relative_to(self.temp_files.folder)

    def _voices(self, scope: Mapping[str, Any], session: str = "") -> Voices | None:
        """The saved voices of who sent a request; None if there are none."""
        settings = self.settings
        if self.shared_store is not None and settings.shares_voices:
            return self.shared_store
        state = scope.get("state") or {}
        key_id = state.get(KEY_ID)
        if key_id and self.shared_store is not None:
            own = VoiceStore(self.shared_store.folder / "keys" / key_id)
        elif visitor := key_id or state.get(VISITOR) or session:
            own = self._own_voices(visitor)
        else:
            return self.shared_store
        return own if self.shared_store is None else VisitorVoices(own, self.shared_store)

    def _own_voices(self, visitor: str) -> VoiceStore:
        name = hashlib.sha256(visitor.encode(errors="replace")).hexdigest()
        return VoiceStore(self.temp_files.private / "voices" / name)

    def _share(self) -> str | None:
        """The page's address at gradio.live; None, and a line in the log, if there is none."""
        from gradio.networking import setup_tunnel

        assert self.http is not None
        try:
            return setup_tunnel(self.settings.server_name, self.http.port, self.page.share_token,
                                None, None)
        except Exception as error:
            log_error("Sharing the page at gradio.live", error)
            return None


class RootPath:
    """ASGI middleware: tells the others below which path the application is served. Proxies may
    leave that path in a request's, or cut it off."""

    def __init__(self, app: ASGIApp, root_path: str):
        self.app = app
        self.root_path = root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.root_path and scope["type"] != "lifespan":
            path = scope["path"]
            if path.startswith(self.root_path + "/"):
                path = path[len(self.root_path):]
            scope = {**scope, "root_path": self.root_path, "path": path}
        await self.app(scope, receive, send)


def _allowed_hosts(settings: Settings) -> list[str]:
    """Host names by which the server may be called."""
    hosts = answered_hosts(settings.server_name, settings.allowed_hosts)
    own = urlsplit(settings.root_path).hostname
    return [*hosts, own] if own and "*" not in hosts else hosts


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
