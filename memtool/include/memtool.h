/* memtool.h: bring an allocator of your own to memtool as a shared library. C99 or C++, no dependencies.
 *
 * Fill in one memtool_allocator and export one function, memtool_get_allocator(), that returns it:
 *
 *   cc -shared -fPIC -O2 -I"$(python3 -c 'import memtool; print(memtool.get_include())')" -o libmine.so mine.c
 *   memtool bench -a ./libmine.so:block=64,glibc
 *
 * memtool calls from one thread at a time, unless the allocator says that it need not. A heap lives on one region;
 * several are made one after the other in one process. What is measured contains one indirect call an operation.
 */
#ifndef MEMTOOL_H
#define MEMTOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface. Members may be added at the end of the structures without a new one. */
#define MEMTOOL_ALLOCATOR_ABI 1u
#define MEMTOOL_MESSAGE_BYTES 400 /* of every `message` below: one line, ended by 0 */
#define MEMTOOL_NO_LIMIT UINT64_MAX
#define MEMTOOL_NO_FIGURE UINT64_MAX /* shown as n/a */

/* The memory under a heap: one reservation, taken from its base upwards as sbrk takes it. Everything that is handed out
 * must have been taken with grow(); its sum is the footprint. */
typedef struct memtool_region memtool_region;
struct memtool_region {
  void* base;      /* aligned to 2 MiB */
  size_t capacity; /* bytes; what a workload's memory_limit says, or address space without end in sight */
  void* (*grow)(memtool_region* region, size_t bytes);  /* the next `bytes`, contiguous to the last; NULL: spent */
  void (*shrink)(memtool_region* region, size_t bytes); /* gives the last `bytes` back to the system */
};

/* What can be set, written -a ./libmine.so:name=value. Values are whole numbers; one with choices ("first|next|best")
 * takes the words, and its value is the word's index. memtool refuses what is out of range before anything runs. */
typedef struct memtool_parameter {
  const char* name;
  const char* summary; /* one line */
  uint64_t default_value;
  uint64_t minimum;
  uint64_t maximum;    /* MEMTOOL_NO_LIMIT: none */
  const char* unit;    /* "bytes", "count" or "choice" */
  const char* choices; /* NULL but for a choice */
} memtool_parameter;

/* In which order blocks can be freed. */
enum {
  MEMTOOL_FREE_ANY = 0,   /* each by itself, whenever */
  MEMTOOL_FREE_LIFO = 1,  /* only the youngest live block */
  MEMTOOL_FREE_RESET = 2, /* never: memory comes back at the end of a scope, or with the heap */
  MEMTOOL_FREE_FIFO = 3,  /* only the oldest live block */
};

enum {
  MEMTOOL_OWN_MEMORY = 1,  /* in `flags`: memory does not come from the region, so there is no footprint to show */
  MEMTOOL_THREAD_SAFE = 2, /* any thread may call it at any time, and free what another has allocated */
};

/* In bytes and blocks; all are MEMTOOL_NO_FIGURE, metadata_apart_bytes 0, before stats() is called.
 * granted + free_bytes + metadata_bytes <= footprint + metadata_apart_bytes, always. */
typedef struct memtool_stats {
  uint64_t granted;      /* usable bytes of live blocks */
  uint64_t free_bytes;   /* reusable bytes inside the footprint */
  uint64_t largest_free; /* largest single request that fits without growing */
  uint64_t free_blocks;
  uint64_t used_blocks;
  uint64_t metadata_bytes;       /* headers, bitmaps, tables; wherever they lie */
  uint64_t metadata_apart_bytes; /* the part of them that lies outside the region */
} memtool_stats;

enum { MEMTOOL_BLOCK_USED = 0, MEMTOOL_BLOCK_FREE = 1, MEMTOOL_BLOCK_METADATA = 2 };
typedef void (*memtool_visit)(const void* address, uint64_t bytes, uint32_t state, void* context);

