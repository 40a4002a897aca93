/* The executor: runs a plan, a list of system calls, and reports numbers. It has no policy: what a step is for, which paths and flags it
 * has and what an error means is known where the plan was written (src/plan) and read (src/executor/report.ts).
 *
 * Descriptors at start: 3 plans come in, 4 reports go out, 5 and up whatever the plans pass on.
 * Arguments: none if this image is a sealed memfd already; one if it was started from a file, and has to make that memfd first: a
 * container must never find the host's file behind /proc/PID/exe (SECURITY-CHECKS S1). */
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <asm/unistd.h>
#include "sys.h"
#include "wire.h"

enum { IN = 3, OUT = 4 };
enum { EAGAIN_ = 11, EFAULT_ = 14, EINVAL_ = 22, EINTR_ = 4 };

/* Written by the executor and all processes that it makes for a plan; mapped shared, so that a child can report before it ends. */
struct shared {
    uint32_t failure_count, trace_count;
    struct failure failures[MAX_FAILURES];
    struct trace trace[];
};

struct run {
    char *frame, *blob;
    const struct plan *plan;
    const struct step *steps;
    const struct op *ops;
    int64_t *slots;
    struct shared *shared;
};

static void leave(int status)
{
    for (;;) SYS1(__NR_exit_group, status);
}

static void *memory(size_t bytes, int flags)
{
    long at = SYS6(__NR_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
    if (at < 0 && at > -4096) leave(71);
    return (void *)at;
}

static uint64_t now(void)
{
    struct __kernel_timespec t;
    SYS2(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void record(struct run *run, uint32_t step, long error, long result, int undoing)
{
    uint32_t n = __atomic_fetch_add(&run->shared->failure_count, 1, __ATOMIC_ACQ_REL);
    if (n >= MAX_FAILURES) return;
    run->shared->failures[n] = (struct failure){ step, (uint32_t)error, result, (uint32_t)SYS0(__NR_getpid), (uint32_t)undoing };
}

static void record_trace(struct run *run, uint32_t step, long result, uint64_t begin)
{
    uint32_t n = __atomic_fetch_add(&run->shared->trace_count, 1, __ATOMIC_ACQ_REL);
    if (n < MAX_TRACE)
        run->shared->trace[n] = (struct trace){ step, (uint32_t)SYS0(__NR_getpid), result, begin, now() };
}

/* Numbers in the blob: at any offset, of any type. */
typedef uint16_t __attribute__((aligned(1), may_alias)) blob_u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) blob_u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) blob_u64;

static char *decimal(char *at, int64_t value)
{
    char digits[20];
    int n = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0) *at++ = '-';
    do digits[n++] = (char)('0' + rest % 10); while (rest /= 10);
    while (n) *at++ = digits[--n];
    return at;
}

/* Completes the arguments that depend on earlier results. */
static void prepare(struct run *run, const struct step *step)
{
    char *begin = 0, *text = 0;
    for (uint32_t i = 0; i < step->before_count; i++) {
        const struct op *op = &run->ops[step->before + i];
        char *at = run->blob + op->at;
        switch (op->kind) {
        case OP_STORE4: *(blob_u32 *)at = (uint32_t)run->slots[op->slot]; break;
        case OP_STORE8: *(blob_u64 *)at = (uint64_t)run->slots[op->slot]; break;
        case OP_ADDRESS: *(blob_u64 *)at = (uint64_t)(run->blob + op->a); break;
        case OP_TEXT: begin = text = at; break;
        case OP_COPY: memcpy(text, run->blob + op->a, op->b); text += op->b; *text = 0; break;
        case OP_DECIMAL: text = decimal(text, run->slots[op->slot]); *text = 0; break;
        case OP_LENGTH: run->slots[op->slot] = text - begin; break;
        }
    }
}

static uint32_t loaded(const char *at, int kind)
{
    return kind == OP_CHECK1 ? *(const uint8_t *)at : kind == OP_CHECK2 ? *(const blob_u16 *)at : *(const blob_u32 *)at;
}

/* Keeps what the call wrote, and says with which errno a check failed, or 0. */
static long conclude(struct run *run, const struct step *step, long result)
{
    for (uint32_t i = 0; i < step->after_count; i++) {
        const struct op *op = &run->ops[step->after + i];
        const char *at = run->blob + op->at;
        int holds = 1;
        switch (op->kind) {
        case OP_LOAD1: run->slots[op->slot] = *(const uint8_t *)at; break;
        case OP_LOAD2: run->slots[op->slot] = *(const blob_u16 *)at; break;
        case OP_LOAD4: run->slots[op->slot] = (int32_t)*(const blob_u32 *)at; break;
        case OP_LOAD8: run->slots[op->slot] = (int64_t)*(const blob_u64 *)at; break;
        case OP_EQUALS: holds = result == (int32_t)op->a; break;
        case OP_AT_LEAST: holds = result >= (int32_t)op->a; break;
        case OP_CHECK1: case OP_CHECK2: case OP_CHECK4: holds = (loaded(at, op->kind) & op->a) == op->b; break;
        case OP_DIFFERS: holds = *(const blob_u32 *)at != op->a; break;
        }
        if (!holds) return op->slot;
    }
    return 0;
}

