/* The monitor: what stays beside a container in the background. It is the parent of the container's first process, and owns the other ends
 * of its standard descriptors: it keeps what the container prints, serves who attaches, and writes down how the container ended. Then it
 * becomes the program that cleans up, with the descriptors of who is still attached, so that these see the end when all is done.
 *
 * Arguments: id, descriptors INIT STDIN STDOUT STDERR CONSOLE LOG ATTACH DIRECTORY (a dash for none), the greatest size of the log and how
 * many files of it are kept (0: no limit, one), in how many milliseconds it is checked whether the container is well (0: never) and the word
 * that the program for it gets instead of its first, then the program that cleans up, with its arguments, or a dash.
 *
 *   STDIN STDOUT STDERR   the container's pipes, or
 *   CONSOLE               a socket over which the master of its terminal comes
 *   LOG                   open for appending; records of struct record: output.h
 *   ATTACH                a listening unix socket; src/container/attach-pieces.ts. Or one that is connected: its client is the only one, and gets
 *                         all of the output, however long it takes
 *   DIRECTORY             of the container; `exit` is written there */
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/socket.h>
#include <linux/time.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/termios.h>
#include <asm/unistd.h>
#include "sys.h"
#include "check.h"
#include "digits.h"
#include "output.h"

enum { EINVAL_ = 22, INPUT_BYTES = 16384, NANOS_IN_MS = 1000000 };
enum { INPUT = 0, SIZE = 1, END_OF_INPUT = 2, NO_OUTPUT = 3 };    /* from clients */
enum { SCM_RIGHTS_ = 1, SOL_SOCKET_ = 1, SIGPIPE_ = 13, SO_SNDBUFFORCE_ = 32 };
enum { POLLIN_ = 1, POLLOUT_ = 4, POLLERR_ = 8, POLLHUP_ = 16 };

struct pollfd_ { int fd; short events, revents; };

static int init, input, console, attach;
static uint64_t last_words = 10000ull * NANOS_IN_MS;

static char in[INPUT_BYTES];
static uint32_t in_from, in_to;

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

static int descriptor(const char *text) { return *text == '-' ? -1 : (int)number(text); }

static void set_nonblocking(int fd)
{
    if (fd >= 0) SYS3(__NR_fcntl, fd, 4, SYS3(__NR_fcntl, fd, 3, 0) | O_NONBLOCK);
}

static void give_input(void)
{
    while (input >= 0 && in_from < in_to) {
        long n = SYS3(__NR_write, input, in + in_from, in_to - in_from);
        if (n == -EINTR_) continue;
        if (n == -EAGAIN_) return;
        if (n <= 0) { /* the container reads no more */
            if (!is_terminal) close_fd(&input);
            break;
        }
        in_from += (uint32_t)n;
    }
    in_from = in_to = 0;
}

static void resize(const uint8_t *size)
{
    struct winsize w = { (unsigned short)(size[0] | size[1] << 8), (unsigned short)(size[2] | size[3] << 8), 0, 0 };
    if (console >= 0) SYS3(__NR_ioctl, console, TIOCSWINSZ, &w);
}

/* Answers 0 if the client is gone. At most one piece of input waits for the container. */
static int hear(struct client *c)
{
    if (c->head_bytes < sizeof c->head) {
        long n = SYS3(__NR_read, c->fd, c->head + c->head_bytes, sizeof c->head - c->head_bytes);
        if (n == -EAGAIN_ || n == -EINTR_) return 1;
        if (n <= 0) return 0;
        c->head_bytes += (uint32_t)n;
        if (c->head_bytes < sizeof c->head) return 1;
        c->left = (uint32_t)c->head[4] << 24 | (uint32_t)c->head[5] << 16 | (uint32_t)c->head[6] << 8 | c->head[7];
        c->size_bytes = 0;
        if (c->head[0] == END_OF_INPUT && !is_terminal) close_fd(&input);
        if (c->head[0] == NO_OUTPUT) {
            c->wants_output = 0;
            if (c->sent == 0) c->sent = out_bytes; /* a piece that has begun comes whole */
        }
        if (c->head[0] > NO_OUTPUT || (c->head[0] == SIZE && c->left != sizeof c->size)) return 0;
    } else {
        int is_size = c->head[0] == SIZE;
        uint32_t room = is_size ? sizeof c->size - c->size_bytes : INPUT_BYTES - in_to;
        long n = SYS3(__NR_read, c->fd, is_size ? (char *)c->size + c->size_bytes : in + in_to, c->left < room ? c->left : room);
        if (n == -EAGAIN_ || n == -EINTR_) return 1;
        if (n <= 0) return 0;
        c->left -= (uint32_t)n;
        if (is_size && (c->size_bytes += (uint32_t)n) == sizeof c->size) resize(c->size);
        if (!is_size) { in_to += (uint32_t)n; give_input(); }
    }
    if (c->left == 0) c->head_bytes = 0;
    return 1;
}

