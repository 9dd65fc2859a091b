"""All results of docs/verification.md, in its order."""

from __future__ import annotations

from verification.access import ACCESS
from verification.arenas import MONOTONIC
from verification.barriers import BARRIERS
from verification.blowup import BLOWUP
from verification.calls import CLASSES_OF_CALL
from verification.classics import CLASSICS
from verification.collection import AGAINST_FREES, TRACING
from verification.constant_time import CONSTANT_TIME
from verification.consumption import CONSUMPTION
from verification.containers import CONTAINERS
from verification.faults import PAGE_FAULTS
from verification.fifty_percent import FIFTY_PERCENT
from verification.free_space import FREE_SPACE
from verification.glibc import GLIBC
from verification.malloc_lab import MALLOC_LAB
from verification.mapping import MAPPING
from verification.objects import OBJECTS_ROW
from verification.packing import MINIMALLOC
from verification.peaks import PEAKS
from verification.real_programs import REAL_PROGRAMS
from verification.robson import ROBSON
from verification.rounding import BUDDY, SIZE_CLASSES
from verification.saturation import BAYS, SHORE

_RESULTS = (
    MALLOC_LAB,
    ROBSON,
    BUDDY,
    FIFTY_PERCENT,
    SHORE,
    BAYS,
    FREE_SPACE,
    SIZE_CLASSES,
    GLIBC,
    PAGE_FAULTS,
    MONOTONIC,
    CONSUMPTION,
    MINIMALLOC,
    CONSTANT_TIME,
    BLOWUP,
    CLASSICS,
    CLASSES_OF_CALL,
    PEAKS,
    REAL_PROGRAMS,
    CONTAINERS,
    TRACING,
    AGAINST_FREES,
    BARRIERS,
    ACCESS,
    OBJECTS_ROW,
    MAPPING,
)
RESULTS = tuple(sorted(_RESULTS, key=lambda result: result.number))