static int names(const uint16_t *errnos, int count, long error)
{
    for (int i = 0; i < count && errnos[i]; i++)
        if (errnos[i] == error) return 1;
    return 0;
}

static void pause_ms(int attempt)
{
    struct __kernel_timespec t = { 0, 1000000 };
    if (attempt >= 100) SYS2(__NR_nanosleep, &t, 0);
}

static long call(struct run *run, const struct step *step)
{
    long a[6], result;
    for (int i = 0; i < 6; i++) {
        switch (step->kinds >> (2 * i) & 3) {
        case ARG_BLOB: a[i] = (long)(run->blob + step->args[i]); break;
        case ARG_SLOT: a[i] = (long)run->slots[step->args[i]]; break;
        default: a[i] = (long)step->args[i];
        }
    }
    for (int attempt = 0; attempt < 1100; attempt++) {
        result = sys(step->number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (result >= 0 || result < -4095 || !(names(step->retry, 2, -result) || result == -EINTR_)) break;
        pause_ms(attempt);
    }
    return result;
}

static void send_report(struct run *run, uint32_t kind);
static int run_list(struct run *run, uint32_t first, uint32_t count);

enum { DONE = 0, TOLERATED = -1 };

/* One step. Answers DONE, TOLERATED, or the errno that ends the list; `*skip` says how many of the next steps to pass over. */
static long run_step(struct run *run, uint32_t index, uint32_t *skip)
{
    const struct step *step = &run->steps[index];
    *skip = step->skip_ok;
    if (step->number == CALL_NOTHING) return 0;
    if (step->number == CALL_REPORT) { send_report(run, REPORT_PROGRESS); return 0; }
    uint64_t begin = run->plan->flags & PLAN_TRACE ? now() : 0;
    prepare(run, step);
    long result = call(run, step);
    if (step->child_count && result == 0) leave(run_list(run, step->child, step->child_count) ? 1 : 0);
    if (begin) record_trace(run, index, result, begin);
    if (step->into != NONE) run->slots[step->into] = result;
    long error = result < 0 && result >= -4095 ? -result : conclude(run, step, result);
    if (error && names(step->tolerate, 4, error)) {
        *skip = step->skip_error;
        return TOLERATED;
    }
    if (error) record(run, index, error, result, 0);
    return error;
}

static void undo(struct run *run, uint32_t step)
{
    uint32_t skip;
    for (uint32_t i = 0; i < run->steps[step].undo_count; i += 1 + skip) {
        uint32_t index = run->steps[step].undo + i;
        if (run_step(run, index, &skip) > 0) {
            uint32_t last = run->shared->failure_count - 1;
            if (last < MAX_FAILURES) run->shared->failures[last].undoing = 1;
        }
    }
}

/* Runs a list; after a failure undoes what its completed steps made, last first. Which steps completed is a bit each, on the stack. */
static int run_list(struct run *run, uint32_t first, uint32_t count)
{
    uint8_t done[count / 8 + 1];
    memset(done, 0, sizeof done);
    uint32_t skip;
    for (uint32_t i = 0; i < count; i += 1 + skip) {
        long error = run_step(run, first + i, &skip);
        if (error == DONE) done[i / 8] |= (uint8_t)(1 << i % 8);
        if (error <= 0) continue;
        for (uint32_t k = i; k-- > 0;)
            if (done[k / 8] & 1 << k % 8) undo(run, first + k);
        return 1;
    }
    return 0;
}

static void write_all(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count) {
        long n = SYS3(__NR_write, fd, at, count);
        if (n == -EINTR_ || n == -EAGAIN_) continue;
        if (n <= 0) return;
        at += n;
        count -= (size_t)n;
    }
}

