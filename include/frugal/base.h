/* base.h: errors, memory, arenas, random numbers, threads, files and logging: what every room stands on.

   Errors. Every function that can fail returns fr_status and takes an `fr_error *` last, which may be NULL. On failure the
   error holds one message that names the file and place (line or byte offset), what was found and what was expected.
   No function of the library exits, aborts or prints; what it has to say while working goes through fr_log. */
#ifndef FRUGAL_BASE_H
#define FRUGAL_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FR_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define FR_PRINTF(text, first)
#endif

/* ---- errors ---------------------------------------------------------------------------------------------------- */

typedef enum fr_status {
    FR_OK = 0,
    FR_BAD_INPUT,   /* what the user gave is wrong: a file, a recipe, an argument (exit code 2) */
    FR_UNSUPPORTED, /* well formed, but frugal does not do it; named in the message (exit code 2) */
    FR_BUSY,        /* somebody else holds the run folder (exit code 2) */
    FR_IO,          /* the system refused: no space, no permission (exit code 1) */
    FR_NO_MEMORY,   /* exit code 1 */
    FR_NUMERIC,     /* a number that is not finite (exit code 1) */
    FR_WRONG_CALL,  /* a caller broke a contract: shapes that do not fit (exit code 1) */
    FR_INTERRUPTED, /* stopped by a signal, the state is saved (exit code 130) */
    FR_FAILED       /* a check was made, and what it looked at failed it (exit code 1) */
} fr_status;

typedef struct fr_error {
    fr_status status;
    char message[1024];
} fr_error;

/* Fill `error` (may be NULL) and return `status`, so that a failure reads: return fr_fail(error, FR_IO, "..."). */
fr_status fr_fail(fr_error *error, fr_status status, const char *format, ...) FR_PRINTF(3, 4);
/* The same with a place in front: "FILE:LINE: message"; line 0 leaves the line out. */
fr_status fr_fail_at(fr_error *error, fr_status status, const char *file, long line,
                     const char *format, ...) FR_PRINTF(5, 6);
/* With strerror(errno) behind: "cannot ACTION PATH: No space left on device". FR_BAD_INPUT when errno says that the path is wrong,
   FR_INTERRUPTED for EINTR, FR_NO_MEMORY for ENOMEM, else FR_IO. */
fr_status fr_fail_errno(fr_error *error, const char *action, const char *path);
/* Put "CONTEXT: " in front of the message that is already there; returns the status that is there. */
fr_status fr_error_prefix(fr_error *error, const char *format, ...) FR_PRINTF(2, 3);
int fr_exit_code(fr_status status);

/* The static analyser sees one file at a time and must be told that these return the status that they are given. */
#if defined(__clang_analyzer__) && !defined(FRUGAL_DEFINES_FAILURES)
#define fr_fail(error, status, ...)    ((void)fr_fail(error, status, __VA_ARGS__), (status))
#define fr_fail_at(error, status, ...) ((void)fr_fail_at(error, status, __VA_ARGS__), (status))
#endif

/* Return early on failure: FR_TRY(fr_something(..., error)); */
#define FR_TRY(call)                                                                               \
    do {                                                                                           \
        fr_status fr_try_status_ = (call);                                                         \
        if (fr_try_status_ != FR_OK)                                                               \
            return fr_try_status_;                                                                 \
    } while (0)

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* What a block is for; peaks are reported by kind. */
typedef enum fr_memory_kind {
    FR_MEMORY_OTHER = 0,
    FR_MEMORY_WEIGHTS,
    FR_MEMORY_GRADIENTS,
    FR_MEMORY_OPTIMIZER,
    FR_MEMORY_ACTIVATIONS,
    FR_MEMORY_CACHE,
    FR_MEMORY_DATA,
    FR_MEMORY_KINDS
} fr_memory_kind;

/* Zeroed, 64-byte aligned, counted; NULL when there is none (or size is absurd). fr_free(NULL) is allowed. */
void *fr_alloc(size_t bytes, fr_memory_kind kind);
/* Array form, checks count * size for overflow. */
void *fr_alloc_array(size_t count, size_t size, fr_memory_kind kind);
/* Grow or shrink a block of fr_alloc; new bytes are zero. On failure NULL and the old block stays. */
void *fr_realloc(void *block, size_t bytes, fr_memory_kind kind);
void fr_free(void *block);
/* Copies and formatted strings, freed with fr_free; NULL when out of memory. */
char *fr_string_copy(const char *text);
char *fr_string_copy_n(const char *text, size_t length);
bool fr_string_ends(const char *text, const char *ending);
char *fr_format(const char *format, ...) FR_PRINTF(1, 2);

