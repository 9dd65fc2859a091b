/* The C ABI between the engine and Python (engine/replay/binding.py declares the same structures). It is plain C, and
 * no ownership crosses it. */
#ifndef MEMTOOL_ENGINE_CAPI_H
#define MEMTOOL_ENGINE_CAPI_H

#include <stdint.h>

#ifdef __cplusplus
namespace memtool {
extern "C" {
#endif
#pragma GCC visibility push(default)

#define MEMTOOL_ABI_VERSION 9u

enum { MEMTOOL_DONE = 0, MEMTOOL_OUT_OF_MEMORY = 1, MEMTOOL_WRONG = 2, MEMTOOL_BAD_REQUEST = 3 };
/* The histograms of the latency pass, in this order. */
enum {
  MEMTOOL_HISTOGRAM_ALLOCATE = 0,
  MEMTOOL_HISTOGRAM_DEALLOCATE = 1,
  MEMTOOL_HISTOGRAM_REALLOCATE = 2,
  MEMTOOL_HISTOGRAM_FIRST_TOUCH = 3,
  MEMTOOL_HISTOGRAM_FLOOR = 4,
  MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE = 5, /* of blocks that another thread had; part of the deallocations */
  MEMTOOL_HISTOGRAM_FRAME = 6,             /* all operations of an outermost scope together, less the floor */
  MEMTOOL_HISTOGRAM_TOUCH_FLOOR = 7,       /* an empty interval between two readings like those around a first touch */
  MEMTOOL_HISTOGRAMS = 8
};
/* How the threads of a workload are replayed (engine/replay/threaded.hpp). */
enum { MEMTOOL_SERIAL = 0, MEMTOOL_LOCKSTEP = 1, MEMTOOL_PARALLEL = 2 };
#define MEMTOOL_MOST_ITERATIONS 64
/* Latency by size and over the course of the run (engine/passes/latency_detail.hpp). */
#define MEMTOOL_SIZE_CLASSES 9
#define MEMTOOL_SLICES 400
#define MEMTOOL_SLOW 3
#define MEMTOOL_SYSTEM_CALLS 6 /* mmap, munmap, mremap, madvise, brk, mprotect */
#define MEMTOOL_REPORT_BYTES 8192
enum { MEMTOOL_COUNTER_NONE = 0, MEMTOOL_COUNTER_PERF = 1, MEMTOOL_COUNTER_CALLGRIND = 2 };
enum { MEMTOOL_REGION_SHARED = 1, MEMTOOL_REGION_LOCKED = 2 }; /* the mapping is shared; its populated head is locked */

/* One kind of operation in one slice of the run. */
typedef struct LatencySlice {
  uint64_t maximum;            /* ticks */
  uint64_t slow[MEMTOOL_SLOW]; /* operations that took at least slow_ticks[i] */
} LatencySlice;

/* One checkpoint of the footprint pass, in bytes and blocks; ~0: not applicable. */
typedef struct CheckpointRow {
  uint64_t clock; /* operations done */
  uint64_t live_bytes;
  uint64_t live_objects;
  uint64_t granted_bytes;
  uint64_t footprint_bytes;
  uint64_t resident_bytes; /* anonymous memory, and the resident part of a shared region, less the baseline */
  uint64_t free_bytes;
  uint64_t largest_free;
  uint64_t free_blocks;
  uint64_t used_blocks;
  uint64_t metadata_bytes;
  /* The maximum of each figure since the previous row, so that nothing between two checkpoints is missed. The kernel
   * records the maximum of resident memory; it counts since the last row that has it. */
  uint64_t most_live_bytes;
  uint64_t most_footprint_bytes;
  uint64_t most_resident_bytes;
} CheckpointRow;

/* The kernel's account of the region's mappings at the peak of live bytes; zeroes in other passes. */
typedef struct RegionAccount {
  uint64_t resident_bytes;
  uint64_t anonymous_bytes;
  uint64_t huge_bytes;
  uint64_t locked_bytes;
  uint64_t page_bytes; /* largest page with which the processor maps it */
  char mapping[256];   /* permissions and name of its first mapping: "rw-s /memfd:memtool-region (deleted)" */
} RegionAccount;
/* The figures that the malloc under a strategy reports about itself, in bytes; ~0: it does not report this one. */
typedef struct OwnFigures {
  uint64_t in_use_bytes; /* what the program has, by the malloc's own count, with rounding */
  uint64_t free_bytes;   /* held for reuse */
  uint64_t metadata_bytes;
  uint64_t mapped_bytes; /* taken from the kernel and not returned */
} OwnFigures;

/* A heap map: extents of addresses, divided into buckets. All sizes are in bytes. */
#define MEMTOOL_MOST_EXTENTS 256
#define MEMTOOL_MOST_BUCKETS 2048
#define MEMTOOL_MOST_MAPS 8
#define MEMTOOL_AT_PEAK (~0ull)
#define MEMTOOL_AT_END (~1ull)
typedef struct MapExtent {
  uint64_t address; /* in a region: from its base */
  uint64_t bytes;
  uint64_t first_bucket; /* index of its first bucket */
} MapExtent;
typedef struct MapBucket {
  uint64_t used;
  uint64_t free;     /* 0 if only the strategy could know */
  uint64_t metadata; /* 0 if only the strategy could know */
  uint64_t resident;
  uint64_t before; /* the part of `resident` that was resident before the replay */
} MapBucket;
typedef struct HeapMap {
  uint64_t moment; /* MEMTOOL_AT_PEAK, MEMTOOL_AT_END, or the number of a mark */
  uint64_t clock;  /* operations done */
  uint64_t live_bytes;
  uint64_t walked; /* 1: the strategy reported which bytes are free and which are metadata */
  uint64_t bucket_bytes;
  uint64_t extents;
  uint64_t buckets;
  uint64_t left_out_bytes; /* resident bytes in extents beyond the maximum number */
  OwnFigures own;
  MapExtent extent[MEMTOOL_MOST_EXTENTS];
  MapBucket bucket[MEMTOOL_MOST_BUCKETS];
} HeapMap;
#define MEMTOOL_DRAIN_READINGS 4
/* The state of a replay thread, in memory that the parent reads if it has to kill the worker. */
enum {
  MEMTOOL_THREAD_NOTHING = 0, /* not started yet */
  MEMTOOL_THREAD_REPLAY = 1,
  MEMTOOL_THREAD_ALLOCATE = 2, /* only the check pass reports this and the next two */
  MEMTOOL_THREAD_DEALLOCATE = 3,
  MEMTOOL_THREAD_REALLOCATE = 4,
  MEMTOOL_THREAD_OBJECT = 5, /* waits for `object` of thread `other` */
  MEMTOOL_THREAD_JOIN = 6,   /* waits for the end of thread `other` */
  MEMTOOL_THREAD_TURN = 7,   /* waits for its turn */
  MEMTOOL_THREAD_END = 8
};
typedef struct ThreadPlace {
  uint64_t at;
  uint64_t object;
  uint64_t other;
  uint64_t operations; /* operations done; counted in the check pass */
  uint64_t reserved[4];
} ThreadPlace;

typedef struct ReplayRequest {
  uint64_t struct_bytes; /* sizeof(ReplayRequest); a request with another value is refused */
  const char* kind;      /* name of the kind of work (engine/registry/entry.hpp, engine/registry/kernels.cpp) */
  const char* way;       /* the way in which the allocator serves the work, if the kind has several; otherwise "" */
  const char* pass;      /* name of the pass (engine/passes/passes.hpp) */
  const char* strategy;  /* "" for a way that needs none */
  const char* parameters;
  const void* image; /* ImageHeader, then words */
  uint64_t image_bytes;
  uint64_t image_window; /* bytes of the image that are resident at a time; 0: all of it from the start */
  void* region;
  uint64_t region_bytes;
  uint64_t populate_bytes; /* head of the region that is faulted in beforehand, after the resident baseline is taken */
  uint32_t region_flags;   /* MEMTOOL_REGION_* */
  uint32_t mode;           /* MEMTOOL_SERIAL takes an image, the other modes a thread image */
  uint32_t warmups;
  uint32_t iterations;
  uint32_t use_counter; /* 1: time stamp counter (or cntvct), 0: clock_gettime */
  uint32_t processors;  /* number of processors to which the lanes are pinned, one each; 0: not pinned */
  uint32_t is_paced;    /* 1: waits until the recorded time of each event */
  uint32_t reserved;
  double ticks_per_ns;
  ThreadPlace* places; /* one for each lane of a thread image; zeroed */
  /* The structure of the pass, declared in its header. Its inputs are filled in, and all else is zeroed. The structure
   * holds the offsets, from its own beginning, of the parts that lie behind it (0: there is no such part). */
  void* figures;
  uint64_t figures_bytes; /* size of the structure; a request with another value is refused */
} ReplayRequest;

typedef struct ReplayResult {
  uint64_t struct_bytes;
  uint32_t status;
  uint32_t reserved;
  uint64_t failed_operation; /* if status is OUT_OF_MEMORY or WRONG: number of operations done before */
  uint64_t failed_size;
  uint64_t own_switches; /* involuntary switches of threads that offered their processor while waiting for each other */
  char message[400];
} ReplayResult;

typedef struct StrategyLimits {
  uint64_t largest_size;
  uint64_t largest_alignment;
  uint64_t uses_region;     /* 0: no footprint is counted */
  uint64_t most_blocks;     /* live at once */
  uint64_t least_alignment; /* of every block, even if the request asks for less */
} StrategyLimits;

uint32_t memtool_abi_version(void);
const char* memtool_source_hash(void); /* of the sources from which this library was built */
const char* memtool_compiler(void);    /* version and flags of the compiler that built it */
const char* memtool_describe(void);    /* every strategy, as a JSON array; static storage */
const char* memtool_describe_adaptors(void);
const char* memtool_describe_collectors(void); /* kinds/graph/collectors/collectors.cpp */
/* Returns why instructions cannot be counted this way, or NULL. Static storage, valid until the next call. */
const char* memtool_counter_refusal(uint32_t counter);
/* Writes the intended starts of `count` operations in picoseconds; see engine/generate/arrivals.hpp. */
void memtool_schedule_arrivals(const uint64_t* program, uint64_t* starts, uint64_t count);
/* Returns why the kernel does not allow system calls to be counted, or NULL if it does. */
const char* memtool_system_calls_refusal(void);
/* Counts the system calls of the process at the other end of `listener`, by MEMTOOL_SYSTEM_CALLS, and lets each
 * proceed, until the process has ended or `*ended` is set. Returns 0 or errno. */
uint32_t memtool_count_system_calls(int listener, const volatile uint32_t* ended, uint64_t* counts);
/* The limits for requests aligned to `alignment`. Returns 0, MEMTOOL_BAD_REQUEST, or MEMTOOL_WRONG if an adaptor cannot
 * wrap the heap below it, and then writes one line to `message` (400 bytes). Here and below a strategy may have
 * adaptors: "pool+redzone+lock" with "block=64+bytes=32+". */
uint32_t memtool_limits(const char* strategy, const char* parameters, uint64_t alignment, StrategyLimits* limits,
                        char* message);
uint32_t memtool_replay(const ReplayRequest* request, ReplayResult* result);

/* Adopts the allocator of a shared library, or that of a memtool_allocator (memtool.h) that the caller keeps alive. It
 * is the strategy "adopted" from then on; a process adopts at most one. Returns 0, or writes one line to `message` (400
 * bytes) and returns MEMTOOL_WRONG if the library has no memtool_get_allocator, or MEMTOOL_BAD_REQUEST if the library
 * or its table cannot be used. */
uint32_t memtool_adopt_library(const char* path, char* message);
uint32_t memtool_adopt_table(const void* table, char* message);
const char* memtool_adopted_name(void); /* its own name */
const char* memtool_describe_adopted(
    void); /* one JSON object as in memtool_describe(); valid until the next adoption */
/* The library of the adopted allocator, in the form of memtool_symbol_owner(). */
uint32_t memtool_adopted_owner(char* path, uint64_t path_bytes, char* build_id, uint64_t build_id_bytes);

/* Nanoseconds in 2^32 counter ticks, measured over at least `milliseconds`. */
uint64_t memtool_calibrate_counter(uint32_t milliseconds);

/* The library that owns `symbol` in this process: its path, and its build id in hex ("" if it has none). Returns 0 if
 * it is found. */
uint32_t memtool_symbol_owner(const char* symbol, char* path, uint64_t path_bytes, char* build_id,
                              uint64_t build_id_bytes);

/* One strategy on one region, driven operation by operation. NULL, with one line in `message`, on failure. */
typedef struct HeapHandle HeapHandle;
typedef struct HeapFigures {
  uint64_t footprint, granted, free_bytes, largest_free, free_blocks, used_blocks, metadata_bytes, metadata_apart_bytes;
} HeapFigures;
typedef void (*WalkCallback)(const void* address, uint64_t bytes, uint32_t state, void* context);
HeapHandle* memtool_heap_open(const char* strategy, const char* parameters, void* region, uint64_t bytes,
                              char* message);
void memtool_heap_close(HeapHandle* heap);
void* memtool_heap_allocate(HeapHandle* heap, uint64_t size, uint64_t alignment);
void* memtool_heap_allocate_zeroed(HeapHandle* heap, uint64_t size, uint64_t alignment);
void memtool_heap_deallocate(HeapHandle* heap, void* block, uint64_t size, uint64_t alignment);
void* memtool_heap_reallocate(HeapHandle* heap, void* block, uint64_t old_size, uint64_t new_size, uint64_t alignment);
uint32_t memtool_heap_mark(HeapHandle* heap);
uint32_t memtool_heap_release(HeapHandle* heap);
uint64_t memtool_heap_usable_size(HeapHandle* heap, const void* block, uint64_t size);
void memtool_heap_figures(HeapHandle* heap, HeapFigures* figures);
void memtool_heap_walk(HeapHandle* heap, WalkCallback visit, void* context);
uint32_t memtool_heap_check(HeapHandle* heap, char* message); /* 0, or MEMTOOL_WRONG with a message (400 bytes) */
const char* memtool_heap_report(HeapHandle* heap);            /* like ReplayResult.report; valid until the next call */

#pragma GCC visibility pop
#ifdef __cplusplus
}
}
#endif
#endif