/* A report goes out in one write, so that those of concurrent plans do not mix. */
static void send_report(struct run *run, uint32_t kind)
{
    const struct plan *p = run->plan;
    const struct range *reads = (const struct range *)(run->frame + p->reads);
    struct shared *s = run->shared;
    uint32_t failures = s->failure_count < MAX_FAILURES ? s->failure_count : MAX_FAILURES;
    uint32_t traces = s->trace_count < MAX_TRACE ? s->trace_count : MAX_TRACE, read_bytes = 0;
    if (kind == REPORT_PROGRESS) traces = 0;
    for (uint32_t i = 0; i < p->read_count; i++) read_bytes += reads[i].bytes;
    size_t total = sizeof(struct report) + failures * sizeof(struct failure) + p->slot_count * 8u + read_bytes + traces * sizeof(struct trace);
    char *out = memory(total, MAP_PRIVATE), *at = out;
    *(struct report *)at = (struct report){ (uint32_t)total, p->id, kind, failures, p->slot_count, read_bytes, traces, 0 };
    at += sizeof(struct report);
    memcpy(at, s->failures, failures * sizeof(struct failure));
    at += failures * sizeof(struct failure);
    memcpy(at, run->slots, p->slot_count * 8u);
    at += p->slot_count * 8u;
    memcpy(at, s->trace, traces * sizeof(struct trace));
    at += traces * sizeof(struct trace);
    for (uint32_t i = 0; i < p->read_count; i++) {
        memcpy(at, run->blob + reads[i].at, reads[i].bytes);
        at += reads[i].bytes;
    }
    write_all(OUT, out, total);
    SYS2(__NR_munmap, out, total);
}

/* Answers for a plan without running it. `error` stands where failures are counted. */
static void answer(uint32_t id, uint32_t kind, long error)
{
    struct report report = { sizeof report, id, kind, (uint32_t)error, 0, 0, 0, 0 };
    write_all(OUT, &report, sizeof report);
}

#include "sound.h"

static void run_plan(char *frame)
{
    struct run run = { .frame = frame, .plan = (const struct plan *)frame };
    run.steps = (const struct step *)(frame + run.plan->steps);
    run.ops = (const struct op *)(frame + run.plan->ops);
    run.blob = frame + run.plan->blob;
    if (!is_sound(&run)) {
        answer(run.plan->id, REPORT_REFUSED, 0);
        return;
    }
    size_t slots = (run.plan->slot_count * 8u + 4095) & ~4095ul;
    size_t shared = sizeof(struct shared) + (run.plan->flags & PLAN_TRACE ? MAX_TRACE * sizeof(struct trace) : 0);
    run.slots = memory(slots + 4096, MAP_PRIVATE);
    run.shared = memory(shared, MAP_SHARED);
    int failed = run_list(&run, 0, run.plan->main_count);
    send_report(&run, failed ? REPORT_FAILED : REPORT_DONE);
    SYS2(__NR_munmap, run.slots, slots + 4096);
    SYS2(__NR_munmap, run.shared, shared);
}

static int read_all(char *at, size_t count)
{
    while (count) {
        long n = SYS3(__NR_read, IN, at, count);
        if (n == -EINTR_) continue;
        if (n <= 0) return 0;
        at += n;
        count -= (size_t)n;
    }
    return 1;
}

#include "concurrent.h"

static void serve(void)
{
    char *frame;
    while (await_plan(), (frame = read_plan())) {
        uint32_t bytes = ((struct plan *)frame)->total_bytes;
        if (((struct plan *)frame)->flags & PLAN_CONCURRENT) run_concurrently(frame);
        else run_plan(frame);
        SYS2(__NR_munmap, frame, bytes);
    }
}

extern const char __executable_start[];

/* The linker puts headers, code and constants into one read-only segment, so the image can be written from memory: no path is needed. */
static void reexecute_sealed(void)
{
    const uint64_t *phoff = (const uint64_t *)(__executable_start + 32);
    const char *segment = __executable_start + *phoff;
    uint64_t bytes = *(const uint64_t *)(segment + 32);
    long fd = SYS2(__NR_memfd_create, "coffer", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x10);
    if (fd == -EINVAL_) fd = SYS2(__NR_memfd_create, "coffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) leave(72);
    write_all((int)fd, __executable_start, bytes);
    if (SYS3(__NR_fcntl, fd, 1033, 15) < 0) leave(73);
    const char *argv[] = { "coffer", 0 }, *envp[] = { 0 };
    SYS5(__NR_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
    leave(74);
}

/* Starts from a known state whatever the caller was: all signals blocked (a plan unblocks them for the program it becomes), all dispositions
 * default, nothing inherited beyond an exec, not readable by others. */
__attribute__((used)) void entry(long *stack)
{
    if (stack[0] > 1) reexecute_sealed();
    uint64_t all = ~0ul, act[4] = { 0 };
    SYS5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    SYS3(__NR_close_range, 3, ~0u, 4);
    SYS4(__NR_rt_sigprocmask, 0, &all, 0, 8);
    for (int signal = 1; signal <= 64; signal++) SYS4(__NR_rt_sigaction, signal, act, 0, 8);
    serve();
    leave(0);
}
