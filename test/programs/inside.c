/*
 * What a process sees of itself that neither /proc nor busybox shows; for test/kernel. Each word on the command line answers a line.
 *
 *     inside fds              its open descriptors
 *     inside scheduler        policy nice priority runtime deadline period flags
 *     inside ioprio           class level
 *     inside personality      in hexadecimal
 *     inside keyring          the description of its session keyring
 *     inside groups           its additional groups
 *     inside ids              real, effective and saved user
 *     inside setcap FILE PERMITTED INHERITABLE EFFECTIVE   gives a program capabilities of its own, as masks; the last is 0 or 1
 *     inside tty              session, controlling terminal, which of 0, 1, 2 are terminals, and what device that is
 *     inside push TEXT        pushes text back into the terminal, as if it had been typed
 *     inside chroot-escape    leaves a chroot in the classic way, and lists the root that it finds
 *     inside under-root       takes the root of its mount namespace off, and lists what is there then
 *     inside call NR ARG...   the result of a system call, or -errno; inside call32 the same by int 0x80
 *     inside socket FAMILY    the same for a socket of that family
 *     inside sleep            for a tenth of a second
 *     inside ready FIFO       opens FIFO for writing, then waits for a signal and says which it was, until SIGTERM
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static int show_fds(void) {
    for (int fd = 0; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("%d ", fd);
    return puts("") < 0;
}

struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static int show_scheduler(void) {
    struct sched_attributes a = {.size = sizeof a};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0)) return 1;
    return printf("%u %d %u %llu %llu %llu %llu\n", a.policy, a.nice, a.priority, (unsigned long long)a.runtime,
                  (unsigned long long)a.deadline, (unsigned long long)a.period, (unsigned long long)a.flags) < 0;
}

static int show_ioprio(void) {
    long value = syscall(SYS_ioprio_get, 1, 0);
    return printf("%ld %ld\n", value >> 13, value & 7) < 0;
}

static int show_keyring(void) {
    char text[256] = "";
    /* KEYCTL_DESCRIBE of KEY_SPEC_SESSION_KEYRING: type;uid;gid;permissions;description */
    if (syscall(SYS_keyctl, 6, -3, text, sizeof text) < 0) return printf("%d\n", -errno) < 0;
    return puts(text) < 0;
}

static int show_groups(void) {
    gid_t groups[256];
    int count = getgroups(256, groups);
    for (int i = 0; i < count; i++) printf("%u ", groups[i]);
    return puts("") < 0;
}

static int show_ids(void) {
    uid_t real, effective, saved;
    getresuid(&real, &effective, &saved);
    return printf("%u %u %u\n", real, effective, saved) < 0;
}

/* struct vfs_cap_data, kernel:include/uapi/linux/capability.h */
static int set_capabilities(char **words) {
    uint32_t permitted = strtoul(words[1], 0, 0), inheritable = strtoul(words[2], 0, 0), effective = strtoul(words[3], 0, 0);
    uint32_t data[5] = {0x02000000 | effective, permitted, inheritable, 0, 0};
    return setxattr(words[0], "security.capability", data, sizeof data, 0) ? perror(words[0]), 1 : 0;
}

static int show_tty(void) {
    int tty = open("/dev/tty", O_RDWR);
    printf("session %d, ", getsid(0));
    if (tty < 0) printf("no controlling terminal (%d)", errno);
    else printf("controlling terminal");
    for (int fd = 0; fd < 3; fd++) {
        struct stat at;
        fstat(fd, &at);
        if (isatty(fd)) printf(", %d is %u:%u of user %u", fd, major(at.st_rdev), minor(at.st_rdev), at.st_uid);
    }
    struct winsize size;
    if (ioctl(0, TIOCGWINSZ, &size) == 0) printf(", %u by %u", size.ws_col, size.ws_row);
    return puts("") < 0;
}

static int push(const char *text) {
    for (; *text; text++)
        if (ioctl(0, TIOCSTI, text)) return printf("%d\n", -errno) < 0;
    return puts("pushed") < 0;
}

static int escape(void) {
    int out = open("/", O_RDONLY | O_DIRECTORY);
    if (mkdir("/tmp/jail", 0755) && errno != EEXIST) return perror("mkdir"), 1;
    if (chroot("/tmp/jail")) return perror("chroot"), 1;
    if (fchdir(out)) return perror("fchdir"), 1;
    for (int i = 0; i < 64; i++)
        if (chdir("..")) return perror("chdir"), 1;
    if (chroot(".")) return perror("chroot"), 1;
    execl("/bin/ls", "ls", "/", (char *)0);
    return puts("no ls in that root") < 0;
}

static int look_under(void) {
    int own = open("/proc/self/ns/mnt", O_RDONLY);
    if (own < 0 || umount2("/", MNT_DETACH)) return perror("umount2"), 1;
    if (setns(own, CLONE_NEWNS)) return perror("setns"), 1;
    DIR *root = opendir("/");
    for (struct dirent *entry; root && (entry = readdir(root));) printf("%s ", entry->d_name);
    return puts("") < 0;
}

static long number(const char *word) { return (long)strtoull(word, 0, 0); }

static int show_call(char **words, int count, int in32bit) {
    long a[7] = {0};
    for (int i = 0; i < count && i < 7; i++) a[i] = number(words[i]);
    long result;
#ifdef __x86_64__
    if (in32bit) {
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3]), "S"(a[4]), "D"(a[5])
                         : "memory", "r8", "r9", "r10", "r11");
        return printf("%d\n", (int)result) < 0;
    }
#else
    (void)in32bit;
#endif
    result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    return printf("%ld\n", result < 0 ? -errno : result) < 0;
}

static int show_socket(const char *family) {
    int fd = socket(atoi(family), SOCK_DGRAM, 0);
    if (fd < 0 && errno == ESOCKTNOSUPPORT) fd = socket(atoi(family), SOCK_STREAM, 0);
    return printf("%d\n", fd < 0 ? -errno : 0) < 0;
}

static int ready(const char *path) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    close(open(path, O_WRONLY));
    for (;;) {
        int signal;
        sigwait(&all, &signal);
        printf("%d\n", signal);
        fflush(stdout);
        if (signal == SIGTERM) return 0;
    }
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "sleep")) return usleep(100000);
    if (!strcmp(what, "fds")) return show_fds();
    if (!strcmp(what, "scheduler")) return show_scheduler();
    if (!strcmp(what, "ioprio")) return show_ioprio();
    if (!strcmp(what, "personality")) return printf("%x\n", personality(0xffffffff)) < 0;
    if (!strcmp(what, "keyring")) return show_keyring();
    if (!strcmp(what, "groups")) return show_groups();
    if (!strcmp(what, "ids")) return show_ids();
    if (!strcmp(what, "setcap") && count > 5) return set_capabilities(words + 2);
    if (!strcmp(what, "tty")) return show_tty();
    if (!strcmp(what, "push") && count > 2) return push(words[2]);
    if (!strcmp(what, "under-root")) return look_under();
    if (!strcmp(what, "chroot-escape")) return escape();
    if (!strcmp(what, "call")) return show_call(words + 2, count - 2, 0);
    if (!strcmp(what, "call32")) return show_call(words + 2, count - 2, 1);
    if (!strcmp(what, "socket") && count > 2) return show_socket(words[2]);
    if (!strcmp(what, "ready") && count > 2) return ready(words[2]);
    return 2;
}
