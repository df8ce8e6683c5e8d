"""Whether a container's limit of memory leaves room for a model: where it does not, the system ends
the process without a word."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger("sparktts_ms")

CGROUP = Path("/sys/fs/cgroup")
LIMITS = ("memory.max", "memory/memory.limit_in_bytes")     # of cgroup v2, then v1
NO_LIMIT = 1 << 60          # v1 has a number near 2 ** 63 for none

# Measured on CPUs: the demonstration model takes 0.2 GB to speak, and the released one 2.8 GB, with
# 8-bit weights 1.7 GB, for files of 2.03 (language model) and 0.63 GB (codec).
LIBRARIES = 200 << 20       # bytes
# Of the language model's file: its matrices quantized, and its embeddings in float32.
SHARES = {"int8": 0.45, "int4": 0.38}
ADVICE = {"int8": " or use 4-bit weights,", "int4": ""}


def warn_of_memory(model_dir: Path, dtype: str = "float32") -> None:
    """Log a warning where this process may use less memory than the model takes at least.

    dtype: in which the language model's matrices are kept, also "int8" or "int4".
    """
    limit = memory_limit()
    language_model = _weights_bytes(model_dir / "LLM") * SHARES.get(dtype, 1)
    needed = LIBRARIES + language_model + _weights_bytes(model_dir / "BiCodec")
    if limit is not None and limit < needed:
        advice = ADVICE.get(dtype, " or use 8-bit weights,")
        logger.warning("This process may use %d MB of memory, and the model takes at least %d MB: "
                       "allow more,%s else the system ends the process.", limit >> 20,
                       int(needed) >> 20, advice)


def memory_limit() -> int | None:
    """Bytes that this process's container may use; None where there is no limit."""
    for name in LIMITS:
        with suppress(OSError, ValueError):     # no such file, or "max"
            limit = int((CGROUP / name).read_text())
            return limit if limit < NO_LIMIT else None
    return None


def _weights_bytes(folder: Path) -> int:
    files = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    return sum(path.stat().st_size for path in files)
