/* The supervisor of a seccomp filter: tells its caller which calls of a container are denied. docs/decisions/0020
 *
 * It decides nothing. A call that the filter refuses is answered with EPERM, whatever its arguments are. A call on a file that the filter lets
 * pass is always let pass, and the kernel judges it; what is read here of the memory of the process, and looked up for it, only says what to
 * report. So a process that changes its memory meanwhile misleads nobody but whoever reads of it. seccomp_unotify(2)
 *
 * It has the root directory, the ids and the groups of the container, so that access(2) answers for it as for the container, and one
 * capability, CAP_SYS_PTRACE, to read paths. A lookup may hang, as in a file system whose server is gone, so two processes take turns.
 *
 * Arguments: descriptors LISTENER FIFO PROC, then the numbers of the calls that go on. FIFO gets a struct record for each denial; while it is
 * full they are counted. When the last process under the filter is gone, or a process of the supervisor is, all of it ends: without a
 * listener the kernel refuses these calls with ENOSYS. */
#include <linux/audit.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/time.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <asm/ioctl.h>
#include <asm/poll.h>
#include <asm/unistd.h>
#include "sys.h"
#include "digits.h"

enum { EPERM_ = 1, ENOENT_ = 2, EACCES_ = 13, EROFS_ = 30 };
enum { READS = 4, WRITES = 2, EXECUTES = 1, EXISTS = 0 };
enum { PATH_BYTES = 4096, TOLD_BYTES = 1024, WORKERS = 2, MAX_CALLS = 64, LAST_WORDS_MS = 2000 };
#ifndef AT_EACCESS
enum { AT_EACCESS = 0x200 };
#endif

#if defined(__x86_64__)
enum { OWN_ARCH = (int)AUDIT_ARCH_X86_64 };
#else
enum { OWN_ARCH = (int)AUDIT_ARCH_AARCH64 };
#endif

/* src/sandbox/denial.ts reads it. It fits into PIPE_BUF, so that those of several writers do not mix. */
enum { DROPPED_ONLY, SYSTEM_CALL, FILE_CALL };
struct record {
    uint32_t bytes, what, arch;
    int32_t number, error;
    uint32_t pid;
    uint64_t nanos, dropped; /* dropped: since the last record that says so */
    char command[16], path[TOLD_BYTES];
};
enum { HEAD_BYTES = 56 };
_Static_assert(__builtin_offsetof(struct record, path) == HEAD_BYTES, "src/sandbox/denial.ts reads this size");

static int listener, fifo, proc, call_count, calls[MAX_CALLS];
static uint64_t *dropped; /* shared by all processes */

/* Which arguments a call on a file has: a directory (or CWD), a path and flags, and what it does to it. One with two paths is here twice. */
enum how { OPENS, OPENS_BY_STRUCT, MAKES_FILE, TRUNCATES, RUNS, RUNS_AT, MAKES, TAKES, PUTS };
enum { CWD = -1 };
struct shape { int number; signed char dir, path, flags; enum how how; };
static const struct shape shapes[] = {
#ifdef __NR_open
    { __NR_open, CWD, 0, 1, OPENS }, { __NR_creat, CWD, 0, 0, MAKES_FILE },
    { __NR_mkdir, CWD, 0, 0, MAKES }, { __NR_mknod, CWD, 0, 0, MAKES }, { __NR_symlink, CWD, 1, 0, MAKES }, { __NR_link, CWD, 1, 0, MAKES },
    { __NR_unlink, CWD, 0, 0, TAKES }, { __NR_rmdir, CWD, 0, 0, TAKES }, { __NR_rename, CWD, 0, 0, TAKES },
    { __NR_rename, CWD, 1, 0, PUTS },
#endif
#ifdef __NR_renameat
    { __NR_renameat, 0, 1, 0, TAKES }, { __NR_renameat, 2, 3, 0, PUTS },
#endif
    { __NR_openat, 0, 1, 2, OPENS }, { __NR_openat2, 0, 1, 2, OPENS_BY_STRUCT }, { __NR_truncate, CWD, 0, 0, TRUNCATES },
    { __NR_execve, CWD, 0, 0, RUNS }, { __NR_execveat, 0, 1, 4, RUNS_AT },
    { __NR_mkdirat, 0, 1, 0, MAKES }, { __NR_mknodat, 0, 1, 0, MAKES }, { __NR_symlinkat, 1, 2, 0, MAKES }, { __NR_linkat, 2, 3, 0, MAKES },
    { __NR_unlinkat, 0, 1, 0, TAKES }, { __NR_renameat2, 0, 1, 0, TAKES }, { __NR_renameat2, 2, 3, 0, PUTS },
};

