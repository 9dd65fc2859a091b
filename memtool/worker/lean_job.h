/* The memory file that memtool shares with a lean worker (worker/lean_job.py, engine/replay/binding.py). */
#ifndef MEMTOOL_WORKER_LEAN_JOB_H
#define MEMTOOL_WORKER_LEAN_JOB_H

#include <stdint.h>

#include "engine/abi/capi.h"

#ifdef __cplusplus
namespace memtool {
#endif

/* How quiet the machine was: counters that only grow, as in host/noise.py. */
typedef struct NoiseReading {
  uint64_t elapsed_ns;
  uint64_t machine_ticks;
  uint64_t steal_ticks;
  uint64_t involuntary_switches;
  uint64_t voluntary_switches;
} NoiseReading;

/* How to ask a malloc for its version (allocators/system_libraries.py). */
enum {
  MEMTOOL_VERSION_TEXT = 0,
  MEMTOOL_VERSION_MALLCTL = 1,
  MEMTOOL_VERSION_MIMALLOC = 2,
  MEMTOOL_VERSION_TCMALLOC = 3
};

/* The input and output of a lean worker (worker/lean.cpp): one memory file that it shares with memtool. Offsets count
 * from the beginning of the file; 0: there is no such part. */
#define MEMTOOL_MOST_ADVICE 8
#define MEMTOOL_CODE_BYTES 65536
typedef struct LeanJob {
  uint64_t struct_bytes; /* sizeof(LeanJob); a job with another value is refused */
  uint64_t bytes;        /* of the whole file */
  uint64_t starter;      /* the process that started the worker; the worker ends with it */
  /* The offsets of these texts. */
  uint64_t adopted; /* path of a library to adopt */
  uint64_t strategy;
  uint64_t parameters;
  uint64_t kind;
  uint64_t way;
  uint64_t pass;
  uint64_t version; /* name of the function that returns the version of the malloc */
  uint64_t figures;
  uint64_t lanes;
  uint64_t region_alignment;
  int32_t advice[MEMTOOL_MOST_ADVICE]; /* madvise numbers for the region; 0 ends the list */
  int32_t image_descriptor;
  int32_t region_descriptor; /* -1: anonymous */
  int32_t places_descriptor; /* -1: one thread */
  uint32_t version_kind;     /* MEMTOOL_VERSION_* */
  uint32_t one_processor;    /* 1: stay on one processor */
  uint32_t resident;         /* 1: resident memory is read, so all code is faulted in beforehand */
  uint32_t own_kernel;       /* 1: the kernel is that of a preloaded library, not the engine's */
  uint32_t finished;         /* 1: the members below are filled in */
  NoiseReading before;       /* before the replay */
  NoiseReading after;
  /* A line for each file whose code is mapped: inode, bytes, nanoseconds of its last change (zeroes if it no longer
   * exists), path. */
  char code[MEMTOOL_CODE_BYTES];
  char malloc_version[128]; /* "": the malloc does not tell it */
  char malloc_owner[4096];  /* in the form of memtool_symbol_owner() */
  char malloc_build_id[128];
  char adopted_owner[4096];
  char adopted_build_id[128];
  ReplayRequest request; /* without pointers; the lean worker fills them in */
  ReplayResult result;
} LeanJob;

#ifdef __cplusplus
}
#endif
#endif
