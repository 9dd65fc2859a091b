"""A sample that the lean worker takes (lean.cpp): its request and its answer are in a memory file."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memtool.allocators.own.code_files import DELETED, is_brought
from memtool.engine.replay import binding
from memtool.worker import protocol
from memtool.worker.answer import wait_for_end

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class LeanJob:
    """A lean worker's memory file, for the duration of the sample."""

    def __init__(self, request: Mapping[str, Any], command: Sequence[str], engine: str) -> None:
        """Lay out the file of a request; ``engine`` replaces the one beside the program if that lacks it.

        ``command``: the program, preceded by its instrument.
        """
        self._environment: Mapping[str, str] = request["environment"]
        self._version = request["version"]
        self._shares = request["threads"] is not None and request["threads"][2] == 0
        self._file = os.memfd_create("memtool-job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._engine = -1 if Path(engine).parent == Path(command[-1]).parent else os.open(engine, os.O_RDONLY)
        self.command = [*command, str(self._file)]
        self.input: int | None = None
        self._kernel = -1 if request["kernel"] is None else os.open(request["kernel"], os.O_RDONLY)
        libraries = tuple(number for number in (self._kernel, self._engine) if number >= 0)
        self.descriptors = (self._file, *libraries)
        loaded = [self._environment["LD_PRELOAD"]] if "LD_PRELOAD" in self._environment else []
        # By its descriptor: LD_PRELOAD treats a space in a path as its end.
        loaded += [f"/proc/self/fd/{number}" for number in libraries]
        preload = {"LD_PRELOAD": ":".join(loaded)} if loaded else {}
        self.environment = {**self._environment, **preload}
        run_pass, figures_bytes, content, length = request["figures"]
        texts = {name: request[name] for name in ("strategy", "parameters", "kind", "way")} | {"run_pass": run_pass}
        if request["adopted"] is not None:
            texts["adopted"] = request["adopted"][1]
        if self._version is not None:
            texts["version"] = self._version[0]
        parts = {name: os.fsencode(text) + b"\0" for name, text in texts.items()} | {"figures": content}
        end = ctypes.sizeof(binding.LeanJob)
        offsets = {}
        for name, part in parts.items():
            offsets[name] = end
            end += (max(len(part), length if part is content else 0) + 63) & -64
        os.ftruncate(self._file, end)
        # If a worker truncated it, memtool would crash when it reads it.
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, _SEALS)
        self._memory = mmap.mmap(self._file, end)
        self._figures = slice(offsets["figures"], offsets["figures"] + length)
        for name, part in parts.items():
            self._memory[offsets[name] : offsets[name] + len(part)] = part
        self._fill(request, offsets, figures_bytes)

    def _fill(self, request: Mapping[str, Any], offsets: Mapping[str, int], figures_bytes: int) -> None:
        region_bytes, alignment, advice, populate_bytes, flags, region_descriptor = request["region"]
        mode, lanes, processors, places = request["threads"] or (0, 0, 0, -1)
        head = self._head = binding.LeanJob.from_buffer(self._memory)
        head.struct_bytes = ctypes.sizeof(binding.LeanJob)
        head.bytes = len(self._memory)
        head.starter = os.getpid()
        for name, offset in offsets.items():
            setattr(head, name, offset)
        head.lanes = lanes
        head.one_processor = request["one_processor"]
        head.resident = request["resident"]
        head.own_kernel = int(request["kernel"] is not None)
        if self._version is not None:
            head.version_kind = binding.VERSION_KINDS.index(self._version[1])
        head.region_alignment = alignment
        head.advice[: len(advice)] = advice
        head.image_descriptor, image_bytes = request["image"]
        head.region_descriptor = -1 if region_descriptor is None else region_descriptor
        head.places_descriptor = places
        head.result.struct_bytes = ctypes.sizeof(binding.ReplayResult)
        call = head.request
        call.struct_bytes = ctypes.sizeof(binding.ReplayRequest)
        for name in ("use_counter", "warmups", "iterations", "is_paced", "image_window"):
            setattr(call, name, request[name])
        call.image_bytes = image_bytes
        call.region_bytes = region_bytes
        call.populate_bytes = populate_bytes
        call.region_flags = flags
        call.mode = mode
        call.processors = processors
        call.ticks_per_ns = 1 / request["ns_per_tick"]
        call.figures_bytes = figures_bytes

    def started(self) -> None:
        """Do nothing: no file is needed only by the worker."""

    def answer(self, pid: int, deadline: float) -> dict[str, Any] | None:
        """Wait for the worker to end and return its figures; None: it has died. Raises TimedOut."""
        wait_for_end(pid, deadline)
        head = self._head
        if not head.finished:
            return None
        result = head.result
        noise = {name: getattr(head.after, name) - getattr(head.before, name) for name in binding.NOISE_FIGURES}
        # Threads without their own processor take it from each other.
        noise["own_switches"] = noise["involuntary_switches"] if self._shares else result.own_switches
        return {
            "status": result.status,
            "message": result.message.decode(errors="replace"),
            "proof": self._proof(),
            "noise": noise,
            "figures": self._memory[self._figures] if result.status == protocol.DONE else b"",
        }

    def _proof(self) -> dict[str, Any]:
        """Return the proof of the code that the worker ran."""
        head = self._head
        proof: dict[str, Any] = {
            "malloc_owner": os.fsdecode(head.malloc_owner) or None,
            "malloc_build_id": head.malloc_build_id.decode() if head.malloc_owner else None,
            "tuning": protocol.tuning(self._environment),
        }
        if self._version is not None:
            proof["version"] = head.malloc_version.decode(errors="replace") or None
        if head.adopted_owner:
            proof["library"] = os.fsdecode(head.adopted_owner)
            proof["library_build_id"] = head.adopted_build_id.decode() or None
        proof["code"] = {}
        preloaded = self._environment.get("LD_PRELOAD", "").split(":")
        for line in head.code.splitlines():
            *identity, mapped = line.split(b" ", 3)
            path = os.fsdecode(mapped)
            if is_brought(path, preloaded):
                proof["code"][path.removesuffix(DELETED)] = tuple(map(int, identity))
        return proof

    def close(self) -> None:
        """Close the file."""
        for descriptor in self.descriptors:
            os.close(descriptor)
