"""What Gradio lets others do that it should not, mended around it.

Gradio 6 checks the files that a request names only in applications that were started by `launch()`;
fetches what a request names by address, of any size; prints a traceback for every value that does
not fit a component; and answers invalid calls with status 500.
"""

from __future__ import annotations

import html
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparktts_ms.errors import SparkTTSError
from sparktts_ms.serving.middleware.errors import log_error
from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path
from webui.i18n import error_message

logger = logging.getLogger("sparktts_ms")

BUSY = "The server is busy. Please try again in a minute."
RETRY_AFTER = 30            # seconds
MAX_DEPTH = 20              # of nested values in a call


def guard_calls(page: gr.Blocks, folder: Path) -> None:
    """Calls of the page's functions get files of this folder only, and errors are one line."""
    process_api = page.process_api

    async def guarded(block_fn: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        for path in _file_paths(inputs):
            if not Path(os.path.normpath(path)).is_relative_to(folder):
                raise gr.Error("There is no such uploaded file any more. Please upload it.",
                               print_exception=False)
        try:
            return await process_api(block_fn, inputs, *arguments, **options)
        except gr.Error as error:           # a component's, or one of ours
            error.print_exception = False
            raise
        except SparkTTSError as error:
            message = html.escape(error_message(error), quote=False)
            raise gr.Error(message, print_exception=False) from None
        except Exception as error:
            log_error("A call of the page's functions", error)
            raise gr.Error("The request is not valid, or the server failed.",
                           print_exception=False) from None

    setattr(page, "process_api", guarded)  # noqa: B010
    page.has_launched = True                # so that Gradio checks files, too


class CallErrors:
    """ASGI middleware around Gradio's routes: status 429 with Retry-After where its queue is full,
    and 400 for calls that it cannot understand."""

    def __init__(self, app: ASGIApp, refuse: Refuse = json_refusal):
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["method"] == "POST"
        if not is_call or not route_path(scope).startswith("/gradio_api/"):
            return await self.app(scope, receive, send)
        is_full = started = False

        async def checked_send(message: Message) -> None:
            nonlocal is_full, started
            is_full = is_full or message.get("status") == 503
            if not is_full:
                started = True
                await send(message)

        try:
            await self.app(scope, receive, checked_send)
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            if started:
                raise
            logger.debug("A call is not valid.", exc_info=error)
            message = "The request is not valid."
            await self.refuse(scope, 400, message, {})(scope, receive, send)
        if is_full:
            headers = {"Retry-After": str(RETRY_AFTER)}
            await self.refuse(scope, 429, BUSY, headers)(scope, receive, send)


def _file_paths(value: Any, depth: int = 0) -> Iterator[str]:
    """Paths and addresses of the files that a call's inputs name."""
    if depth > MAX_DEPTH:
        raise gr.Error("The request is not valid.", print_exception=False)
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _file_paths(item, depth + 1)
