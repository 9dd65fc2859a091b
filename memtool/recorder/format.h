/* The format of a recording: a file for one process, which the recorder maps and writes page by page. So the kernel
 * keeps everything up to the last complete record if the process is killed.
 *
 *   offset 0          struct memtool_recording
 *   64 KiB and on     chunks, one after the other: struct memtool_chunk, then records, then zero bytes
 *
 * One thread at a time writes a chunk, and a chunk can be read without any other. All numbers are little endian. A
 * record is one or several words of 4, 6 or 8 bytes. Its first 2 bytes are written last and are never 0; where they are
 * 0, the next record is not there yet. The fields of a word, from its lowest bit on:
 *
 *   5  kind; 16 is added to it if C++ made the request
 *   1  whether the word has TICKS, which are then its last 16 bits
 *   for an allocated block: 7 CALLER, 11 SIZE, 24 ADDRESS, TICKS
 *   for a freed block: 26 ADDRESS, TICKS
 *   for other kinds: 58 bits whose meaning depends on the kind
 *
 *   CALLER     index of a return address in a table of 128, which the chunk has already filled in
 *   TICKS      since the previous record
 *   ADDRESS    (the address - the previous address) / 8, signed; a chunk begins at MEMTOOL_FIRST_ADDRESS
 *
 * A value that does not fit into its field has a word of its own before it. If call stacks are recorded, the number of
 * a stack takes the place of the return address.
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
  MEMTOOL_MOST_RECORD = 96,  /* bytes of the longest record other than a stack, with the words that precede it */
  MEMTOOL_FIRST_ADDRESS = 1, /* so far from every block that no word can hold the distance */
  MEMTOOL_KIND_BITS = 5,
  MEMTOOL_CPP = 16,   /* added to the kind */
  MEMTOOL_TIMED = 32, /* set in the kind of a word with TICKS */
  MEMTOOL_HEAD_BITS = 6,
  MEMTOOL_CALLER_BITS = 7,
  MEMTOOL_SIZE_BITS = 11,
  MEMTOOL_OUT_BITS = 24,  /* bits of the address of an allocated block */
  MEMTOOL_BACK_BITS = 26, /* bits of the address of a freed block */
  MEMTOOL_TICKS_BITS = 16,
  MEMTOOL_IS_BESIDE = 0x80,         /* in chunk_units: the chunk lies in the file beside this one */
  MEMTOOL_MOST_IN_MEMORY = 1 << 26, /* bytes of a file in memory that have not been read yet */
};

/* If the file lies in memory, chunks that would take too much of it lie on the disk, in a file of the same name with
 * this ending, at the offset that they would have in the file itself. */
#define MEMTOOL_BESIDE ".beside"

enum memtool_record {
  MEMTOOL_ALLOCATE = 1, /* an allocated block; the ticks are those after the call */
  MEMTOOL_FREE = 2,     /* a freed block; the ticks are those before the call */
  MEMTOOL_ZEROED = 3,
  MEMTOOL_ALIGNED = 4,
  MEMTOOL_REALLOCATE = 5, /* the old block, like a freed one; the words up to MEMTOOL_BECOMES belong to it */
  MEMTOOL_REFUSED = 6,    /* the allocator returned no memory; like an allocated block, but without an address */
  MEMTOOL_MAP = 7,        /* the program itself mapped anonymous memory; like a freed block */
  MEMTOOL_UNMAP = 8,
  MEMTOOL_THREAD = 9,    /* number of the thread to which the rest of this chunk belongs */
  MEMTOOL_STARTS = 10,   /* number of a thread that the program starts */
  MEMTOOL_STACK = 11,    /* 47 its number, 2 memtool_stack_end, 7 how many return addresses follow, 8 bytes each, the
                            innermost first */
  MEMTOOL_BECOMES = 12,  /* the new block, like an allocated one; the ticks are the duration of the call */
  MEMTOOL_RESIDENT = 14, /* bytes of resident pages in the block that the next record frees */
  MEMTOOL_MOMENT = 15,   /* a memtool_moment */
  /* Words that precede another word. */
  MEMTOOL_WIDE_SIZE = 26,    /* the part of the SIZE above its 11 bits */
  MEMTOOL_WIDE_CALLER = 27,  /* 7 bits: index in the table; 51 bits: its new value */
  MEMTOOL_WIDE_ADDRESS = 28, /* the base of the next ADDRESS */
  MEMTOOL_WIDE_TICKS = 29,   /* ticks to be added to those of the next word */
  MEMTOOL_LENGTH = 30,       /* bytes of a mapping */
  MEMTOOL_ALIGNMENT = 31,    /* log2 of the alignment */
};

enum memtool_moment {
  MEMTOOL_OFF = 0,   /* the events that follow are missing */
  MEMTOOL_ON = 1,    /* recording continues */
  MEMTOOL_FORKS = 2, /* a child begins with the blocks that are live here */
  MEMTOOL_ENDS = 3,  /* the thread has run its destructors; the C library may still free memory for it */
};

/* How a call stack ends: at the requested depth, at the start of the thread, or at code that cannot be unwound. */
enum memtool_stack_end { MEMTOOL_DEEPER = 0, MEMTOOL_WHOLE = 1, MEMTOOL_CUT = 2 };

enum memtool_clock { MEMTOOL_TICKS = 0, MEMTOOL_NANOSECONDS = 1 };

struct memtool_recording {
  uint64_t magic;
  uint32_t process;
  uint32_t parent;     /* in a forked child: the process whose blocks it has inherited; 0: no such process */
  uint32_t clock;      /* enum memtool_clock */
  uint32_t word_bytes; /* size of an address in the recorded program */
  uint64_t start_ticks;
  uint64_t start_nanoseconds; /* CLOCK_MONOTONIC at the same moment */
  uint64_t start_realtime;    /* CLOCK_REALTIME at the same moment, in nanoseconds */
  uint64_t end;               /* end of the last chunk, in bytes of the file */
  uint64_t missed;            /* calls from within a signal handler or another recorded call; atomic */
  uint64_t lost;              /* calls after recording had to stop; atomic */
  uint32_t stopped;           /* errno of the error that stopped recording; 0: none */
  uint32_t is_over;           /* 1: the process ended by itself */
  uint32_t chunks;            /* number of chunks; atomic. One may have been assigned and not begun. */
  uint32_t ticks_per_event;   /* cost of recording an event, times 1024, as measured at the start */
  uint64_t peak_resident;     /* bytes, at the end of the process; 0: the process did not reach its end */
  uint64_t forked_at;         /* in a forked child: ticks of its parent's MEMTOOL_FORKS; 0: there is no such record */
  uint32_t depth;             /* maximum number of return addresses of a call stack; 1: call sites only */
  uint32_t least_room;        /* maximum number of bytes left in a chunk when its writer moves on to another one */
  char program[256];          /* /proc/self/exe, truncated if it is longer */
  char arguments[1024];       /* separated by 0 bytes, truncated if they are longer */
  uint32_t remembers_stacks;  /* 1: libunwind walks call stacks, and libgcc those that are new */
  uint32_t ticks_beside_threads; /* ticks_per_event with several threads */
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
  uint64_t bytes; /* of the chunk, with this header */
  uint64_t ticks; /* base of the first record's ticks */
};

#endif
