/* The recorded operators new and delete of C++. A malloc that brings its own operators never calls the functions of C.
 * Their events are marked.
 *
 * An exception thrown by such an operator passes through this file (-fexceptions).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

#include "recorder/recorder.h"

struct nothrow; /* std::nothrow_t */

/* A library that was opened privately is not among those that follow this one. */
static void* function_of(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (function != NULL) return function;
  void* library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (library == NULL) library = dlopen("libc++.so.1", RTLD_LAZY | RTLD_NOLOAD);
  return library == NULL ? NULL : dlsym(library, name);
}

/* A refusal (hooks.c) has ended the forwarding. */
static void leave(const enum inside* was_inside) {
  if (LIKELY(here.inside != OUTSIDE)) here.inside = *was_inside;
}

/* The actual function. The first call looks it up, while the thread is inside, so that requests of the look-up are not
 * recorded. */
#define PROPER(TYPE, NAME)                                                            \
  static TYPE proper TOGETHER = NULL;                                                 \
  const enum inside was_inside __attribute__((cleanup(leave))) = here.inside;         \
  here.inside = LIKELY(was_inside != RECORDING) ? FORWARDING : RECORDING;             \
  if (UNLIKELY(__atomic_load_n(&proper, __ATOMIC_RELAXED) == NULL)) {                 \
    has_functions();                                                                  \
    __atomic_store_n(&proper, (TYPE)(uintptr_t)function_of(#NAME), __ATOMIC_RELAXED); \
    if (proper == NULL) abort();                                                      \
  }

#define NEW(NAME, KIND, SIZE, ALIGNMENT, PARAMETERS, ARGUMENTS)          \
  EXPORT void* NAME PARAMETERS;                                          \
  EXPORT void* NAME PARAMETERS {                                         \
    typedef void*(*function)PARAMETERS;                                  \
    PROPER(function, NAME)                                               \
    void* block = proper ARGUMENTS;                                      \
    if (LIKELY(was_inside == OUTSIDE && here.inside == FORWARDING))      \
      put_block(here.state, KIND, true, block, SIZE, ALIGNMENT, CALLER); \
    return block;                                                        \
  }

#define DELETE(NAME, PARAMETERS, ARGUMENTS)                                                \
  EXPORT void NAME PARAMETERS;                                                             \
  EXPORT void NAME PARAMETERS {                                                            \
    typedef void(*function) PARAMETERS;                                                    \
    PROPER(function, NAME)                                                                 \
    if (LIKELY(was_inside == OUTSIDE && block != NULL)) put_free(here.state, true, block); \
    proper ARGUMENTS;                                                                      \
  }

/* operator new and new[]: plain, nothrow, aligned, aligned and nothrow. */
NEW(_Znwm, MEMTOOL_ALLOCATE, size, 0, (size_t size), (size))
NEW(_ZnwmRKSt9nothrow_t, MEMTOOL_ALLOCATE, size, 0, (size_t size, const struct nothrow* tag), (size, tag))
NEW(_ZnwmSt11align_val_t, MEMTOOL_ALIGNED, size, alignment, (size_t size, size_t alignment), (size, alignment))
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, MEMTOOL_ALIGNED, size, alignment,
    (size_t size, size_t alignment, const struct nothrow* tag), (size, alignment, tag))
NEW(_Znam, MEMTOOL_ALLOCATE, size, 0, (size_t size), (size))
NEW(_ZnamRKSt9nothrow_t, MEMTOOL_ALLOCATE, size, 0, (size_t size, const struct nothrow* tag), (size, tag))
NEW(_ZnamSt11align_val_t, MEMTOOL_ALIGNED, size, alignment, (size_t size, size_t alignment), (size, alignment))
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, MEMTOOL_ALIGNED, size, alignment,
    (size_t size, size_t alignment, const struct nothrow* tag), (size, alignment, tag))

/* operator delete and delete[]: plain, sized, nothrow, aligned, sized and aligned, aligned and nothrow. */
DELETE(_ZdlPv, (void* block), (block))
DELETE(_ZdlPvm, (void* block, size_t size), (block, size))
DELETE(_ZdlPvRKSt9nothrow_t, (void* block, const struct nothrow* tag), (block, tag))
DELETE(_ZdlPvSt11align_val_t, (void* block, size_t alignment), (block, alignment))
DELETE(_ZdlPvmSt11align_val_t, (void* block, size_t size, size_t alignment), (block, size, alignment))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void* block, size_t alignment, const struct nothrow* tag),
       (block, alignment, tag))
DELETE(_ZdaPv, (void* block), (block))
DELETE(_ZdaPvm, (void* block, size_t size), (block, size))
DELETE(_ZdaPvRKSt9nothrow_t, (void* block, const struct nothrow* tag), (block, tag))
DELETE(_ZdaPvSt11align_val_t, (void* block, size_t alignment), (block, alignment))
DELETE(_ZdaPvmSt11align_val_t, (void* block, size_t size, size_t alignment), (block, size, alignment))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void* block, size_t alignment, const struct nothrow* tag),
       (block, alignment, tag))
