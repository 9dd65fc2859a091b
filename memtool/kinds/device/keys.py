"""What a workload file with the key ``device`` says: the keys of heap events, and these (docs/device.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from memtool.workload.language.schema import Workload as HeapEvents
from memtool.workload.language.values import Capacity, Strict

Way = Literal[
    "opencl-buffer", "opencl-each", "opencl-each-used", "cuda-buffer", "cuda-each", "cuda-each-async", "host-buffer"
]


class Device(Strict):
    """Whose memory the blocks are in."""

    ways: Annotated[list[Way], Field(min_length=1, max_length=7)] = Field(
        ["opencl-each", "opencl-each-used", "opencl-buffer"],
        description="One buffer that allocators divide, or the driver for each block.",
    )


class Workload(HeapEvents):
    """A workload of heap events, in the memory of a device."""

    touch: Literal["none"] = Field("none", description="The processor cannot touch blocks of a device.")
    memory_limit: Capacity = 256 << 20
    device: Device
