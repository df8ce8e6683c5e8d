"""How commands speak: errors in one line on stderr with exit status 2, log lines as they are, Ctrl-C as 130."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable

from sparktts_ms.errors import SparkTTSError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str):
        self.exit(2, f"error: {message} (--help lists the options)\n")


def run_command(command: Callable[[], None], interrupted: str) -> int:
    """Run a command; returns the exit status. `interrupted` is what Ctrl-C leaves to say."""
    logger, handler = logging.getLogger("sparktts_ms"), logging.StreamHandler(sys.stderr)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    if threading.current_thread() is threading.main_thread():
        # While a graph runs, MindSpore answers Ctrl-C by sending this process SIGTERM.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command()
    except SparkTTSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return 130
    finally:
        logger.removeHandler(handler)
    return 0