size_t fr_memory_now(fr_memory_kind kind);
size_t fr_memory_peak(fr_memory_kind kind);
void fr_memory_reset_peaks(void);
const char *fr_memory_kind_name(fr_memory_kind kind); /* "weights", ... */
/* Number of calls of fr_alloc and fr_realloc so far: a steady-state step must not change it. */
uint64_t fr_allocation_count(void);
size_t
fr_physical_memory(void);      /* bytes of RAM that this process may use (cgroup limit respected) */
size_t fr_resident_peak(void); /* bytes, the process's peak resident set */

/* An arena hands out 64-byte aligned blocks that live until reset; reset keeps the memory, and after a reset the arena is one
   block as large as the peak, so that a steady state allocates nothing. Blocks are NOT zeroed. */
typedef struct fr_arena fr_arena;
fr_arena *fr_arena_create(fr_memory_kind kind);
void fr_arena_destroy(fr_arena *arena);
void *fr_arena_alloc(fr_arena *arena, size_t bytes);
void fr_arena_reset(fr_arena *arena);
/* Reset it, and have at least `bytes` in one block from the beginning; counts as peak. False: no memory. */
bool fr_arena_reserve(fr_arena *arena, size_t bytes);
/* Everything allocated after mark() is given back by release(). */
typedef struct fr_arena_mark {
    size_t chunk, used;
} fr_arena_mark;
fr_arena_mark fr_arena_get_mark(const fr_arena *arena);
void fr_arena_release(fr_arena *arena, fr_arena_mark mark);
size_t fr_arena_peak(const fr_arena *arena); /* bytes in use at most since creation */

/* ---- random numbers -------------------------------------------------------------------------------------------- */

/* Philox4x32-10 (Salmon et al., SC 2011): a pure function of (seed, purpose, step, index), so the same numbers come on any
   number of threads and after any resume. No hidden state anywhere. */
typedef enum fr_purpose {
    FR_RANDOM_INIT = 1, /* index: element, step: number of the parameter */
    FR_RANDOM_DROPOUT,
    FR_RANDOM_SHUFFLE,
    FR_RANDOM_SPLIT,
    FR_RANDOM_SAMPLE, /* decoding */
    FR_RANDOM_HASH,   /* MinHash permutations */
    FR_RANDOM_PROBE,
    FR_RANDOM_TEST,
    FR_RANDOM_MASK /* step: number of the micro-batch, index: token */
} fr_purpose;

void fr_random_bits(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t index,
                    uint32_t out[4]);
double fr_random_uniform(uint64_t seed, uint32_t purpose, uint64_t step,
                         uint64_t index); /* [0, 1) with 53 bits */
double fr_random_normal(uint64_t seed, uint32_t purpose, uint64_t step,
                        uint64_t index); /* Box-Muller */
/* values[i] ~ N(0, std^2), i = 0..count-1, index = i; parallel. */
void fr_random_fill_normal(float *values, int64_t count, float std, uint64_t seed, uint32_t purpose,
                           uint64_t step);
void fr_random_fill_uniform(float *values, int64_t count, float low, float high, uint64_t seed,
                            uint32_t purpose, uint64_t step);
/* Bijection of [0, size) keyed by (seed, purpose, step): a Feistel network with cycle walking; element `index` (< size) of a
   shuffled 0..size-1, without storing the permutation. */
uint64_t fr_random_permute(uint64_t index, uint64_t size, uint64_t seed, uint32_t purpose,
                           uint64_t step);

/* ---- threads --------------------------------------------------------------------------------------------------- */

/* OpenMP threads that the library uses; default FRUGAL_THREADS, else the CPUs this process may run on. Results do not depend
   on it: work is cut into chunks that depend on shapes alone, and reductions combine chunks in order. */
void fr_threads_set(int count);
int fr_threads(void);

/* ---- time and interruption ------------------------------------------------------------------------------------- */

double fr_seconds(void);     /* monotonic clock */
double fr_cpu_seconds(void); /* CPU time of the whole process */
/* Energy counters of the processor packages (RAPL) together, in joules from an arbitrary start; 0 when the machine does not tell.
   They wrap around after days at full load. */
double fr_energy_joules(void);
/* Set by a signal handler (the command line's), asked by every long loop: 0 go on, 1 finish the step and save. A handler must run on a
   stack of its own (sigaltstack, SA_ONSTACK), whatever it does: oneDNN's generated code does not bear a signal's frame on the thread's
   stack. */
