/* memtool.h: the interface through which memtool measures an allocator from a shared library. C99 or C++, no
 * dependencies.
 *
 * Fill in one memtool_allocator and export one function, memtool_get_allocator(), that returns it:
 *
 *   cc -shared -fPIC -O2 -I"$(python3 -c 'import memtool; print(memtool.get_include())')" -o libmine.so mine.c
 *   memtool bench -a ./libmine.so:block=64,glibc
 *
 * memtool calls the allocator from one thread at a time unless it sets MEMTOOL_THREAD_SAFE. Each heap uses one region;
 * one process may create several heaps, one after another. Every measured operation includes one indirect call.
 */
#ifndef MEMTOOL_H
#define MEMTOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. It does not change when members are added at the end of a structure. */
#define MEMTOOL_ALLOCATOR_ABI 1u
#define MEMTOOL_MESSAGE_BYTES 400 /* size of every `message` buffer below; a message is one null-terminated line */
#define MEMTOOL_NO_LIMIT UINT64_MAX
#define MEMTOOL_NO_FIGURE UINT64_MAX /* no value is known; shown as n/a */

/* The memory under a heap: one reserved range of addresses, which grows upwards from its base as sbrk() grows the data
 * segment. A heap may use only memory that it has obtained with grow(). The footprint is the sum of that memory. */
typedef struct memtool_region memtool_region;
struct memtool_region {
  void* base;                                           /* aligned to 2 MiB */
  size_t capacity;                                      /* bytes; the workload's memory_limit, otherwise 64 GiB */
  void* (*grow)(memtool_region* region, size_t bytes);  /* the next `bytes`, contiguous with the last; NULL: no room */
  void (*shrink)(memtool_region* region, size_t bytes); /* returns the last `bytes` to the system */
};

/* A parameter, which the user sets with -a ./libmine.so:name=value. Values are whole numbers. If the parameter has
 * choices ("first|next|best"), the user writes one of the words, and the value is the index of that word. memtool
 * rejects a value that is out of range before anything runs. */
typedef struct memtool_parameter {
  const char* name;
  const char* summary; /* one line */
  uint64_t default_value;
  uint64_t minimum;
  uint64_t maximum;    /* MEMTOOL_NO_LIMIT: no maximum */
  const char* unit;    /* "bytes", "count" or "choice" */
  const char* choices; /* NULL unless the unit is "choice" */
} memtool_parameter;

/* The order in which the allocator can free blocks. */
enum {
  MEMTOOL_FREE_ANY = 0,   /* any block at any time */
  MEMTOOL_FREE_LIFO = 1,  /* only the youngest live block */
  MEMTOOL_FREE_RESET = 2, /* none: memory is reclaimed at the end of a scope or of the heap */
  MEMTOOL_FREE_FIFO = 3,  /* only the oldest live block */
};

enum {
  MEMTOOL_OWN_MEMORY = 1,  /* in `flags`: memory does not come from the region, so no footprint is reported */
  MEMTOOL_THREAD_SAFE = 2, /* any thread may call at any time, and free a block that another allocated */
};

/* Figures in bytes and blocks. Before memtool calls stats(), it sets metadata_apart_bytes to 0 and every other member
 * to MEMTOOL_NO_FIGURE. The figures must satisfy this inequality at any time:
 *
 *   granted + free_bytes + metadata_bytes <= footprint + metadata_apart_bytes
 */
typedef struct memtool_stats {
  uint64_t granted;      /* usable bytes of live blocks */
  uint64_t free_bytes;   /* reusable bytes inside the footprint */
  uint64_t largest_free; /* the largest single request that fits without grow() */
  uint64_t free_blocks;
  uint64_t used_blocks;
  uint64_t metadata_bytes;       /* headers, bitmaps and tables, inside or outside the region */
  uint64_t metadata_apart_bytes; /* the part of metadata_bytes that lies outside the region */
} memtool_stats;

enum { MEMTOOL_BLOCK_USED = 0, MEMTOOL_BLOCK_FREE = 1, MEMTOOL_BLOCK_METADATA = 2 };
typedef void (*memtool_visit)(const void* address, uint64_t bytes, uint32_t state, void* context);