static void welcome(void)
{
    for (;;) {
        long fd = SYS4(__NR_accept4, attach, 0, 0, O_NONBLOCK | O_CLOEXEC);
        if (fd == -EINVAL_) { /* it does not listen: it is the client */
            fd = attach;
            attach = -1;
            last_words = ~0ull;
        }
        if (fd < 0) return;
        /* As much as a piece on its way; what is refused without privilege only costs turns. */
        int room = 4 * OUTPUT_BYTES;
        SYS5(__NR_setsockopt, fd, SOL_SOCKET_, SO_SNDBUFFORCE_, &room, sizeof room);
        if (client_count == MAX_CLIENTS) { SYS1(__NR_close, fd); continue; }
        clients[client_count++] = (struct client){ .fd = (int)fd, .sent = out_bytes, .wants_output = 1 };
    }
}

static void receive_console(void)
{
    char byte[64];
    struct { uint64_t length; int level, type, fd, unused; } control;
    struct iovec_ part = { byte, sizeof byte };
    struct { void *name; uint64_t name_bytes; struct iovec_ *parts; uint64_t count; void *control; uint64_t control_bytes; int64_t flags; }
        message = { 0, 0, &part, 1, &control, sizeof control, 0 };
    long n = SYS3(__NR_recvmsg, console, &message, 0x40000000 /* MSG_CMSG_CLOEXEC */);
    close_fd(&console);
    if (n < 0 || message.control_bytes < 20 || control.level != SOL_SOCKET_ || control.type != SCM_RIGHTS_) return;
    console = input = outputs[0] = control.fd;
}

/* One turn: answers 1 once init has ended. `wait` is in milliseconds, or below 0 for ever. */
static int turn(int wait)
{
    enum { INIT, LISTEN, OUT0, OUT1, STDIN, CHECK, FIRST_CLIENT };
    struct pollfd_ fds[FIRST_CLIENT + MAX_CLIENTS];
    int may_read = out_bytes == 0, may_take = in_to == in_from, count = client_count;
    fds[INIT] = (struct pollfd_){ init, POLLIN_, 0 };
    fds[LISTEN] = (struct pollfd_){ attach, POLLIN_, 0 };
    for (int i = 0; i < 2; i++) fds[OUT0 + i] = (struct pollfd_){ may_read ? outputs[i] : -1, POLLIN_, 0 };
    fds[STDIN] = (struct pollfd_){ may_take ? -1 : input, POLLOUT_, 0 };
    fds[CHECK] = (struct pollfd_){ check.said, POLLIN_, 0 };
    for (int i = 0; i < count; i++) {
        short events = (short)((may_take ? POLLIN_ : 0) | (clients[i].sent < out_bytes ? POLLOUT_ : 0));
        fds[FIRST_CLIENT + i] = (struct pollfd_){ clients[i].fd, events, 0 };
    }
    struct __kernel_timespec time = { wait / 1000, (wait % 1000) * 1000000L };
    long ready = SYS5(__NR_ppoll, fds, FIRST_CLIENT + count, wait < 0 ? 0 : &time, 0, 8);
    if (ready <= 0) return 0;
    /* From the last on, as one that is dropped gets its place from the end. */
    for (int i = count - 1; i >= 0; i--) {
        short happened = fds[FIRST_CLIENT + i].revents;
        if (happened & (POLLHUP_ | POLLERR_) && !(happened & POLLIN_)) drop(i);
        else if (happened & POLLIN_ && in_to == in_from && !hear(&clients[i])) drop(i);
    }
    if (fds[LISTEN].revents) welcome();
    if (fds[STDIN].revents) give_input();
    if (fds[CHECK].revents) hear_check();
    for (int i = 0; i < 2 && out_bytes == 0; i++)
        if (fds[OUT0 + i].revents) take_output(&outputs[i], FROM_STDOUT + i);
    if (out_bytes) send_output();
    return fds[INIT].revents != 0;
}

/* What the container had printed when it ended. Others may hold its pipes open, so an empty one is the end. */
static void drain(void)
{
    uint64_t begin = now();
    for (int i = 0; i < 2; i++)
        while (outputs[i] >= 0) {
            while (out_bytes && now() - begin < last_words) turn(100);
            out_bytes = 0;
            if (!take_output(&outputs[i], FROM_STDOUT + i) || !out_bytes) break;
            send_output();
        }
    while (out_bytes && now() - begin < last_words) turn(100);
    out_bytes = 0;
}

static int open_exit(void) { return (int)SYS4(__NR_openat, directory, "exit.new", O_RDWR | O_CREAT | O_CLOEXEC, 0600); }

enum { EXIT_BYTES = 64 };