void fr_interrupt_request(void);
bool fr_interrupted(void);
void fr_interrupt_clear(void);

/* ---- logging --------------------------------------------------------------------------------------------------- */

typedef enum fr_log_level { FR_LOG_DEBUG, FR_LOG_INFO, FR_LOG_WARNING } fr_log_level;
typedef void fr_log_function(void *context, fr_log_level level, const char *message);
/* Where messages go; NULL (the default) drops them. The command line installs one that writes to standard error. */
void fr_log_to(fr_log_function *function, void *context);
void fr_log(fr_log_level level, const char *format, ...) FR_PRINTF(2, 3);

/* ---- text buffers ---------------------------------------------------------------------------------------------- */

/* A growing byte string, always followed by a zero byte. Starts as {0}; fr_buffer_free ends it. Appending after a failed
   append does nothing and `failed` stays set: check once at the end. */
typedef struct fr_buffer {
    char *data;
    size_t size, capacity;
    bool failed;
} fr_buffer;
void fr_buffer_append(fr_buffer *buffer, const void *data, size_t size);
void fr_buffer_text(fr_buffer *buffer, const char *text);
void fr_buffer_printf(fr_buffer *buffer, const char *format, ...) FR_PRINTF(2, 3);
/* Room for `more` bytes behind data + size (and the zero byte): for who writes there itself and then adds to size. */
bool fr_buffer_reserve(fr_buffer *buffer, size_t more);
void fr_buffer_clear(fr_buffer *buffer);
void fr_buffer_free(fr_buffer *buffer);

/* ---- files ----------------------------------------------------------------------------------------------------- */

bool fr_path_exists(const char *path);
bool fr_path_is_folder(const char *path);
char *fr_path_join(const char *folder, const char *name); /* freed with fr_free */
fr_status fr_folder_create(const char *path,
                           fr_error *error); /* with parents; an existing folder is fine */
fr_status fr_folder_remove(const char *path,
                           fr_error *error); /* with everything in it; missing is fine */
/* False also when there is no such folder. */
bool fr_folder_is_empty(const char *path);
/* Remove what killed writers left in `path` itself (not in folders inside it): temporary files that no living process holds.
   A missing folder is fine. */
fr_status fr_folder_clean(const char *path, fr_error *error);
/* Read a whole file, at most `limit` bytes (0: 1 GiB). data is freed with fr_free and followed by a zero byte. */
fr_status fr_file_read(const char *path, size_t limit, char **data, size_t *size, fr_error *error);
/* A read-only map of a file; size 0 gives data NULL. */
typedef struct fr_map {
    const unsigned char *data;
    size_t size;
} fr_map;
fr_status fr_map_open(fr_map *map, const char *path, fr_error *error);
void fr_map_close(fr_map *map);

/* A file that appears whole or not at all: written under a temporary name beside its place, then fsync, rename, fsync of
   the folder. Errors are sticky, commit reports them; abandon (or a crash) leaves the old file untouched. A link is followed;
   a device, pipe or folder of that name is refused. Not for use by two threads at once. */
#define FR_TEMPORARY_SUFFIX ".tmp" /* temporary names begin with a dot and end so */
typedef struct fr_writer fr_writer;
fr_status fr_writer_open(fr_writer **writer, const char *path, fr_error *error);
void fr_writer_write(fr_writer *writer, const void *data, size_t size);
uint64_t fr_writer_position(const fr_writer *writer);
/* XXH3 (64 bit) of all bytes written so far. */
uint64_t fr_writer_hash(const fr_writer *writer);
/* True once a write failed: long work may stop early, commit will say why. */
bool fr_writer_failed(const fr_writer *writer);
fr_status fr_writer_commit(fr_writer *writer, fr_error *error); /* closes and frees in every case */
void fr_writer_abandon(fr_writer *writer);                      /* NULL is allowed */
fr_status fr_file_write(const char *path, const void *data, size_t size,
                        fr_error *error); /* the same in one call */
/* Make a rename or a removal in `folder` durable. */
fr_status fr_folder_sync(const char *folder, fr_error *error);
/* XXH3 (64 bit) of a file. */
fr_status fr_file_hash(const char *path, uint64_t *hash, fr_error *error);

/* An advisory lock on FOLDER/.lock held until released or the process ends; FR_BUSY (naming the holder's process id) when
   another process has it. */
typedef struct fr_lock fr_lock;
fr_status fr_lock_folder(fr_lock **lock, const char *folder, fr_error *error);
void fr_lock_release(fr_lock *lock);

const char *fr_version(void); /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif
