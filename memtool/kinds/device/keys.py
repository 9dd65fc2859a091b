"""The key ``device`` of a workload file, which also has the keys of heap events (docs/device.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from memtool.workload.language.schema import Workload as HeapEvents
from memtool.workload.language.values import Capacity, Strict

Way = Literal[
    "opencl-buffer", "opencl-each", "opencl-each-used", "cuda-buffer", "cuda-each", "cuda-each-async", "host-buffer"
]


class Device(Strict):
    """The device in whose memory the blocks are."""

    ways: Annotated[list[Way], Field(min_length=1, max_length=7)] = Field(
        ["opencl-each", "opencl-each-used", "opencl-buffer"],
        description="A buffer that allocators divide, or an allocation by the driver for each block.",
    )


class Workload(HeapEvents):
    """A workload of heap events in the memory of a device."""

    touch: Literal["none"] = Field("none", description="The processor cannot write to blocks on a device.")
    memory_limit: Capacity = 256 << 20
    device: Device
