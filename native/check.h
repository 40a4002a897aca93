/* The monitor's part of health checks: now and then it starts a program that tells whether the container is well, and that prints in how many
 * milliseconds it wants to be started again. What a check is, and what follows from it, that program knows: src/engine/health.ts. */
#ifndef COFFER_CHECK_H
#define COFFER_CHECK_H

enum { SIGKILL_ = 9, SIGCHLD_ = 17, PR_SET_PDEATHSIG_ = 1 };

static struct {
    uint64_t every, at;     /* milliseconds: between two checks, 0 for none at all; when the next one is due, of the monotonic clock */
    int said;               /* a pipe with what the program prints; -1 while none runs */
    long pid;
    char digits[24];
    uint32_t count;
} check = { .said = -1 };

static uint64_t clock_ms(void)
{
    struct __kernel_timespec t;
    SYS2(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void check_again_in(uint64_t ms)
{
    check.every = ms;
    check.at = clock_ms() + ms;
}

/* For how long to wait at most, in milliseconds; below 0 for ever. */
static int until_check(void)
{
    uint64_t now = clock_ms();
    if (!check.every || check.said >= 0) return -1;
    if (now >= check.at) return 0;
    return check.at - now > 3600000 ? 3600000 : (int)(check.at - now);
}

static void begin_check(char **argv)
{
    int ends[2];
    uint64_t none = 0;
    const char *environment[] = { 0 };
    check_again_in(check.every);
    if (SYS2(__NR_pipe2, ends, O_CLOEXEC) < 0) return;
    check.pid = SYS5(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
    if (check.pid == 0) {
        SYS2(__NR_prctl, PR_SET_PDEATHSIG_, SIGKILL_);
        SYS3(__NR_dup3, ends[1], 1, 0);
        SYS4(__NR_rt_sigprocmask, 2, &none, 0, 8);
        SYS3(__NR_execve, argv[0], argv, environment);
        SYS1(__NR_exit_group, 127);
    }
    SYS1(__NR_close, ends[1]);
    if (check.pid < 0) { SYS1(__NR_close, ends[0]); return; }
    check.said = ends[0];
    check.count = 0;
}

/* A program that was killed has said nothing, and is started again as it was this time. */
static void end_check(int now)
{
    uint64_t ms = 0;
    if (check.said < 0) return;
    if (now) SYS2(__NR_kill, check.pid, SIGKILL_);
    SYS1(__NR_close, check.said);
    check.said = -1;
    SYS5(__NR_waitid, P_PID, check.pid, 0, WEXITED, 0);
    for (uint32_t i = 0; i < check.count && check.digits[i] >= '0' && check.digits[i] <= '9'; i++) ms = ms * 10 + (uint64_t)(check.digits[i] - '0');
    check_again_in(ms ? ms : check.every);
}

static void hear_check(void)
{
    long n = SYS3(__NR_read, check.said, check.digits + check.count, sizeof check.digits - check.count);
    if (n < 0) return;
    check.count += (uint32_t)n;
    if (n == 0 || check.count == sizeof check.digits) end_check(0);
}
#endif
