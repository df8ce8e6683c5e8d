"""Errors of the protocol: the status over HTTP, and the status code of gRPC."""

from __future__ import annotations

import grpc

from sparktts_ms.serving.errors import http_status

NOT_FOUND = ("unknown_model", "unknown_version")
STATUS_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(error: BaseException) -> int:
    """In HTTP: as for all protocols, and 404 for what there is not."""
    if getattr(error, "code", None) in NOT_FOUND:
        return 404
    return http_status(error)


def status_code_of(error: BaseException) -> grpc.StatusCode:
    """In gRPC."""
    return STATUS_CODES.get(status_of(error), grpc.StatusCode.INTERNAL)
