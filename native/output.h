/* The monitor's part of output: what the container prints is kept in the log, and goes to all who are attached. */
#ifndef COFFER_OUTPUT_H
#define COFFER_OUTPUT_H

enum { EINTR_ = 4, EAGAIN_ = 11 };
enum { MAX_CLIENTS = 32, OUTPUT_BYTES = 262144, LARGE_BYTES = 16384 };
enum { FROM_STDOUT = 1, FROM_STDERR = 2, EXITED = 3 };            /* to clients */
enum { MSG_NOSIGNAL_ = 0x4000, MSG_DONTWAIT_ = 0x40, SPLICE_F_NONBLOCK_ = 2, F_SETPIPE_SZ_ = 1031 };

/* In the log before each piece. Native byte order: the log stays on the machine. */
struct record {
    uint32_t bytes;
    uint8_t stream, unused[3];
    uint64_t nanos;
};

/* On the attach socket before each piece, both ways; the size is big-endian, as docker has it. */
struct head {
    uint8_t kind, unused[3], bytes[4];
};

struct client {
    int fd;
    uint32_t sent;              /* of the piece that is on its way */
    int wants_output;
    uint8_t head[sizeof(struct head)];
    uint32_t head_bytes, left;  /* of the piece that comes in */
    uint8_t size[4];
    uint32_t size_bytes;
};

struct iovec_ { const void *base; size_t bytes; };

static int outputs[2], log_fd, directory, is_terminal;
static uint64_t log_limit, log_bytes;
static uint32_t log_files;
static struct client clients[MAX_CLIENTS];
static int client_count;

static struct { struct record record; struct head head; char bytes[OUTPUT_BYTES]; } out;
static uint32_t most;           /* bytes of a piece */
static uint32_t out_bytes;      /* of head and bytes; 0 while nothing is on its way */
static int second[2] = { -1, -1 }; /* a pipe with the pages of the piece for the only client, which are not copied then */
static uint32_t in_second, taken;  /* bytes in it; and how many were read last, as it is for large pieces */

static void close_fd(int *fd)
{
    if (*fd >= 0) SYS1(__NR_close, *fd);
    *fd = -1;
}

static uint64_t now(void)
{
    struct __kernel_timespec t;
    SYS2(__NR_clock_gettime, CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set_head(struct head *head, int kind, uint32_t bytes)
{
    *head = (struct head){ (uint8_t)kind, { 0 }, { (uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8), (uint8_t)bytes } };
}

/* log, log.1, log.2, …: the oldest is gone. */
static void rotate(void)
{
    char from[16] = "log", to[16] = "log.";
    for (uint32_t i = log_files - 1; i > 0; i--) {
        *put_number(to + 4, i) = 0;
        if (i > 1) { memcpy(from, "log.", 4); *put_number(from + 4, i - 1) = 0; }
        else memcpy(from, "log", 4);
        SYS5(__NR_renameat2, directory, from, directory, to, 0);
    }
    long fresh = SYS4(__NR_openat, directory, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (log_files < 2 ? O_TRUNC : 0), 0600);
    if (fresh < 0) return;
    close_fd(&log_fd);
    log_fd = (int)fresh;
    log_bytes = 0;
}

/* A log that cannot be written, as the disk is full, must not stop the container. */
static void keep(uint32_t bytes)
{
    if (log_fd < 0) return;
    if (log_limit && log_bytes + bytes > log_limit && log_bytes) rotate();
    struct iovec_ parts[2] = { { &out.record, sizeof out.record }, { out.bytes, bytes } };
    long wrote = SYS3(__NR_writev, log_fd, parts, 2);
    if (wrote > 0) log_bytes += (uint64_t)wrote;
}

/* Of the buffer but for its beginning, once there is no use for all of it. */
static void let_pages_go(void)
{
    uintptr_t from = ((uintptr_t)out.bytes + LARGE_BYTES + 4095) & ~(uintptr_t)4095, to = (uintptr_t)(&out + 1) & ~(uintptr_t)4095;
    SYS3(__NR_madvise, from, to - from, 4 /* MADV_DONTNEED */);
}

static void forget_second(void)
{
    close_fd(&second[0]);
    close_fd(&second[1]);
    in_second = 0;
}

/* What stands in the container's pipe, in the second one as well; answers how many bytes, or below 1 for none. */
static long take_second(int fd)
{
    if (in_second) forget_second();
    if (taken < LARGE_BYTES || is_terminal || client_count != 1 || !clients[0].wants_output) return 0;
    if (second[0] < 0) {
        if (SYS2(__NR_pipe2, second, O_CLOEXEC) < 0) return 0;
        SYS3(__NR_fcntl, second[1], F_SETPIPE_SZ_, OUTPUT_BYTES);
    }
    long got = SYS4(__NR_tee, fd, second[1], most, SPLICE_F_NONBLOCK_);
    if (got > 0) in_second = (uint32_t)got;
    return got;
}

/* Takes in what the container printed; answers 0 once nobody can print any more. */
static int take_output(int *fd, int stream)
{
    long twice = take_second(*fd), got = SYS3(__NR_read, *fd, out.bytes, twice > 0 ? twice : most);
    if (taken >= LARGE_BYTES && got < LARGE_BYTES) let_pages_go();
    taken = got > 0 ? (uint32_t)got : 0;
    if (in_second != taken) forget_second(); /* the container can read its own pipe as well */
    if (got == -EAGAIN_ || got == -EINTR_) return 1;
    if (got <= 0) { /* a terminal that nobody has open answers EIO */
        close_fd(fd);
        return 0;
    }
    out.record = (struct record){ (uint32_t)got, (uint8_t)stream, { 0 }, now() };
    set_head(&out.head, stream, (uint32_t)got);
    keep((uint32_t)got);
    out_bytes = (uint32_t)(sizeof out.head + (size_t)got);
    for (int i = 0; i < client_count; i++) clients[i].sent = clients[i].wants_output ? 0 : out_bytes;
    return 1;
}

static void drop(int index)
{
    close_fd(&clients[index].fd);
    clients[index] = clients[--client_count];
}

/* The next piece is read when all have this one, so that the slowest sets the pace and nothing piles up here. */
static void send_output(void)
{
    int waiting = 0;
    for (int i = 0; i < client_count; i++) {
        struct client *c = &clients[i];
        while (c->sent < out_bytes) {
            uint32_t end = in_second && c->sent < sizeof out.head ? sizeof out.head : out_bytes;
            long n = in_second && c->sent >= sizeof out.head
                ? SYS6(__NR_splice, second[0], 0, c->fd, 0, in_second, SPLICE_F_NONBLOCK_)
                : SYS6(__NR_sendto, c->fd, (char *)&out.head + c->sent, end - c->sent, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0);
            if (n == -EINTR_) continue;
            if (n == -EAGAIN_) { waiting = 1; break; }
            if (n <= 0) { drop(i--); break; }
            if (end == out_bytes && in_second) in_second -= (uint32_t)n;
            c->sent += (uint32_t)n;
        }
    }
    if (waiting) return;
    out_bytes = 0;
    if (in_second) forget_second(); /* of one that is gone */
}
#endif