typedef struct memtool_allocator {
  uint32_t abi;          /* MEMTOOL_ALLOCATOR_ABI */
  uint32_t struct_bytes; /* sizeof(memtool_allocator) */

  const char* name;       /* one line each; all but the name may be NULL */
  const char* summary;    /* what it is */
  const char* source;     /* paper, book or implementation it follows */
  const char* complexity; /* what allocate and deallocate cost */
  const char* when;       /* when to use it */
  uint32_t free_order;    /* MEMTOOL_FREE_ANY, ... */
  uint32_t flags;         /* MEMTOOL_OWN_MEMORY, MEMTOOL_THREAD_SAFE, or 0 */
  const memtool_parameter* parameters;
  uint64_t parameter_count; /* at most 16 */

  /* Needed. `parameters` has one value for each parameter, in the order declared. create() returns NULL, and says why
   * in `message`, where the values do not go together. */
  void* (*create)(memtool_region* region, const uint64_t* parameters, char* message);
  void (*destroy)(void* heap);
  /* `size` is at least 0: as from operator new, 0 bytes are a block that is no other's. `alignment` is a power of two
   * (16 unless the workload asks otherwise; a request for fewer bytes may then be aligned to the largest power of two
   * that fits into it). NULL: out of memory, and the heap stays usable. */
  void* (*allocate)(void* heap, size_t size, size_t alignment);
  /* `size` and `alignment` are those of the allocation. */
  void (*deallocate)(void* heap, void* block, size_t size, size_t alignment);

  /* Optional, or NULL: memtool then does what a program would. */
  void* (*allocate_zeroed)(void* heap, size_t size, size_t alignment);
  /* NULL leaves the block as it was. */
  void* (*reallocate)(void* heap, void* block, size_t old_size, size_t new_size, size_t alignment);
  /* Scopes: everything allocated since the marker is gone. Both or neither. */
  uint64_t (*mark)(void* heap);
  void (*release)(void* heap, uint64_t marker);
  /* Bytes the caller may use of a live block that was asked for with `size`; NULL: `size`. */
  size_t (*usable_size)(const void* heap, const void* block, size_t size);
  void (*stats)(const void* heap, memtool_stats* stats);
  /* Visits the used part of the region in address order, without gaps or overlaps. */
  void (*walk)(const void* heap, memtool_visit visit, void* context);
  /* 0 where the heap's own invariants hold; else says in `message` which is broken. */
  int (*check)(const void* heap, char* message);
  /* Largest size and alignment that are served with these parameters; both are MEMTOOL_NO_LIMIT before the call. A
   * workload beyond them is left out of the run, and the report says why. */
  void (*limits)(const uint64_t* parameters, uint64_t* largest_size, uint64_t* largest_alignment);
} memtool_allocator;

/* A type of your own, of which workloads of the kind `construct` make objects. A library exports memtool_get_type(). */
#define MEMTOOL_TYPE_ABI 1u
typedef struct memtool_type {
  uint32_t abi;          /* MEMTOOL_TYPE_ABI */
  uint32_t struct_bytes; /* sizeof(memtool_type) */
  const char* name;
  size_t size;                     /* a multiple of the alignment, as sizeof is */
  size_t alignment;                /* a power of two */
  void (*construct)(void* memory); /* cannot fail */
  /* Optional, or NULL. */
  void (*destroy)(void* object); /* NULL: there is nothing to do, and an arena may be dropped without it */
  uint64_t (*use)(
      void* object);           /* whatever a program does with an object; what it returns is kept from being dropped */
  void (*reset)(void* object); /* makes it as good as new; NULL: it is destroyed and constructed again */
} memtool_type;

/* What a library exports that brings a type. */
__attribute__((visibility("default"))) const memtool_type* memtool_get_type(void);

/* What a library exports that brings an allocator. */
__attribute__((visibility("default"))) const memtool_allocator* memtool_get_allocator(void);

#ifdef __cplusplus
}
#endif
#endif