/* So that a disk that is full by then has room for how it ended. */
static void reserve_exit(void)
{
    char nothing[EXIT_BYTES] = { 0 };
    int fd = open_exit();
    if (fd < 0) return;
    SYS3(__NR_write, fd, nothing, sizeof nothing);
    SYS1(__NR_close, fd);
}

/* `STATUS SIGNAL NANOS`: one of the first two is 0. */
static void write_exit(uint32_t status, uint32_t signal)
{
    char text[EXIT_BYTES], *at = text;
    at = put_number(at, status);
    *at++ = ' ';
    at = put_number(at, signal);
    *at++ = ' ';
    at = put_number(at, now());
    *at++ = '\n';
    int fd = open_exit();
    if (fd < 0) return;
    long wrote = SYS3(__NR_write, fd, text, at - text);
    SYS2(__NR_ftruncate, fd, at - text);
    SYS1(__NR_close, fd);
    if (wrote == at - text) SYS5(__NR_renameat2, directory, "exit.new", directory, "exit", 0);
}

/* Who is attached learns how it ended, and sees the end of the stream when the program that cleans up is done. */
static void tell_exit(uint32_t status)
{
    struct { struct head head; uint8_t status; } last;
    set_head(&last.head, EXITED, 1);
    last.status = (uint8_t)status;
    for (int i = 0; i < client_count; i++) {
        SYS6(__NR_sendto, clients[i].fd, &last, sizeof(struct head) + 1, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0);
        SYS3(__NR_fcntl, clients[i].fd, 2, 0);
    }
}

static void watch(char **checker)
{
    int info[32] = { 0 };
    while (!turn(until_check())) if (until_check() == 0) begin_check(checker);
    end_check(1);
    SYS5(__NR_waitid, P_PIDFD, init, info, WEXITED, 0);
    uint32_t is_signal = info[2] != 1, value = (uint32_t)info[6];
    welcome();
    drain();
    write_exit(is_signal ? 0 : value, is_signal ? value : 0);
    tell_exit(is_signal ? 128 + value : value);
}

__attribute__((used)) void entry(long *stack)
{
    char **argv = (char **)(stack + 1);
    enum { ID = 1, INIT, STDIN, STDOUT, STDERR, CONSOLE, LOG, ATTACH, DIRECTORY, LOG_LIMIT, LOG_FILES, CHECK_MS, CHECK_WORD, CLEANER, FIRST_WORD };
    if (stack[0] <= CLEANER) SYS1(__NR_exit_group, 64);
    /* The container's own ends of its pipes: as long as they are open here, no end comes. */
    for (int fd = 0; fd < 3; fd++) {
        SYS1(__NR_close, fd);
        SYS4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
    }
    SYS1(__NR_chdir, "/");
    init = descriptor(argv[INIT]);
    input = descriptor(argv[STDIN]);
    outputs[0] = descriptor(argv[STDOUT]);
    outputs[1] = descriptor(argv[STDERR]);
    console = descriptor(argv[CONSOLE]);
    log_fd = descriptor(argv[LOG]);
    attach = descriptor(argv[ATTACH]);
    directory = descriptor(argv[DIRECTORY]);
    log_limit = number(argv[LOG_LIMIT]);
    log_files = (uint32_t)number(argv[LOG_FILES]);
    /* A file of the log is larger than its limit by at most a piece. */
    most = log_limit ? OUTPUT_BYTES / 4 : OUTPUT_BYTES;
    int all[] = { init, input, outputs[0], outputs[1], console, log_fd, attach, directory };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0) SYS3(__NR_fcntl, all[i], 2, 1);
    if (console >= 0) {
        is_terminal = 1;
        receive_console();
    }
    set_nonblocking(input);
    set_nonblocking(outputs[0]);
    set_nonblocking(outputs[1]);
    set_nonblocking(attach);
    welcome();
    reserve_exit();
    check_again_in(number(argv[CHECK_MS]));
    char *first = argv[FIRST_WORD];
    argv[FIRST_WORD] = argv[CHECK_WORD];
    watch(argv + CLEANER);
    argv[FIRST_WORD] = first;
    if (*argv[CLEANER] == '-') SYS1(__NR_exit_group, 0);
    uint64_t none = 0, action[4] = { 1 /* SIG_IGN */ };
    const char *environment[] = { 0 };
    /* splice(2) to a client that was gone: the signal for it is discarded. */
    SYS4(__NR_rt_sigaction, SIGPIPE_, action, 0, 8);
    action[0] = 0;
    SYS4(__NR_rt_sigaction, SIGPIPE_, action, 0, 8);
    SYS4(__NR_rt_sigprocmask, 2, &none, 0, 8);
    SYS3(__NR_execve, argv[CLEANER], argv + CLEANER, environment);
    SYS1(__NR_exit_group, 127);
}
