/*
 * What the kernel does with calls behind a filter; for test/seccomp-kernel.test.ts.
 *
 *     seccomp-probe FILTER FLAGS
 *
 * Each line on stdin, `native NR ARG...` or `x86 NR ARG...` (all six arguments, hexadecimal), is a call that a child of its own makes
 * after it has loaded the filter. The answer is a line: `result NUMBER` (-errno for a failure), `signal NUMBER`, or `refused ERRNO`, if
 * the kernel does not take the filter.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sock_filter filter[8192];

/* A child may be unable to exit, or to write, so it leaves its answer in memory. */
struct answer {
    volatile int done, refused;
    volatile long result;
};

struct call {
    int x86;
    uint64_t number, args[6];
};

static long raw(const struct call *call) {
    const uint64_t *a = call->args;
#ifdef __x86_64__
    long result;
    if (call->x86) {
        __asm__ volatile("int $0x80"
                         : "=a"(result)
                         : "a"(call->number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                         : "memory", "r8", "r9", "r10", "r11");
        return (int)result;
    }
    register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(call->number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#else
    long result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result < 0 ? -errno : result;
#endif
}

static void child(struct answer *answer, const struct sock_fprog *program, unsigned int flags, const struct call *call) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program) < 0) {
        answer->refused = errno;
    } else {
        answer->result = raw(call);
    }
    answer->done = 1;
    for (;;) syscall(SYS_exit_group, 0);
}

static void probe(struct answer *answer, const struct sock_fprog *program, unsigned int flags, const struct call *call) {
    memset((void *)answer, 0, sizeof *answer);
    pid_t pid = fork();
    if (pid < 0) exit(3);
    if (pid == 0) child(answer, program, flags, call);
    int status = 0;
    const struct timespec moment = {.tv_nsec = 200000};
    for (int waited = 0; waitpid(pid, &status, WNOHANG) == 0;) {
        if (answer->done || ++waited == 10000) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        nanosleep(&moment, NULL);
    }
    if (answer->refused) printf("refused %d\n", answer->refused);
    else if (answer->done) printf("result %ld\n", answer->result);
    else printf("signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    FILE *file = fopen(argv[1], "rb");
    if (!file) return 2;
    const struct sock_fprog program = {.len = fread(filter, sizeof filter[0], 8192, file), .filter = filter};
    fclose(file);
    struct answer *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED) return 2;
    char kind[8];
    struct call call;
    while (scanf("%7s %" SCNx64, kind, &call.number) == 2) {
        call.x86 = strcmp(kind, "x86") == 0;
        for (int i = 0; i < 6; i++)
            if (scanf("%" SCNx64, &call.args[i]) != 1) return 2;
        fflush(stdout);
        probe(answer, &program, (unsigned int)strtoul(argv[2], NULL, 0), &call);
    }
    return 0;
}
