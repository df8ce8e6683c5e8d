"""Which operators run on Ascend where public documents leave a choice.

`python -m cli.doctor` measures the alternatives on a device and can store the fastest that is
right; `Runtime` reads that file.
"""

from dataclasses import dataclass

import mindspore as ms

CHOICES = {
    "attention": ("paged", "gathered"),
    "cache_update": ("index_put", "scatter_nd_update"),
    "jit_level": ("O0", "O1"),
    "capture": (False, True),
}


@dataclass(frozen=True)
class AscendSettings:
    """Choices of operators. Raises ValueError for a value that is not among CHOICES."""

    attention: str = "paged"            # fused over the blocks of the cache; gathered: written out
    cache_update: str = "index_put"     # how rows are written to the KV cache
    jit_level: str = "O0"               # of compiled graphs: O1 fuses element-wise operators
    capture: bool = False               # launch a decode step as one captured graph

    def __post_init__(self):
        for name, values in CHOICES.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {values}.")


_settings = AscendSettings()


def settings() -> AscendSettings:
    """The choices in force, of the last `Runtime`."""
    return _settings


def apply(new: AscendSettings) -> None:
    """Put choices in force for networks that are built from now on."""
    global _settings
    _settings = new


def on_ascend() -> bool:
    """Whether networks that are built now run on Ascend."""
    return ms.get_context("device_target") == "Ascend"
