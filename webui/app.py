"""The server: page, endpoints and service put together."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.middleware import Middleware

from sparktts_ms.errors import InputError
from sparktts_ms.service import Service
from webui.handlers import Handlers
from webui.http_api import SYNTHESIS_PATHS, HttpApi
from webui.middleware import RequestGuard
from webui.page import CSS, THEME, Page
from webui.sessions import Limits, Sessions
from webui.temp_files import TempFiles
from webui.voice_store import VoiceStore

warnings.filterwarnings("ignore", module=r"gradio\.")    # its own use of deprecated Starlette API

MAX_THREADS = 240       # a waiting visitor holds one


@dataclass(frozen=True)
class Settings:
    """Where to listen and what to show.

    voices: folder of saved voices; None gives every session a folder of its own, removed after an
    hour, for public servers. origins: other sites whose pages may send requests, "*" for all.
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


class Server:
    """url: address of the page; public_url: its address at gradio.live, if it is shared."""

    def __init__(self, service: Service, settings: Settings):
        self.settings = settings
        self.temp_files = TempFiles()
        os.environ["GRADIO_TEMP_DIR"] = str(self.temp_files.folder)     # uploads and served files
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        self.sessions = Sessions(service, self.temp_files, settings.limits)
        self.shared_store = None if settings.voices is None else VoiceStore(settings.voices)
        handlers = Handlers(self.sessions, self.voice_store)
        languages = service.tts.config.languages
        self.page = Page(handlers, settings.note, settings.example, languages).blocks
        requests = settings.limits.requests
        self.page.queue(max_size=2 * requests, default_concurrency_limit=requests)

    def start(self) -> Server:
        """Listen. Raises InputError if the port is taken."""
        settings = self.settings
        own_address = [settings.root_path] if urlsplit(settings.root_path).netloc else []
        guard = Middleware(RequestGuard, origins=[*settings.origins, *own_address],
                           max_upload=settings.limits.upload, costly_paths=SYNTHESIS_PATHS)
        routes = HttpApi(self.sessions, self.shared_store).routes()
        try:
            _, self.url, self.public_url = self.page.launch(
                server_name=settings.server_name, server_port=settings.server_port,
                root_path=settings.root_path or None, share=settings.share,
                max_threads=MAX_THREADS, max_file_size=settings.limits.upload, show_error=False,
                quiet=True, prevent_thread_lock=True, ssr_mode=False, theme=THEME, css=CSS,
                enable_monitoring=False, pwa=False,
                app_kwargs={"routes": routes, "middleware": [guard]})
        except OSError:
            address = f"{settings.server_name}:{settings.server_port}"
            raise InputError(f"The server cannot listen on {address}.", "Choose another port.",
                             code="port_unavailable") from None
        return self

    def close(self) -> None:
        """Stop listening and remove all temporary files."""
        self.page.close(verbose=False)
        self.temp_files.close()

    def voice_store(self, session_id: str) -> VoiceStore:
        """The shared store, or the session's own."""
        if self.shared_store is not None:
            return self.shared_store
        name = "".join(filter(str.isalnum, session_id))
        return VoiceStore(self.temp_files.folder / "voices" / name)
