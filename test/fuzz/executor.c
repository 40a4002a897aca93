/*
 * The executor's decoder under libFuzzer: all of native/executor.c, with a kernel that is made up.
 *
 * An input is what the executor reads from its descriptor 3, one frame or several. Calls that the executor makes for itself (memory,
 * reading frames, writing reports) go to `own` and do here what they do there; calls that a frame asks for go to `sys`, which makes none:
 * it answers anything, and writes anything into those parts of the blob that it was given, as a kernel may. Both are found by their
 * macros in native/sys.h.
 *
 * No header of a C library is here: they and those of the kernel, which the executor has, define the same names.
 */
#define COFFER_FUZZ
#define memcpy executor_memcpy
#define memset executor_memset
#include "../../native/sys.h"
#undef SYS6
#define SYS6(n, a, b, c, d, e, f) own((long)(n), (long)(a), (long)(b), (long)(c))
static long own(long n, long a, long b, long c);
#include "../../native/executor.c"

extern void *calloc(size_t count, size_t bytes);
extern void free(void *);
extern void abort(void);
extern void __asan_handle_no_return(void);
extern void *__asan_region_is_poisoned(void *at, size_t bytes);
extern size_t LLVMFuzzerMutate(uint8_t *input, size_t bytes, size_t most);

enum { MAX_MAPS = 16, MAX_CALLS = 100, ECHILD_ = 10 };

static struct {
    const uint8_t *input;
    size_t left;
    uint64_t random;
    uint32_t calls;
    long last;                    /* what the executor called before */
    char *frame;                  /* that it read last */
    char *maps[MAX_MAPS];
    void *back[5];
} now_at;

/* xorshift64*: the same answers for the same input. */
static uint32_t any(uint32_t below)
{
    now_at.random ^= now_at.random >> 12;
    now_at.random ^= now_at.random << 25;
    now_at.random ^= now_at.random >> 27;
    return (uint32_t)(now_at.random * 0x2545f4914f6cdd1dull >> 32) % below;
}

static void end_process(void)
{
    __asan_handle_no_return();
    __builtin_longjmp(now_at.back, 1);
}

static long map(size_t bytes)
{
    for (int i = 0; i < MAX_MAPS; i++) {
        if (now_at.maps[i]) continue;
        now_at.maps[i] = calloc(1, bytes);
        if (now_at.last == __NR_read) now_at.frame = now_at.maps[i];
        return (long)now_at.maps[i];
    }
    abort();
}

static long unmap(char *at)
{
    for (int i = 0; i < MAX_MAPS; i++) {
        if (now_at.maps[i] != at) continue;
        free(at);
        now_at.maps[i] = 0;
        if (at == now_at.frame) now_at.frame = 0;
        return 0;
    }
    abort();
}

/* In pieces and with interruptions, as pipes do. */
static size_t piece(size_t bytes)
{
    return bytes > 1 && any(8) == 0 ? 1 + any((uint32_t)bytes) : bytes;
}

static long give(char *at, size_t bytes)
{
    if (any(16) == 0) return -EINTR_;
    size_t n = piece(bytes < now_at.left ? bytes : now_at.left);
    __builtin_memcpy(at, now_at.input, n);
    now_at.input += n;
    now_at.left -= n;
    return (long)n;
}

static long take(const char *at, size_t bytes)
{
    if (any(16) == 0) return any(2) ? -EINTR_ : -EAGAIN_;
    size_t n = piece(bytes);
    if (__asan_region_is_poisoned((void *)at, n)) abort();
    return (long)n;
}

enum { SIGNALS = 9, SPARE_HAS_IT = 10, CHILD = 8 };

/* struct pollfd: there is something to read, and now and then a signal, or word of the spare, which may be anywhere in its life. */
static long wake(short *polled)
{
    polled[3] = ((int *)polled)[0] >= 0;
    polled[7] = any(4) == 0;
    polled[11] = any(4) == 0;
    if (running.offer && any(4) == 0) running.offer->state = any(3), running.offer->id = any(~0u);
    return 1;
}

/* struct siginfo: a child has exited or was killed. */
static long end_child(int *info)
{
    info[2] = any(8) ? 1 : 2;
    info[4] = CHILD;
    info[6] = any(8) == 0;
    return 0;
}

/* The executor's own calls. */
static long own(long n, long a, long b, long c)
{
    long result = 0;
    switch (n) {
    case __NR_mmap: result = map((size_t)b); break;
    case __NR_munmap: result = unmap((char *)a); break;
    case __NR_read: result = a == IN ? give((char *)b, (size_t)c) : a == SIGNALS || a == SPARE_HAS_IT ? 0 : -EINVAL_; break;
    case __NR_ppoll: result = c && any(2) ? 0 : wake((short *)a); break;
    case __NR_signalfd4: result = SIGNALS; break;
    case __NR_eventfd2: result = SPARE_HAS_IT; break;
    case __NR_close: case __NR_prctl: break;
    case __NR_write: result = a == OUT ? take((const char *)b, (size_t)c) : a == SPARE_HAS_IT ? c : -EINVAL_; break;
    case __NR_clock_gettime: *(struct __kernel_timespec *)b = (struct __kernel_timespec){ 1, now_at.calls }; break;
    case __NR_getpid: result = 7; break;
    case __NR_getppid: result = any(8) ? 7 : 1; break;
    case __NR_nanosleep: break;
    case __NR_waitid: result = any(2) ? -ECHILD_ : end_child((int *)c); break;
    case __NR_clone3: result = any(2) ? 0 : any(2) ? CHILD : -EAGAIN_; break;
    case __NR_exit_group: end_process(); break;
    default: abort();
    }
    now_at.last = n;
    return result;
}

