/* The init of `coffer run --init`: the first process of a container, with the program as its child. The first process gets the orphans of
 * all others, and hears only signals that it handles: pid_namespaces(7). Programs that are not made for that have this one above them, which
 * reaps every child, passes signals on to the program, and ends as that did.
 *
 * Arguments: `--`, then the program and its own; a name without a slash is looked for in PATH. 127 if there is no such program, 126 if it
 * cannot be executed. */
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/wait.h>
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include "sys.h"

enum { ENOENT_ = 2, ENOTDIR_ = 20, SIG_SETMASK_ = 2, PATH_BYTES = 4096 };

static const char *path_of(char **environment)
{
    const char *found = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (; *environment; environment++) {
        const char *entry = *environment, *name = "PATH=";
        while (*name && *entry == *name) entry++, name++;
        if (!*name) found = entry;
    }
    return found;
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

/* Comes back with the errno if the program cannot be executed: that of the first place which has it. */
static long execute(char **argv, char **environment)
{
    const char *name = argv[0], *directory = path_of(environment);
    size_t bytes = length_of(name), slashes = 0;
    for (size_t i = 0; i < bytes; i++) slashes += name[i] == '/';
    if (slashes) return -SYS3(__NR_execve, name, argv, environment);
    long error = ENOENT_;
    for (;;) {
        char path[PATH_BYTES];
        size_t at = 0;
        while (directory[at] && directory[at] != ':') at++;
        if (at && directory[0] == '/' && at + 1 + bytes < sizeof path) {
            memcpy(path, directory, at);
            path[at] = '/';
            memcpy(path + at + 1, name, bytes + 1);
            long result = -SYS3(__NR_execve, path, argv, environment);
            if (result != ENOENT_ && result != ENOTDIR_ && error == ENOENT_) error = result;
        }
        if (!directory[at]) return error;
        directory += at + 1;
    }
}

static void complain(const char *name)
{
    const char *text = "coffer init: cannot execute ";
    SYS3(__NR_write, 2, text, length_of(text));
    SYS3(__NR_write, 2, name, length_of(name));
    SYS3(__NR_write, 2, "\n", 1);
}

__attribute__((used)) void entry(long *stack)
{
    char **argv = (char **)(stack + 1), **environment = argv + stack[0] + 1;
    uint64_t all = ~0ull, before;
    if (stack[0] < 3) SYS1(__NR_exit_group, 64);
    /* Signals are taken one by one below, so that none comes between. */
    SYS4(__NR_rt_sigprocmask, SIG_SETMASK_, &all, &before, 8);
    long child = SYS5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0) SYS1(__NR_exit_group, 126);
    if (child == 0) {
        /* The keys of a terminal are for the program. A caller in the background may do this while SIGTTOU is blocked: tcsetpgrp(3). */
        SYS2(__NR_setpgid, 0, 0);
        int own = (int)SYS0(__NR_getpid);
        SYS3(__NR_ioctl, 0, TIOCSPGRP, &own);
        SYS4(__NR_rt_sigprocmask, SIG_SETMASK_, &before, 0, 8);
        long error = execute(argv + 2, environment);
        complain(argv[2]);
        SYS1(__NR_exit_group, error == ENOENT_ ? 127 : 126);
    }
    for (;;) {
        long signal = SYS4(__NR_rt_sigtimedwait, &all, 0, 0, 8);
        if (signal > 0 && signal != SIGCHLD) SYS2(__NR_kill, child, signal);
        if (signal != SIGCHLD) continue;
        for (;;) {
            int status = 0;
            long ended = SYS4(__NR_wait4, -1, &status, WNOHANG, 0);
            if (ended <= 0) break;
            if (ended == child) SYS1(__NR_exit_group, status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff);
        }
    }
}
