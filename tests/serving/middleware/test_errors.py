"""Unexpected errors: one line in the log, and a response."""

import errno
import logging
import os
import sys

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from sparktts_ms.serving.middleware.errors import (
    ErrorLog,
    FullDisk,
    OneLine,
    describe_error,
    quoted,
)


def failing(error):
    async def fail(scope, receive, send):
        raise error

    return fail


@pytest.mark.parametrize(
    "number, status", [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EACCES, None)]
)
def test_full_disk_gives_status_507(number, status):
    async def store(scope, receive, send):
        raise OSError(number, os.strerror(number))

    client = TestClient(FullDisk(store))
    if status is None:
        with pytest.raises(OSError):
            client.post("/upload")
    else:
        response = client.post("/upload")
        assert response.status_code == status and "disk is full" in response.json()["error"]


def test_exceptions_are_one_line_without_traceback(caplog):
    with caplog.at_level(logging.WARNING):
        response = TestClient(ErrorLog(failing(ValueError("a\nb")))).get("/x%0Ay")
    assert response.status_code == 500
    [record] = caplog.records
    assert record.exc_info is None and "\n" not in record.getMessage()
    assert "GET /x\\ny" in record.getMessage() and "ValueError: a\\nb" in record.getMessage()


def test_clients_that_hang_up_are_not_logged(caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(AssertionError):
        TestClient(ErrorLog(failing(ClientDisconnect()))).get("/")           # without a response
    assert not caplog.records


def test_records_of_libraries_become_one_line(caplog):
    logger = logging.getLogger("tests.one_line")
    logger.addFilter(OneLine())
    try:
        raise ValueError("x" * 1000)
    except ValueError:
        logger.exception("Exception in %s\n", "application")
    [record] = caplog.records
    message = record.getMessage()
    assert message.startswith("Exception in application: ValueError: xxx")
    assert "\n" not in message and len(message) < 300 and record.exc_info is None
    logger.error("ASGI callable returned without completing response.")
    assert len(caplog.records) == 1         # ErrorLog has said why


def test_descriptions_name_the_place():
    try:
        sys.intern(3)
    except TypeError as error:
        assert "TypeError" in describe_error(error) and __file__ in describe_error(error)
    assert quoted("a\x1b[31m" + "b" * 100) == "a\\x1b[31m" + "b" * 74 + "…"