/* The kernel writes behind a pointer into the blob. */
static void scribble(long pointer)
{
    const struct plan *p = (const struct plan *)now_at.frame;
    char *blob = now_at.frame + p->blob, *at = (char *)pointer;
    if (at < blob || at >= blob + p->blob_bytes) return;
    for (char *end = blob + p->blob_bytes; at < end && any(8); at++) *at = (char)any(256);
}

/* A call of the frame. */
static long sys(long n, long a, long b, long c, long d, long e, long f)
{
    static const int16_t errnos[] = { 1, 2, 4, 11, 12, 16, 17, 22, 28, 38 };
    long pointers[] = { a, b, c, d, e, f };
    if (++now_at.calls > MAX_CALLS) end_process();
    for (int i = 0; i < 6; i++)
        if (any(4) == 0) scribble(pointers[i]);
    switch (any(8)) {
    case 0: case 1: case 2: return 0;
    case 3: case 4: return any(64);
    case 5: return -errnos[any(sizeof errnos / sizeof errnos[0])];
    case 6: return -(long)any(5000);
    default: return (long)((uint64_t)any(~0u) << 32 | any(~0u)) ^ n;
    }
}

/* Not part of the function that is jumped back to, whose stack stays as it is. */
static void (*volatile run_apart)(void) = serve;

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    now_at.input = input;
    now_at.left = bytes;
    now_at.calls = 0;
    now_at.last = 0;
    now_at.random = 0x9e3779b97f4a7c15ull;
    /* The id of a frame decides nothing in the executor: here, how the kernel answers. */
    for (size_t i = 8; i < 12 && i < bytes; i++) now_at.random = now_at.random * 31 + input[i];
    if (!__builtin_setjmp(now_at.back)) run_apart();
    for (int i = 0; i < MAX_MAPS; i++) {
        free(now_at.maps[i]);
        now_at.maps[i] = 0;
    }
    now_at.frame = 0;
    running.all = 0;
    running.count = 0;
    running.spare = running.spare_is_due = 0;
    running.offer = 0;
    return 0;
}

/* What a number of a frame may be compared with. */
static uint32_t telling(const struct plan *p)
{
    const uint32_t limits[] = { p->step_count, p->op_count, p->slot_count, p->blob_bytes, p->read_count, p->main_count,
                                p->steps, p->ops, p->reads, p->blob, p->total_bytes };
    const uint32_t edges[] = { 0, 1, 2, 3, 4, 8, 17, 20, 21, 88, 0x7fff, 0xfffe, 0xffff, 0x10000, 0x10001, 0x7fffffff, 0x80000000, ~0u };
    uint32_t limit = limits[any(sizeof limits / sizeof limits[0])];
    if (any(2)) return any(2) && limit ? any(limit) : limit + any(3) - 1;
    return any(3) ? edges[any(sizeof edges / sizeof edges[0])] : any(2) ? any(256) : any(~0u);
}

static void put(uint8_t *at, uint32_t value, int width)
{
    for (int i = 0; i < width; i++) at[i] = (uint8_t)(value >> 8 * i);
}

/* Changes one number of a step, an operation, a range or the header. Their fields begin at even offsets. */
static void change(uint8_t *input, size_t bytes)
{
    struct plan p;
    for (size_t i = 0; i < sizeof p; i++) ((uint8_t *)&p)[i] = input[i];
    uint64_t at = 0, width = sizeof p;
    uint32_t kind = any(8);
    if (kind < 3 && p.step_count) at = p.steps + (uint64_t)any(p.step_count) * sizeof(struct step), width = sizeof(struct step);
    else if (kind < 6 && p.op_count) at = p.ops + (uint64_t)any(p.op_count) * sizeof(struct op), width = sizeof(struct op);
    else if (kind < 7 && p.read_count) at = p.reads + (uint64_t)any(p.read_count) * sizeof(struct range), width = sizeof(struct range);
    at += any((uint32_t)width / 2) * 2;
    if (at + 4 <= bytes) put(input + at, telling(&p), any(2) ? 2 : 4);
}

size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t bytes, size_t most, unsigned int seed)
{
    now_at.random = seed * 0x9e3779b97f4a7c15ull + 1;
    if (bytes < sizeof(struct plan) || any(4) == 0) bytes = LLVMFuzzerMutate(input, bytes, most);
    else
        for (uint32_t n = any(4); n; n--) change(input, bytes);
    /* Few inputs are worth anything without these two. */
    if (bytes >= sizeof(struct plan) && any(16)) {
        put(input, PLAN_MAGIC, 4);
        if (any(8)) put(input + 4, (uint32_t)bytes, 4);
        put(input + 8, any(~0u), 4);
    }
    return bytes;
}
