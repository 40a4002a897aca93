// Starts the executor. Its ELF file and those of the monitor, the reaper, the resolver and the relay are part of this program.

#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Kernel 6.3; musl 1.2.3 does not know them. memfd_create(2)
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

enum { EXEC_FAILED = 127 };

__asm__(".pushsection .rodata.executor, \"a\"\n"
        ".globl executor_start, executor_end\n"
        "executor_start: .incbin \"" EXECUTOR "\"\n"
        "executor_end:\n"
        ".globl monitor_start, monitor_end\n"
        "monitor_start: .incbin \"" MONITOR "\"\n"
        "monitor_end:\n"
        ".globl reaper_start, reaper_end\n"
        "reaper_start: .incbin \"" REAPER "\"\n"
        "reaper_end:\n"
        ".globl resolver_start, resolver_end\n"
        "resolver_start: .incbin \"" RESOLVER "\"\n"
        "resolver_end:\n"
        ".globl relay_start, relay_end\n"
        "relay_start: .incbin \"" RELAY "\"\n"
        "relay_end:\n"
        ".popsection");

// An anonymous file with the executor's bytes that nobody can change; -errno if there is none. A container that finds
// its way to /proc/PID/exe must not find what the host runs next time (CVE-2019-5736).
__attribute__((noinline)) static int sealed_executor(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    int fd = memfd_create("coffer", flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("coffer", flags);
    if (fd < 0)
        return -errno;
    size_t length = (size_t)(executor_end - executor_start), done = 0;
    while (done < length) {
        ssize_t wrote = write(fd, executor_start + done, length - done);
        if (wrote < 0)
            goto failed;
        done += (size_t)wrote;
    }
    if (fcntl(fd, F_ADD_SEALS, seals | F_SEAL_EXEC) < 0 && (errno != EINVAL || fcntl(fd, F_ADD_SEALS, seals) < 0))
        goto failed;
    return fd;
failed:;
    int error = errno;
    close(fd);
    return -error;
}

// fcntl(2) itself: that of musl makes a second call, for kernels before F_DUPFD_CLOEXEC.
static int duplicate_above(int fd, int lowest) { return (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest); }

// In the child, which has its own table of descriptors. Sources may be targets of others, so all of them step out of
// the way first.
__attribute__((noinline)) static void become_executor(int image, const int *fds, int count)
{
    int moved[MAX_FDS];
    char *const argv[] = {(char *)"coffer", NULL}, *const envp[] = {NULL};
    if (image < count && (image = duplicate_above(image, count)) < 0)
        return;
    for (int i = 0; i < count; i++)
        if ((moved[i] = duplicate_above(fds[i], count)) < 0)
            return;
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], i) < 0)
            return;
    // Not closed but marked, as the image is one of them. close_range(2), Linux 5.11
    if (syscall(SYS_close_range, (unsigned)count, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return;
    syscall(SYS_execveat, image, "", argv, envp, AT_EMPTY_PATH);
}

int spawn_executor(const int *fds, int count)
{
    int image = sealed_executor();
    if (image < 0)
        return image;
    // The child runs in our memory until it executes or ends, so it can leave its errno here. vfork(2) warns of
    // variables that both change: there are no others, as the functions around are not inlined.
    volatile int error = 0;
    int pid = vfork();
    if (pid == 0) {
        become_executor(image, fds, count);
        error = errno;
        _exit(EXEC_FAILED);
    }
    if (pid < 0)
        error = errno;
    close(image);
    if (error == 0)
        return pid;
    if (pid > 0)
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    return -error;
}