static void leave(int status)
{
    for (;;) SYS1(__NR_exit_group, status);
}

static int number(const char *text)
{
    int value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return value;
}

static char *put_text(char *at, const char *text)
{
    while (*text) *at++ = *text++;
    return at;
}

static uint64_t now(void)
{
    struct __kernel_timespec t;
    SYS2(__NR_clock_gettime, CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What it cannot say now it says with the next record. */
static void send(struct record *record)
{
    record->dropped = __atomic_exchange_n(dropped, 0, __ATOMIC_RELAXED);
    if (SYS3(__NR_write, fifo, record, record->bytes) == (long)record->bytes) return;
    __atomic_fetch_add(dropped, record->dropped + (record->what != DROPPED_ONLY), __ATOMIC_RELAXED);
}

/* The name of a file of a process in /proc. */
static void name_of(char *into, uint32_t pid, const char *file, int fd)
{
    char *at = put_text(put_number(into, pid), file);
    if (fd >= 0) at = put_number(at, (uint64_t)fd);
    *at = 0;
}

static int read_memory(uint32_t pid, uint64_t from, void *into, size_t bytes)
{
    struct iovec local = { into, bytes }, remote = { (void *)from, bytes };
    return SYS6(__NR_process_vm_readv, pid, &local, 1, &remote, 1, 0) == (long)bytes;
}

/* Answers the length of a text that ends within PATH_BYTES, or -1. A page at a time, as what lies behind the text may not be there. */
static int read_path(uint32_t pid, uint64_t from, char *path)
{
    int length = 0;
    while (length < PATH_BYTES) {
        int part = PATH_BYTES - (int)((from + (uint64_t)length) % PATH_BYTES);
        if (part > PATH_BYTES - length) part = PATH_BYTES - length;
        if (!read_memory(pid, from + (uint64_t)length, path + length, (size_t)part)) return -1;
        for (int end = length + part; length < end; length++)
            if (!path[length]) return length;
    }
    return -1;
}

static long may(int base, const char *path, int mode, int flags) { return SYS4(__NR_faccessat2, base, path, mode, flags | AT_EACCESS); }

static int is_denial(long result) { return result == -EPERM_ || result == -EACCES_ || result == -EROFS_; }

/* The directory of the last name of a path, which is changed for it. */
static long may_change_parent(int base, const char *path, int length)
{
    char parent[PATH_BYTES];
    memcpy(parent, path, (size_t)length + 1);
    while (length > 1 && parent[length - 1] == '/') length--;
    while (length > 0 && parent[length - 1] != '/') length--;
    while (length > 1 && parent[length - 1] == '/') length--;
    if (length == 0) parent[length++] = '.';
    parent[length] = 0;
    return may(base, parent, WRITES | EXECUTES, 0);
}

static long judge_open(int base, const char *path, int length, uint64_t flags)
{
    int mode = flags & O_PATH ? EXISTS : (flags & O_ACCMODE) == O_WRONLY ? WRITES : (flags & O_ACCMODE) == O_RDWR ? READS | WRITES : READS;
    if (flags & O_TRUNC && !(flags & O_PATH)) mode |= WRITES;
    int may_make = flags & O_CREAT && !(flags & O_PATH), nofollow = flags & (O_NOFOLLOW | O_EXCL) ? AT_SYMLINK_NOFOLLOW : 0;
    if (may_make && flags & O_EXCL && may(base, path, EXISTS, nofollow) == 0) return 0;
    long result = may(base, path, mode, nofollow);
    return result == -ENOENT_ && may_make ? may_change_parent(base, path, length) : result;
}

/* What the kernel will most likely answer: an errno that means a denial, or something else. In its order, where that tells one from another. */
static long judge(const struct shape *shape, int base, const char *path, int length, uint64_t flags)
{
    long result;
    switch (shape->how) {
    case OPENS: case OPENS_BY_STRUCT: return judge_open(base, path, length, flags);
    case MAKES_FILE: return judge_open(base, path, length, O_WRONLY | O_CREAT | O_TRUNC);
    case TRUNCATES: return may(base, path, WRITES, 0);
    case RUNS: return may(base, path, EXECUTES, 0);
    case RUNS_AT: return may(base, path, EXECUTES, flags & AT_SYMLINK_NOFOLLOW);
    case MAKES: /* filename_create: one that is there comes before a file system that is read-only */
        return may(base, path, EXISTS, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : may_change_parent(base, path, length);
    case TAKES: /* do_unlinkat: and here behind it, but before permissions */
        result = may_change_parent(base, path, length);
        return result == -EROFS_ || may(base, path, EXISTS, AT_SYMLINK_NOFOLLOW) == 0 ? result : 0;
    case PUTS: return may_change_parent(base, path, length);
    }
    return 0;
}

/* As the container would say it: below its root, from the root on. */
static void tell_path(struct record *record, const char *base, const char *path)
{
    char *at = record->path, *end = record->path + TOLD_BYTES;
    if (*path != '/') {
        long n = SYS4(__NR_readlinkat, proc, base, at, TOLD_BYTES / 2);
        if (n > 0) at += n;
        if (at > record->path && at[-1] != '/') *at++ = '/';
    }
    while (*path && at < end) *at++ = *path++;
    record->bytes = (uint32_t)(HEAD_BYTES + (at - record->path));
    /* The reader finds the next record by this size, and its 8 bytes at a multiple of them. */
    while (record->bytes % 8) ((char *)record)[record->bytes++] = 0;
}

static int goes_on(const struct seccomp_data *data)
{
    if ((int)data->arch != OWN_ARCH) return 0;
    for (int i = 0; i < call_count; i++)
        if (calls[i] == data->nr) return 1;
    return 0;
}

/* Answers whether the process that asked is still there, and so whether what was read of it was its own. */
static int is_valid(uint64_t id) { return SYS3(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

/* What is about a file is told if it will be denied. */
static void look_at(const struct seccomp_notif *notif, const struct shape *shape, struct record *record)
{
    char path[PATH_BYTES], base_name[64];
    struct open_how how = { 0 };
    const uint64_t *args = (const uint64_t *)notif->data.args;
    uint64_t flags = args[(int)shape->flags];
    int dir = shape->dir == CWD ? AT_FDCWD : (int)args[(int)shape->dir];
    int length = read_path(notif->pid, args[(int)shape->path], path);
    if (length <= 0) return;
    if (shape->how == OPENS_BY_STRUCT) {
        if (!read_memory(notif->pid, flags, &how, sizeof how)) return;
        flags = how.flags;
    }
    name_of(base_name, notif->pid, dir == AT_FDCWD ? "/cwd" : "/fd/", dir == AT_FDCWD ? -1 : dir);
    int base = *path == '/' ? AT_FDCWD : (int)SYS4(__NR_openat, proc, base_name, O_PATH | O_CLOEXEC, 0);
    if (base < 0 && base != AT_FDCWD) return;
    if (is_valid(notif->id)) {
        long result = judge(shape, base, path, length, flags);
        if (is_denial(result)) {
            record->error = (int32_t)-result;
            tell_path(record, base_name, path);
        }
    }
    if (base >= 0) SYS1(__NR_close, base);
}

static void read_command(uint32_t pid, char *command)
{
    char name[64];
    name_of(name, pid, "/comm", -1);
    long fd = SYS4(__NR_openat, proc, name, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    long n = SYS3(__NR_read, fd, command, 15);
    if (n > 0 && command[n - 1] == '\n') command[n - 1] = 0;
    SYS1(__NR_close, fd);
}

/* It is told before it is answered, so that whoever sees a process end has heard of what it was denied. */
static void answer(const struct seccomp_notif *notif)
{
    struct record record = { .bytes = HEAD_BYTES, .arch = notif->data.arch, .number = notif->data.nr, .pid = notif->pid };
    struct seccomp_notif_resp response = { .id = notif->id };
    if (goes_on(&notif->data)) {
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        record.what = FILE_CALL;
        for (unsigned i = 0; i < sizeof shapes / sizeof *shapes && !record.error; i++)
            if (shapes[i].number == notif->data.nr) look_at(notif, &shapes[i], &record);
    } else {
        response.error = -EPERM_;
        record.what = SYSTEM_CALL;
        record.error = EPERM_;
    }
    if (record.error) {
        record.nanos = now();
        read_command(notif->pid, record.command);
        if (!is_valid(notif->id)) memset(record.command, 0, sizeof record.command);
        send(&record);
    }
    SYS3(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static int is_over(void)
{
    struct { int fd; short events, revents; } one = { listener, 0, 0 };
    struct __kernel_timespec at_once = { 0, 0 };
    return SYS5(__NR_ppoll, &one, 1, &at_once, 0, 8) != 0;
}

static void work(void)
{
    /* Larger than the structure of any kernel by now; start() has compared. */
    union { struct seccomp_notif notif; char room[256]; } in;
    for (;;) {
        memset(&in, 0, sizeof in);
        long result = SYS3(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &in);
        if (result == 0) answer(&in.notif);
        /* The process may have been killed meanwhile. */
        else if (result != -ENOENT_ || is_over()) leave(result != -ENOENT_);
    }
}

static int start_worker(int *pidfd)
{
    struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)pidfd };
    long parent = SYS0(__NR_getpid), pid = SYS2(__NR_clone3, &args, sizeof args);
    if (pid) return pid > 0;
    SYS5(__NR_prctl, PR_SET_PDEATHSIG, 9, 0, 0, 0);
    if (SYS0(__NR_getppid) != parent) leave(1);
    work();
    return 0;
}

static void say_what_was_dropped(void)
{
    struct { int fd; short events, revents; } one = { fifo, POLLOUT, 0 };
    struct __kernel_timespec time = { LAST_WORDS_MS / 1000, 0 };
    struct record record = { .bytes = HEAD_BYTES };
    if (!__atomic_load_n(dropped, __ATOMIC_RELAXED)) return;
    SYS5(__NR_ppoll, &one, 1, &time, 0, 8);
    send(&record);
}

__attribute__((used)) void entry(long *stack)
{
    char **argv = (char **)(stack + 1);
    enum { LISTENER = 1, FIFO, PROC, CALLS };
    struct seccomp_notif_sizes sizes;
    struct { int fd; short events, revents; } ends[1 + WORKERS];
    SYS5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (stack[0] < CALLS || stack[0] - CALLS > MAX_CALLS) leave(64);
    listener = number(argv[LISTENER]);
    fifo = number(argv[FIFO]);
    proc = number(argv[PROC]);
    for (int i = CALLS; i < stack[0]; i++) calls[call_count++] = number(argv[i]);
    if (SYS3(__NR_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0 || sizes.seccomp_notif > 256) leave(65);
    long page = SYS6(__NR_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    if (page < 0 && page > -4096) leave(71);
    dropped = (uint64_t *)page;
    ends[0].fd = listener;
    ends[0].events = 0;
    for (int i = 1; i <= WORKERS; i++) {
        ends[i].events = POLLIN;
        if (!start_worker(&ends[i].fd)) leave(72);
    }
    SYS5(__NR_ppoll, ends, 1 + WORKERS, 0, 0, 8);
    for (int i = 1; i <= WORKERS; i++) SYS4(__NR_pidfd_send_signal, ends[i].fd, 9, 0, 0);
    SYS1(__NR_close, listener);
    say_what_was_dropped();
    for (int i = 1; i <= WORKERS; i++) SYS5(__NR_waitid, P_PIDFD, ends[i].fd, 0, WEXITED | __WALL, 0);
    leave(0);
}
