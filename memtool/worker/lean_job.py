"""The memory file that a worker shares with the lean worker that it starts (lean.cpp).

A worker imports this module: it imports nothing but what ctypes needs.
"""

from __future__ import annotations

import ctypes
import mmap
import os

from memtool.engine.replay import binding

# As in child.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LeanJob:
    """The memory file that a lean worker shares with this process."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Lay out the file, as the request of a worker has it."""
        self._command = request["lean"]
        self._engine = request["library"]
        region_bytes, alignment, advice, populate_bytes, flags, region_descriptor = request["region"]
        mode, lanes, processors, places = request["threads"] or (0, 0, 0, -1)
        image_descriptor, image_bytes = request["image"]
        adopted = request["adopted"][1] if request["adopted"] is not None else ""
        run_pass, figures_bytes, content, length = request["figures"]
        texts = {
            "adopted": adopted,
            "strategy": request["strategy"],
            "parameters": request["parameters"],
            "run_pass": run_pass,
        }
        parts: dict[str, int] = {
            name: len(os.fsencode(text)) + 1 for name, text in texts.items() if text or name != "adopted"
        }
        parts["figures"] = length
        end = ctypes.sizeof(binding.LeanJob)
        offsets = {}
        for name, length in parts.items():
            offsets[name] = end
            end += (length + 63) & -64
        self._descriptor = os.memfd_create("memtool-job", 0)
        os.ftruncate(self._descriptor, end)
        memory = mmap.mmap(self._descriptor, end)
        self.head = binding.LeanJob.from_buffer(memory)
        self.figures = memoryview(memory)[offsets["figures"] : offsets["figures"] + length]
        """What the replay leaves there."""
        self.figures[: len(content)] = content
        for name, text in texts.items():
            if name in offsets:
                encoded = os.fsencode(text)
                memory[offsets[name] : offsets[name] + len(encoded)] = encoded
        head = self.head
        head.struct_bytes = ctypes.sizeof(binding.LeanJob)
        head.bytes = end
        head.starter = os.getpid()
        for name, offset in offsets.items():
            setattr(head, name, offset)
        head.lanes = lanes
        head.one_processor = request["one_processor"]
        head.region_alignment = alignment
        head.advice[: len(advice)] = advice
        head.image_descriptor = image_descriptor
        head.region_descriptor = -1 if region_descriptor is None else region_descriptor
        head.places_descriptor = places
        head.result.struct_bytes = ctypes.sizeof(binding.ReplayResult)
        call = head.request
        call.struct_bytes = ctypes.sizeof(binding.ReplayRequest)
        for name in ("use_counter", "warmups", "iterations"):
            setattr(call, name, request[name])
        call.image_bytes = image_bytes
        call.region_bytes = region_bytes
        call.populate_bytes = populate_bytes
        call.region_flags = flags
        call.mode = mode
        call.processors = processors
        call.ticks_per_ns = 1 / request["ns_per_tick"]
        call.figures_bytes = figures_bytes

    def run(self) -> None:
        """Start the lean worker and wait for it. Where it dies, this process dies in the same way."""
        environment = dict(os.environ)
        if self._engine.rpartition("/")[0] != self._command[-1].rpartition("/")[0]:
            # It takes the engine that lies beside it, unless another one is there before; named by its descriptor, for
            # LD_PRELOAD takes a space in a path for the end of it.
            descriptor = os.open(self._engine, os.O_RDONLY)
            os.set_inheritable(descriptor, True)
            loaded = [environment["LD_PRELOAD"]] if "LD_PRELOAD" in environment else []
            environment["LD_PRELOAD"] = ":".join([*loaded, f"/proc/self/fd/{descriptor}"])
        process = os.posix_spawn(self._command[0], [*self._command, str(self._descriptor)], environment)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            os.kill(os.getpid(), os.WTERMSIG(status))
        if not self.head.finished:
            os._exit(os.waitstatus_to_exitcode(status))
