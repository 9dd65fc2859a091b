/* What the recorder leaves behind of one process: a file that it maps and writes into, page by page, so that the kernel
 * keeps everything up to the last finished record when the process is killed.
 *
 *   offset 0          struct memtool_recording
 *   64 KiB and on     chunks, one after the other: struct memtool_chunk, then records, then zero bytes
 *
 * A chunk is written by one thread at a time and can be read without any other. All numbers are little endian. A
 * record's first byte is never 0 and is written last: what begins with 0 is not there yet.
 *
 *   head       varint: ticks since the record before it << 5 | whether C++ asked for it << 4 | kind
 *   ADDRESS    varint: (address - the address before it) / 8, zigzag
 *   CALLER     a byte below 128: the caller that was last put at this place of a table of 128; otherwise 128 + place,
 *              and the return address in 6 bytes. Where call stacks are recorded, the number of one in its place, which
 *              the chunk has said by then
 */
#ifndef MEMTOOL_RECORDER_FORMAT_H
#define MEMTOOL_RECORDER_FORMAT_H

#include <stdint.h>

#define MEMTOOL_RECORDING_MAGIC UINT64_C(0x324345524d544d4d) /* "MMTMREC2" */
#define MEMTOOL_CHUNK_MAGIC UINT64_C(0x314b4e48434d544d)     /* "MTMCHNK1" */

enum {
  MEMTOOL_CHUNK_UNIT = 1 << 16,
  MEMTOOL_MOST_CHUNK = 1 << 22,
  MEMTOOL_MOST_CHUNKS = 61440, /* of one file: 240 GB */
  MEMTOOL_CALLERS = 128,
  MEMTOOL_MOST_DEPTH = 64,  /* return addresses of a call stack */
  MEMTOOL_MOST_RECORD = 96, /* bytes of the longest record but that of a stack, with those that go before it */
  MEMTOOL_KIND_BITS = 5,
};

/* Kinds of records, and what follows their head. SIZE, LENGTH, THREAD and TICKS are varints. */
enum memtool_record {
  MEMTOOL_ALLOCATE = 1,   /* SIZE ADDRESS CALLER */
  MEMTOOL_FREE = 2,       /* ADDRESS; its ticks are those before the call, all other's those after it */
  MEMTOOL_ZEROED = 3,     /* SIZE ADDRESS CALLER */
  MEMTOOL_ALIGNED = 4,    /* log2 of the alignment in a byte, SIZE ADDRESS CALLER */
  MEMTOOL_REALLOCATE = 5, /* ADDRESS of the old block, SIZE, ADDRESS, TICKS that the call took, CALLER */
  MEMTOOL_REFUSED = 6,    /* SIZE CALLER: the allocator returned no memory */
  MEMTOOL_MAP = 7,        /* ADDRESS LENGTH: the program itself mapped anonymous memory */
  MEMTOOL_UNMAP = 8,      /* ADDRESS LENGTH */
  MEMTOOL_THREAD = 9,     /* THREAD, its number for the kernel (varint): what follows in this chunk is this one's */
  MEMTOOL_STARTS = 10,    /* THREAD that the program starts */
  MEMTOOL_STACK = 11, /* its number in 6 bytes, a byte of memtool_stack_end, a byte: how many return addresses; these,
                         6 bytes each, the innermost first */
  MEMTOOL_LOW_BITS = 13, /* a byte: added to the next ADDRESS, of a block that is not aligned to 8 */
  MEMTOOL_RESIDENT = 14, /* LENGTH: bytes of resident pages in the block that the next record frees */
  MEMTOOL_MOMENT = 15,   /* a byte of memtool_moment */
};

enum memtool_moment {
  MEMTOOL_OFF = 0,   /* what follows is missing */
  MEMTOOL_ON = 1,    /* recording goes on */
  MEMTOOL_FORKS = 2, /* a child begins with what is live here */
  MEMTOOL_ENDS = 3,  /* the thread has run its destructors; the C library may still free for it */
};

/* How a call stack ends: as deep as was asked for, with what started the thread, or with code that cannot be passed. */
enum memtool_stack_end { MEMTOOL_DEEPER = 0, MEMTOOL_WHOLE = 1, MEMTOOL_CUT = 2 };

enum memtool_clock { MEMTOOL_TICKS = 0, MEMTOOL_NANOSECONDS = 1 };

struct memtool_recording {
  uint64_t magic;
  uint32_t process;
  uint32_t parent;     /* of a forked child: the process whose blocks it has inherited; 0: a program of its own */
  uint32_t clock;      /* enum memtool_clock */
  uint32_t word_bytes; /* of an address of the recorded program */
  uint64_t start_ticks;
  uint64_t start_nanoseconds;    /* CLOCK_MONOTONIC at the same moment */
  uint64_t start_realtime;       /* CLOCK_REALTIME at the same moment, in nanoseconds */
  uint64_t end;                  /* of the last chunk, in bytes of the file */
  uint64_t missed;               /* calls from within a signal or from within another call that is recorded; atomic */
  uint64_t lost;                 /* calls after recording had to stop; atomic */
  uint32_t stopped;              /* errno of what made it stop; 0: nothing */
  uint32_t is_over;              /* 1: the process came to its end by itself */
  uint32_t chunks;               /* how many there are; atomic. One may have been handed out and not begun. */
  uint32_t ticks_per_event;      /* what recording takes, times 1024, as it timed itself at the start */
  uint64_t peak_resident;        /* bytes, when the process came to its end; 0: it did not */
  uint64_t forked_at;            /* of a forked child: ticks of its parent's MEMTOOL_FORKS; 0: it left none */
  uint32_t depth;                /* return addresses of a call stack at most; 1: call sites alone */
  uint32_t least_room;           /* bytes that a chunk has left when its writer moves on to another one, at most */
  char program[256];             /* /proc/self/exe, cut where it is longer */
  char arguments[1024];          /* separated by 0 bytes, cut where they are longer */
  uint32_t remembers_stacks;     /* 1: libunwind walks call stacks, and libgcc those that it has not seen */
  uint32_t ticks_beside_threads; /* ticks_per_event where there are several threads */
  char reserved[2696];
  uint8_t chunk_units[MEMTOOL_MOST_CHUNKS]; /* length of each chunk, in 64 KiB */
};

#ifdef __cplusplus
static_assert(sizeof(struct memtool_recording) == MEMTOOL_CHUNK_UNIT, "");
#else
_Static_assert(sizeof(struct memtool_recording) == MEMTOOL_CHUNK_UNIT, "");
#endif

struct memtool_chunk {
  uint64_t magic; /* written last */
  uint32_t thread;
  uint32_t kernel_thread;
  uint64_t bytes; /* of the chunk, with this head */
  uint64_t ticks; /* what the first record's count from */
};

#endif