typedef struct memtool_allocator {
  uint32_t abi;          /* MEMTOOL_ALLOCATOR_ABI */
  uint32_t struct_bytes; /* sizeof(memtool_allocator) */

  const char* name;       /* this and the next four: one line each; only the name is required */
  const char* summary;    /* how the allocator works */
  const char* source;     /* the paper, book or implementation it follows */
  const char* complexity; /* what allocate and deallocate cost */
  const char* when;       /* when to use it */
  uint32_t free_order;    /* MEMTOOL_FREE_ANY, ... */
  uint32_t flags;         /* MEMTOOL_OWN_MEMORY, MEMTOOL_THREAD_SAFE, or 0 */
  const memtool_parameter* parameters;
  uint64_t parameter_count; /* at most 16 */

  /* The next four functions are required. create() gets one value for each parameter, in the order of declaration. If
   * the values do not go together, it returns NULL and writes the reason to `message`. */
  void* (*create)(memtool_region* region, const uint64_t* parameters, char* message);
  void (*destroy)(void* heap);
  /* `size` may be 0. As with operator new, the result is then a block whose address no other live block has.
   * `alignment` is a power of two, 16 unless the workload asks for another. At 16, a block of fewer than 16 bytes need
   * only be aligned to the largest power of two that is not greater than its size. Returns NULL if memory is exhausted;
   * the heap must remain usable. */
  void* (*allocate)(void* heap, size_t size, size_t alignment);
  /* `size` and `alignment` are the ones with which the block was allocated or last reallocated. */
  void (*deallocate)(void* heap, void* block, size_t size, size_t alignment);

  /* The functions below are optional. Where one is NULL, memtool does what a program would do without it. */
  void* (*allocate_zeroed)(void* heap, size_t size, size_t alignment);
  /* If it returns NULL, the old block is unchanged and still live. */
  void* (*reallocate)(void* heap, void* block, size_t old_size, size_t new_size, size_t alignment);
  /* Scopes: release() frees everything allocated since its marker. Provide both functions or neither. */
  uint64_t (*mark)(void* heap);
  void (*release)(void* heap, uint64_t marker);
  /* The bytes that the caller may use of a live block requested with `size`. Without this function: `size`. */
  size_t (*usable_size)(const void* heap, const void* block, size_t size);
  void (*stats)(const void* heap, memtool_stats* stats);
  /* Visits all memory obtained from the region in address order, without gaps or overlaps. */
  void (*walk)(const void* heap, memtool_visit visit, void* context);
  /* Returns 0 if the heap's invariants hold. Otherwise it writes to `message` which one is broken. */
  int (*check)(const void* heap, char* message);
  /* Sets the largest size and alignment that the allocator serves with these parameters. Both are MEMTOOL_NO_LIMIT
   * before the call. A run skips a workload that exceeds them, and the report gives the reason. */
  void (*limits)(const uint64_t* parameters, uint64_t* largest_size, uint64_t* largest_alignment);
} memtool_allocator;

/* A type of your own: workloads of the kind `construct` create its objects. The library exports memtool_get_type(). */
#define MEMTOOL_TYPE_ABI 1u
typedef struct memtool_type {
  uint32_t abi;          /* MEMTOOL_TYPE_ABI */
  uint32_t struct_bytes; /* sizeof(memtool_type) */
  const char* name;
  size_t size;                     /* a multiple of the alignment, as sizeof is */
  size_t alignment;                /* a power of two */
  void (*construct)(void* memory); /* cannot fail */
  /* The functions below are optional and may be NULL. */
  /* Without it, an object needs no destruction, and an arena may free its memory without a call. */
  void (*destroy)(void* object);
  /* Does what a program does with an object. memtool consumes the result, so the work cannot be optimized away. */
  uint64_t (*use)(void* object);
  /* Restores the state after construction. Without it, the object is destroyed and constructed again. */
  void (*reset)(void* object);
} memtool_type;

/* A library that provides a type exports this function. */
__attribute__((visibility("default"))) const memtool_type* memtool_get_type(void);

/* A library that provides an allocator exports this function. */
__attribute__((visibility("default"))) const memtool_allocator* memtool_get_allocator(void);

#ifdef __cplusplus
}
#endif
#endif
