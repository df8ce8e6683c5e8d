"""What an error is in HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError

from starlette.responses import Response
from starlette.types import Scope

from sparktts_ms.errors import OutputError, ServiceClosed, SparkTTSError
from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path

RETRY_AFTER = 10            # seconds
STATUSES = {"busy": 429, "too_large": 413, "disk_full": 507, "voice_exists": 400,
            "too_many_voices": 400}

Describe = Callable[[SparkTTSError], str]


def http_status(error: BaseException) -> int:
    """400 for what the caller did wrong, 413, 429, 503 and 507 for what the server cannot take,
    500 for everything else."""
    if isinstance(error, ServiceClosed | CancelledError):
        return 503
    if not isinstance(error, SparkTTSError):
        return 500
    default = 507 if isinstance(error, OutputError) else 400
    return STATUSES.get(error.code or "", default)


def retry_headers(status: int) -> dict[str, str]:
    """Retry-After where another try may help."""
    return {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else {}


class Refusals:
    """Refusals of middleware in the form of the path's protocol: a `Refuse` function.

    forms: by the beginning of paths; the first that fits, or else `other`.
    """

    def __init__(self, forms: Mapping[str, Refuse], other: Refuse = json_refusal):
        self.forms = forms
        self.other = other

    def __call__(self, scope: Scope, status: int, message: str,
                 headers: Mapping[str, str]) -> Response:
        path = route_path(scope) + "/"
        refuse = next((form for prefix, form in self.forms.items() if path.startswith(prefix)),
                      self.other)
        return refuse(scope, status, message, headers)
