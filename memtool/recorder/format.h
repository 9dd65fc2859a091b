/* What the recorder leaves behind of one process: a file that it maps and writes into, page by page, so that the kernel
 * keeps everything up to the last finished record when the process is killed.
 *
 *   offset 0          struct memtool_recording
 *   64 KiB and on     chunks, one after the other: struct memtool_chunk, then records, then zero bytes
 *
 * A chunk is written by one thread at a time and can be read without any other. All numbers are little endian. A record
 * is a word of 4, 6 or 8 bytes, or several; its first 2 bytes are written last and are never 0: where they are 0 the
 * next record is not there yet. A word has from its lowest bit on:
 *
 *   5  its kind; 16 more where C++ asked for it
 *   1  whether it has TICKS, which are its last 16 bits then
 *   of a block that is handed out: 7 CALLER, 11 SIZE, 24 ADDRESS, TICKS
 *   of a block that is given back: 26 ADDRESS, TICKS
 *   of others: 58 of what their kind says
 *
 *   CALLER     the place of a return address in a table of 128, which the chunk has filled by then
 *   TICKS      since the record before it
 *   ADDRESS    (the address - the address before it) / 8, signed; a chunk begins at MEMTOOL_FIRST_ADDRESS
 *
 * What does not fit is said by a word of its own that goes before. Where call stacks are recorded, the number of one
 * stands for the return address.
 */
#ifndef MEMTOOL_RECORDER_FORMAT_H
#define MEMTOOL_RECORDER_FORMAT_H

#include <stdint.h>

#define MEMTOOL_RECORDING_MAGIC UINT64_C(0x334345524d544d4d) /* "MMTMREC3" */
#define MEMTOOL_CHUNK_MAGIC UINT64_C(0x314b4e48434d544d)     /* "MTMCHNK1" */

enum {
  MEMTOOL_CHUNK_UNIT = 1 << 16,
  MEMTOOL_MOST_CHUNK = 1 << 22,
  MEMTOOL_MOST_CHUNKS = 61440, /* of one file: 240 GB */
  MEMTOOL_CALLERS = 128,
  MEMTOOL_MOST_DEPTH = 64,   /* return addresses of a call stack */
  MEMTOOL_MOST_RECORD = 96,  /* bytes of the longest record but that of a stack, with those that go before it */
  MEMTOOL_FIRST_ADDRESS = 1, /* is at no distance from any block that a word could say */
  MEMTOOL_KIND_BITS = 5,
  MEMTOOL_CPP = 16,   /* added to the kind */
  MEMTOOL_TIMED = 32, /* the bit of what has TICKS */
  MEMTOOL_HEAD_BITS = 6,
  MEMTOOL_CALLER_BITS = 7,
  MEMTOOL_SIZE_BITS = 11,
  MEMTOOL_OUT_BITS = 24,  /* of the address of a block that is handed out */
  MEMTOOL_BACK_BITS = 26, /* of one that is given back */
  MEMTOOL_TICKS_BITS = 16,
  MEMTOOL_IS_BESIDE = 0x80,         /* in chunk_units: the chunk lies in the file beside this one */
  MEMTOOL_MOST_IN_MEMORY = 1 << 26, /* bytes of a file in memory that nobody has read yet */
};

/* Where the file lies in memory, chunks that would take too much of it lie on the disk, in a file of the same name with
 * this ending, at the offset that they would have in the file itself. */
#define MEMTOOL_BESIDE ".beside"

enum memtool_record {
  MEMTOOL_ALLOCATE = 1, /* a block that is handed out; its ticks are those after the call */
  MEMTOOL_FREE = 2,     /* a block that is given back; its ticks are those before the call */
  MEMTOOL_ZEROED = 3,
  MEMTOOL_ALIGNED = 4,
  MEMTOOL_REALLOCATE = 5, /* the old block, as it is given back; the words up to MEMTOOL_BECOMES belong to it */
  MEMTOOL_REFUSED = 6,    /* the allocator returned no memory: a block that is handed out, without its address */
  MEMTOOL_MAP = 7,        /* the program itself mapped anonymous memory: as a block that is given back */
  MEMTOOL_UNMAP = 8,
  MEMTOOL_THREAD = 9,    /* the number of a thread: what follows in this chunk is its */
  MEMTOOL_STARTS = 10,   /* the number of a thread that the program starts */
  MEMTOOL_STACK = 11,    /* 47 its number, 2 memtool_stack_end, 7 how many return addresses follow, 8 bytes each, the
                            innermost first */
  MEMTOOL_BECOMES = 12,  /* the new block, as it is handed out; its ticks are those that the call took */
  MEMTOOL_RESIDENT = 14, /* bytes of resident pages in the block that the next record gives back */
  MEMTOOL_MOMENT = 15,   /* a memtool_moment */
  /* What goes before another word. */
  MEMTOOL_WIDE_SIZE = 26,    /* what is above the 11 bits of the SIZE */
  MEMTOOL_WIDE_CALLER = 27,  /* 7 a place of the table, 51 what it holds from here on */
  MEMTOOL_WIDE_ADDRESS = 28, /* what the next ADDRESS counts from */
  MEMTOOL_WIDE_TICKS = 29,   /* ticks that come to those of the next word */
  MEMTOOL_LENGTH = 30,       /* bytes of a mapping */
  MEMTOOL_ALIGNMENT = 31,    /* its log2 */
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
  uint8_t chunk_units[MEMTOOL_MOST_CHUNKS]; /* length of each chunk, in 64 KiB, and MEMTOOL_IS_BESIDE */
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
