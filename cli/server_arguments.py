"""Arguments that the servers share, and how they are checked."""

from __future__ import annotations

import argparse

from sparktts_ms.errors import InputError
from sparktts_ms.serving import api_keys

KEYS_VARIABLE = api_keys.VARIABLE


def add_access_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Who may use the server; the keys are complete with those of `environment_keys`."""
    access = parser.add_argument_group("access")
    access.add_argument("--allowed_hosts", type=host_argument, nargs="+", action="extend",
                        default=[], metavar="HOST",
                        help="host names by which the server may be called, such as "
                             "tts.example.org or *.example.org (default: all; localhost only, if "
                             "it listens on a loopback address)")
    access.add_argument("--cors_origin", type=origin_argument, action="append", default=[],
                        metavar="ORIGIN",
                        help="another site whose pages may use this server, such as "
                             "https://example.org; * for all; may be repeated")
    access.add_argument("--api_key", type=api_key_argument, action="append", default=[],
                        metavar="KEY",
                        help="requests need this key; may be repeated; also from the environment "
                             f"variable {KEYS_VARIABLE}, several separated by commas, or one a "
                             f"line from the file that {api_keys.FILE_VARIABLE} names")
    return access


def environment_keys() -> list[str]:
    """The keys in the environment, and in the file that it names. Raises InputError."""
    try:
        return [api_key_argument(key) for key in api_keys.environment_keys()]
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{KEYS_VARIABLE}: {error}.") from None


def port_argument(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no port; 0 to 65535")
    return int(text)


def origin_argument(text: str) -> str:
    from sparktts_ms.serving.middleware.origins import origin_host

    if text != "*" and not origin_host(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no origin such as https://example.org")
    return text


def host_argument(text: str) -> str:
    from sparktts_ms.serving.middleware.hosts import host_name

    if not host_name(text.removeprefix("*.")) or ":" in text.rpartition("]")[2]:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no host name such as example.org")
    return text


def remote_host_argument(text: str) -> str:
    from sparktts_ms.serving.middleware.hosts import HOST

    if not HOST.fullmatch(text.removeprefix("*.")):
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is no host name such as example.org, *.example.org or example.org:8443")
    return text


def root_path_argument(text: str) -> str:
    from sparktts_ms.serving.middleware.origins import origin_host

    address, separator, path = text.partition("://")
    if separator:
        host, _, _ = path.partition("/")
        valid = address in ("http", "https") and bool(origin_host(f"{address}://{host}"))
    else:
        valid = not text or text.startswith("/")
    if not valid or not text.isprintable() or any(mark in text for mark in " ?#"):
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is no path such as /tts, or address such as https://example.org/tts")
    return text.rstrip("/")


def api_key_argument(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or set(text) & set(" ,"):
        raise argparse.ArgumentTypeError("a key has visible ASCII characters, without commas")
    return text
