/* The executor's plans that run in processes of their own, how their end is noticed, and the process that waits for the next plan. */
#ifndef COFFER_CONCURRENT_H
#define COFFER_CONCURRENT_H

static struct {
    struct process { int32_t pid; uint32_t id; } *all;
    uint32_t count;
    int32_t self, spare;
    int spare_is_due;
    long signals, taken;
    struct offer *offer;
} running;

/* The spare is made before its plan is there: a process costs as much time as all else until the first step. It is made a millisecond after
 * another plan has ended, when the caller is done with that: sooner it would take a processor from it. While it waits for a plan, nobody else
 * reads any. It says here when it has one, and by the descriptor `taken`. */
enum { IDLE, READING, TAKEN };
struct offer { uint32_t state, id; };

/* Answers 0 where the caller is gone. */
static char *read_plan(void)
{
    struct plan head;
    if (!read_all((char *)&head, sizeof head)) return 0;
    if (running.offer) running.offer->state = READING;
    if (head.magic != PLAN_MAGIC || head.total_bytes < sizeof head || head.total_bytes > MAX_PLAN_BYTES) leave(65);
    char *frame = memory(head.total_bytes, MAP_PRIVATE);
    memcpy(frame, &head, sizeof head);
    if (!read_all(frame + sizeof head, head.total_bytes - sizeof head)) leave(66);
    return frame;
}

static void note(int32_t pid, uint32_t id)
{
    running.all[running.count++] = (struct process){ pid, id };
}

static void see_taken(void)
{
    if (!running.spare || __atomic_load_n(&running.offer->state, __ATOMIC_ACQUIRE) != TAKEN) return;
    note(running.spare, running.offer->id);
    running.spare = 0;
}

static void tell_taken(uint32_t id)
{
    uint64_t one = 1;
    running.offer->id = id;
    __atomic_store_n(&running.offer->state, TAKEN, __ATOMIC_RELEASE);
    SYS3(__NR_write, running.taken, &one, sizeof one);
    SYS1(__NR_close, running.taken);
}

/* An executor that is killed takes its spare along, whose end of the pipe for reports nobody would hear the last of. */
static void be_spare(void)
{
    SYS5(__NR_prctl, PR_SET_PDEATHSIG, 9 /* SIGKILL */, 0, 0, 0);
    if (SYS0(__NR_getppid) != running.self) leave(0);
    SYS1(__NR_close, running.signals);
    char *frame = read_plan();
    if (!frame) leave(0);
    const struct plan *plan = (const struct plan *)frame;
    SYS5(__NR_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
    if (plan->flags & PLAN_CONCURRENT) tell_taken(plan->id);
    run_plan(frame);
    if (!(plan->flags & PLAN_CONCURRENT)) tell_taken(plan->id);
    leave(0);
}

static void make_spare(void)
{
    if (running.spare || running.taken < 0 || running.count == MAX_CONCURRENT) return;
    running.offer->state = IDLE;
    struct clone_args args = { .exit_signal = 17 };
    long pid = SYS2(__NR_clone3, &args, sizeof args);
    if (pid == 0) be_spare();
    if (pid > 0) running.spare = (int32_t)pid;
}

/* Who is killed cannot answer any more. Answers whether a plan has ended. */
static int reap(void)
{
    int info[32], ended = 0;
    for (;;) {
        info[4] = 0;
        if (SYS5(__NR_waitid, 0 /* P_ALL */, 0, info, 5 /* WNOHANG | WEXITED */, 0) < 0 || !info[4]) return ended;
        int killed = info[2] != 1 /* CLD_EXITED */;
        see_taken();
        if (info[4] == running.spare) {
            running.spare = 0;
            /* Nobody knows where the next plan begins. */
            if (killed ? running.offer->state == READING : info[6]) leave(66);
        }
        for (uint32_t i = 0; i < running.count; i++) {
            if (running.all[i].pid != info[4]) continue;
            if (killed || info[6]) answer(running.all[i].id, REPORT_LOST, 0);
            running.all[i] = running.all[--running.count];
            ended = 1;
        }
    }
}

/* Returns when there is a plan to read. What a plan left behind as a child of the executor may end at any time. SIGCHLD is asked for by a
 * descriptor: ignoring it would be inherited, and take the exit status of its child from a plan that waits for one. */
static void await_plan(void)
{
    char bytes[128];
    while (running.all) {
        struct { int32_t fd; int16_t events, revents; } wait[] = {
            { running.spare ? -1 : IN, 1, 0 }, { (int32_t)running.signals, 1, 0 }, { (int32_t)running.taken, 1, 0 },
        };
        struct __kernel_timespec soon = { 0, 1000000 };
        long woken = SYS5(__NR_ppoll, wait, 3, running.spare_is_due ? &soon : 0, 0, 8);
        if (woken < 0) return;
        if (woken == 0) {
            running.spare_is_due = 0;
            make_spare();
        }
        if (wait[2].revents) {
            SYS3(__NR_read, running.taken, bytes, sizeof bytes);
            see_taken();
        }
        if (wait[1].revents) {
            SYS3(__NR_read, running.signals, bytes, sizeof bytes);
            running.spare_is_due |= reap();
        }
        if (wait[0].revents && !running.spare) return;
    }
}

static void begin_concurrency(void)
{
    uint64_t child = 1ul << (17 - 1);
    running.self = (int32_t)SYS0(__NR_getpid);
    running.all = memory(MAX_CONCURRENT * sizeof *running.all, MAP_PRIVATE);
    running.offer = memory(sizeof *running.offer, MAP_SHARED);
    running.signals = SYS4(__NR_signalfd4, -1, &child, 8, 02000000 /* SFD_CLOEXEC */);
    running.taken = SYS2(__NR_eventfd2, 0, 02000000 /* EFD_CLOEXEC */);
}

/* A plan that asks for it runs in a process of its own. */
static void run_concurrently(char *frame)
{
    uint32_t id = ((struct plan *)frame)->id;
    if (!running.all) begin_concurrency();
    if (running.signals < 0) { answer(id, REPORT_REFUSED, -running.signals); return; }
    if (running.count == MAX_CONCURRENT) { answer(id, REPORT_REFUSED, EAGAIN_); return; }
    struct clone_args args = { .exit_signal = 17 };
    long pid = SYS2(__NR_clone3, &args, sizeof args);
    if (pid < 0) { answer(id, REPORT_REFUSED, -pid); return; }
    if (pid > 0) { note((int32_t)pid, id); return; }
    SYS1(__NR_close, running.signals);
    SYS1(__NR_close, running.taken);
    run_plan(frame);
    leave(0);
}

#endif
