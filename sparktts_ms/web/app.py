"""Service, page and routes put together and served, until Ctrl-C."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.middleware import Middleware

from sparktts_ms.errors import InputError
from sparktts_ms.service import Service
from sparktts_ms.web.handlers import Actions
from sparktts_ms.web.http_api import SPEAKING, Routes
from sparktts_ms.web.middleware import Guard
from sparktts_ms.web.page import CSS, THEME, build
from sparktts_ms.web.sessions import Limits, Speaker
from sparktts_ms.web.temp_files import Workspace
from sparktts_ms.web.voice_store import Shelf

logger = logging.getLogger("sparktts_ms")

warnings.filterwarnings("ignore", module=r"gradio\.")        # what its authors should know of Starlette

THREADS = 240           # a visitor who waits holds one


@dataclass(frozen=True)
class Settings:
    """Where to listen and what to show. `voices` is the folder of saved voices; None gives every visitor a shelf of his own
    that goes when he goes, for servers that strangers share. `origins`: other sites whose pages may ask, "*" for all."""

    server_name: str = "127.0.0.1"
    server_port: int = 7860
    root_path: str = ""
    share: bool = False
    voices: Path | None = Path("voices")
    origins: Sequence[str] = ()
    note: str = ""
    example: Path | None = None
    transcript: str = ""
    limits: Limits = Limits()  # noqa: RUF009


class Site:
    """A running server; `url` is where it is."""

    def __init__(self, service: Service, settings: Settings):
        self.settings, self.workspace = settings, Workspace()
        os.environ["GRADIO_TEMP_DIR"] = str(self.workspace.folder)      # uploads, and all that Gradio may hand out
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        self.speaker = Speaker(service, self.workspace, settings.limits)
        shelf = Shelf(settings.voices) if settings.voices is not None else None
        self.page = build(Actions(self.speaker, self._shelves(shelf)), settings.note, settings.example, settings.transcript)
        self.page.queue(max_size=2 * settings.limits.waiting, default_concurrency_limit=settings.limits.waiting)
        self._routes = Routes(self.speaker, shelf)

    def start(self) -> Site:
        """Listen. Raises InputError if the port is taken."""
        settings = self.settings
        guard = Middleware(Guard, origins=self._origins(), upload=settings.limits.upload, speaking=SPEAKING)
        try:
            _, self.url, self.shared = self.page.launch(
                server_name=settings.server_name, server_port=settings.server_port, root_path=settings.root_path or None,
                share=settings.share, max_threads=THREADS, max_file_size=settings.limits.upload, show_error=False, quiet=True,
                prevent_thread_lock=True, ssr_mode=False, theme=THEME, css=CSS, enable_monitoring=False, pwa=False,
                app_kwargs={"routes": self._routes.routes(), "middleware": [guard]})
        except OSError:
            raise InputError(f"Port {settings.server_port} of {settings.server_name} cannot be had; choose another "
                             "--server_port.") from None
        return self

    def wait(self) -> None:
        """Until this program is interrupted."""
        while True:
            time.sleep(3600)

    def close(self) -> None:
        """Stop listening and remove what visitors left."""
        self.page.close(verbose=False)
        self.workspace.close()

    def _origins(self) -> tuple[str, ...]:
        root = self.settings.root_path
        return (*self.settings.origins, *([root] if urlsplit(root).netloc else []))

    def _shelves(self, shelf: Shelf | None) -> Callable[[str], Shelf]:
        if shelf is not None:
            return lambda visitor: shelf
        return lambda visitor: Shelf(self.workspace.folder / "shelves" / "".join(c for c in visitor if c.isalnum()))
