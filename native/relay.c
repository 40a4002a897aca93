/* The relay: the only way out of a container whose network namespace has nothing but lo.
 *
 * It holds sockets that were made inside and is itself outside: it passes bytes between the two. What a name means and where a connection may
 * lead it does not know. It asks its policy, over a socket, in frames (src/network/egress-frames.ts).
 *
 * Arguments: descriptors POLICY, NAMES (UDP), NAMES (TCP), four of REFUSALS (a dash for none), then those of listening sockets.
 *
 *   NAMES      where programs inside ask for names
 *   REFUSALS   raw sockets with a filter: what the kernel refused inside (src/plan/egress-refusals.ts)
 *
 * It ends with the policy, and on SIGTERM, which is blocked, when it has told what was refused until then. All that a container can have of it
 * is limited: see the constants. */
#include <linux/fcntl.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/signal.h>
#include <linux/socket.h>
#include <linux/time.h>
#include <asm/poll.h>
#include <asm/unistd.h>
#include "sys.h"
#include "policy.h"

enum { EINTR_ = 4, EAGAIN_ = 11, ECONNABORTED_ = 103, EINPROGRESS_ = 115 };
enum { SOCK_STREAM_ = 1, SOL_SOCKET_ = 1, SO_ERROR_ = 4, SO_LINGER_ = 13, SOL_TCP_ = 6, TCP_NODELAY_ = 1 };
enum { SHUT_WR_ = 1, PR_SET_DUMPABLE_ = 4 };

enum { MAX_REFUSALS = 4, MAX_CONNECTIONS = 256, MAX_LISTENERS = 240, MAX_TARGETS = 8, FLOW_BYTES = 32768, TURNS_AT_ONCE = 8, QUERIES_AT_ONCE = 64 };
enum { QUESTIONS = 2000, QUESTIONS_A_SECOND = 1000, REFUSALS = 1000, REFUSALS_A_SECOND = 100, REST_MS = 20 };    /* at once, and then */
enum { ANSWER_MS = 30000, CONNECT_MS = 10000, QUERY_MS = 10000 };

struct flow { uint32_t from, to; int ended; };  /* ended: its source has sent all */

/* flows[i] leads from fds[i] to the other one; those of names to the policy and back. */
struct connection {
    enum { FREE, READING, ASKING, CONNECTING, OPEN } state;
    int is_query, fds[2];           /* the container's side, the other side */
    uint32_t generation, target_count, next_target;
    uint64_t deadline;
    struct flow flows[2];
    struct place targets[MAX_TARGETS];
};

static int ending, names_udp, names_tcp, refusals[MAX_REFUSALS], listeners[MAX_LISTENERS];
static int listener_count;
static struct connection connections[MAX_CONNECTIONS];
static char buffers[MAX_CONNECTIONS][2][FLOW_BYTES];
static char in[2 * sizeof out];
static uint32_t in_bytes;
static uint64_t now, refilled;
static int questions = QUESTIONS, tellings = REFUSALS;  /* that may be asked, and told, now */
static int may_question;

static uint64_t clock(void)
{
    struct __kernel_timespec t;
    SYS2(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int descriptor(const char *text)
{
    int value = 0;
    if (*text == '-') return -1;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return value;
}

static int at_most(int most, int value) { return value < most ? value : most; }

static uint32_t id_of(struct connection *c) { return (uint32_t)(c - connections) | c->generation << 16; }

static void set_option(int fd, int level, int option, const void *value, int bytes)
{
    SYS5(__NR_setsockopt, fd, level, option, value, bytes);
}

static void end(struct connection *c)
{
    for (int i = 0; i < 2; i++)
        if (c->fds[i] >= 0) SYS1(__NR_close, c->fds[i]);
    c->state = FREE;
    c->generation = (c->generation + 1) & 0x7fff;
}

/* Both sides learn that something was lost, or refused: with this option close(2) sends a reset. socket(7) */
static void cut(struct connection *c)
{
    int at_once[2] = { 1, 0 };
    for (int i = 0; i < 2; i++)
        if (c->fds[i] >= 0) set_option(c->fds[i], SOL_SOCKET_, SO_LINGER_, at_once, sizeof at_once);
    end(c);
}

static struct connection *free_connection(void)
{
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].state == FREE) return &connections[i];
    return 0;
}

static void connect_next(struct connection *c)
{
    union address address;
    int yes = 1;
    if (c->fds[1] >= 0) SYS1(__NR_close, c->fds[1]);
    c->fds[1] = -1;
    while (c->next_target < c->target_count) {
        int bytes = address_of(&c->targets[c->next_target++], &address);
        long fd = SYS3(__NR_socket, address.v4.family, SOCK_STREAM_ | O_NONBLOCK | O_CLOEXEC, 0);
        if (fd < 0) continue;
        long result = SYS3(__NR_connect, fd, &address, bytes);
        if (result == 0 || result == -EINPROGRESS_) {
            set_option((int)fd, SOL_TCP_, TCP_NODELAY_, &yes, sizeof yes);
            c->fds[1] = (int)fd;
            c->state = CONNECTING;
            c->deadline = now + CONNECT_MS;
            return;
        }
        SYS1(__NR_close, fd);
    }
    cut(c);
}

static void see_connected(struct connection *c)
{
    int error = 0, bytes = sizeof error;
    SYS5(__NR_getsockopt, c->fds[1], SOL_SOCKET_, SO_ERROR_, &error, &bytes);
    if (error) connect_next(c);
    else c->state = OPEN;
}

static void welcome(int listener, int is_query)
{
    struct connection *c = free_connection();
    union address address;
    int bytes = sizeof address, yes = 1;
    if (!c) return;
    long fd = SYS4(__NR_accept4, listener, 0, 0, O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        /* Where there is no descriptor left, there may be one soon. */
        if (fd != -EAGAIN_ && fd != -ECONNABORTED_) questions = 0;
        return;
    }
    set_option((int)fd, SOL_TCP_, TCP_NODELAY_, &yes, sizeof yes);
    *c = (struct connection){ .state = is_query ? READING : ASKING, .is_query = is_query, .fds = { (int)fd, -1 }, .generation = c->generation };
    c->deadline = now + (is_query ? QUERY_MS : ANSWER_MS);
    if (is_query) return;
    SYS3(__NR_getsockname, fd, &address, &bytes);
    struct place place = place_of(&address);
    questions--;
    ask(CONNECTION, id_of(c), &place, 0);
}

/* A message over TCP has its length before it, both ways. RFC 1035 4.2.2 */
static void read_query(struct connection *c)
{
    struct flow *f = &c->flows[0];
    uint8_t *text = (uint8_t *)buffers[c - connections][0];
    uint32_t wanted = 2;
    for (;;) {
        if (f->to >= 2) wanted = 2 + (uint32_t)(text[0] << 8 | text[1]);
        if (wanted > 2 + MESSAGE_BYTES) return cut(c);
        if (f->to >= 2 && f->to == wanted) break;
        long n = SYS3(__NR_read, c->fds[0], text + f->to, wanted - f->to);
        if (n == -EAGAIN_ || n == -EINTR_) return;
        if (n <= 0) return end(c);
        f->to += (uint32_t)n;
    }
    f->to = 0;
    c->state = ASKING;
    c->deadline = now + ANSWER_MS;
    copy(out.bytes, text + 2, wanted - 2);
    questions--;
    ask(QUERY, id_of(c), 0, wanted - 2);
}

static void write_answer(struct connection *c, const char *bytes, uint32_t count)
{
    uint8_t *text = (uint8_t *)buffers[c - connections][1];
    text[0] = (uint8_t)(count >> 8);
    text[1] = (uint8_t)count;
    copy(text + 2, bytes, count);
    /* A socket that has not even room for this is of somebody who does not read. */
    if (SYS6(__NR_sendto, c->fds[0], text, count + 2, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0) != (long)count + 2) return end(c);
    c->state = READING;
    c->deadline = now + QUERY_MS;
}

/* These answer 0 if there was nothing to take. */
static int take_query(void)
{
    union address from;
    int bytes = sizeof from;
    long n = SYS6(__NR_recvfrom, names_udp, out.bytes, sizeof out.bytes, MSG_DONTWAIT_, &from, &bytes);
    if (n < 0) return 0;
    struct place place = place_of(&from);
    questions--;
    ask(QUERY, OVER_UDP, &place, (uint32_t)n);
    return 1;
}

static int take_refusal(int index)
{
    union address from;
    int bytes = sizeof from;
    if (refusals[index] < 0) return 0;
    long n = SYS6(__NR_recvfrom, refusals[index], out.bytes, REFUSAL_BYTES, MSG_DONTWAIT_, &from, &bytes);
    if (n < 0) return 0;
    struct place place = place_of(&from);
    tellings--;
    ask(REFUSED, (uint32_t)index, &place, (uint32_t)n);
    return 1;
}

/* The container has ended: what it was refused last shall be known. */
static void end_all(void)
{
    int rest = REFUSALS;
    if (may_ask()) ask(LAST, 0, 0, 0);
    for (int i = 0; i < MAX_REFUSALS; i++)
        while (rest-- > 0 && may_ask() && take_refusal(i)) {}
    while (rest-- > 0 && may_ask() && take_query()) {}
    SYS1(__NR_exit_group, 0);
}

static void obey(const struct frame *frame, const char *bytes, uint32_t count)
{
    struct connection *c = &connections[frame->id & 0xff];
    if (frame->kind == ANSWER && frame->id == OVER_UDP) {
        union address to;
        int size = address_of(&frame->place, &to);
        SYS6(__NR_sendto, names_udp, bytes, count, MSG_NOSIGNAL_ | MSG_DONTWAIT_, &to, size);
        return;
    }
    /* The one that was asked about may be gone. */
    if (c->state != ASKING || frame->id != id_of(c)) return;
    if (frame->kind == ANSWER && c->is_query) return write_answer(c, bytes, count);
    if (frame->kind != TARGETS || c->is_query) SYS1(__NR_exit_group, 1);
    c->target_count = count / sizeof(struct place) < MAX_TARGETS ? count / (uint32_t)sizeof(struct place) : MAX_TARGETS;
    copy(c->targets, bytes, c->target_count * sizeof(struct place));
    connect_next(c);
}

static void hear(void)
{
    long n = SYS3(__NR_read, policy, in + in_bytes, sizeof in - in_bytes);
    if (n == -EAGAIN_ || n == -EINTR_) return;
    if (n <= 0) SYS1(__NR_exit_group, 0);
    in_bytes += (uint32_t)n;
    uint32_t at = 0;
    struct frame frame;
    while (in_bytes - at >= sizeof frame) {
        copy(&frame, in + at, sizeof frame);
        if (frame.bytes < sizeof frame || frame.bytes > sizeof out) SYS1(__NR_exit_group, 1);
        if (in_bytes - at < frame.bytes) break;
        obey(&frame, in + at + sizeof frame, frame.bytes - (uint32_t)sizeof frame);
        at += frame.bytes;
    }
    for (uint32_t i = at; i < in_bytes; i++) in[i - at] = in[i];
    in_bytes -= at;
}

/* Answers 0 if the connection is gone. */
static int pass_on(struct connection *c, int i)
{
    struct flow *f = &c->flows[i];
    char *buffer = buffers[c - connections][i];
    for (int turn = 0; turn < TURNS_AT_ONCE; turn++) {
        if (f->from == f->to) {
            if (f->ended) return 1;
            long n = SYS3(__NR_read, c->fds[i], buffer, FLOW_BYTES);
            if (n == -EAGAIN_ || n == -EINTR_) return 1;
            if (n < 0) { cut(c); return 0; }
            if (n == 0) {
                f->ended = 1;
                SYS2(__NR_shutdown, c->fds[!i], SHUT_WR_);
                return 1;
            }
            f->from = 0;
            f->to = (uint32_t)n;
        }
        long n = SYS6(__NR_sendto, c->fds[!i], buffer + f->from, f->to - f->from, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0);
        if (n == -EAGAIN_ || n == -EINTR_) return 1;
        if (n < 0) { cut(c); return 0; }
        f->from += (uint32_t)n;
    }
    return 1;
}

static void pass_on_both(struct connection *c)
{
    if (pass_on(c, 0) && pass_on(c, 1) && c->flows[0].ended && c->flows[1].ended) end(c);
}

/* What is waited for of one side. A side of which nothing is wanted is not looked at: that it hung up would be told again and again. */
static short wanted(struct connection *c, int i)
{
    short events = 0;
    if (c->state == READING) return i == 0 && may_question ? POLLIN : 0;
    if (c->state == CONNECTING) return i == 1 ? POLLOUT : 0;
    if (c->state != OPEN) return 0;
    if (!c->flows[i].ended && c->flows[i].from == c->flows[i].to) events |= POLLIN;
    if (c->flows[!i].from != c->flows[!i].to) events |= POLLOUT;
    return events;
}

enum { ENDING, POLICY, UDP, TCP, REFUSED_BY, LISTENERS = REFUSED_BY + MAX_REFUSALS, SIDES = LISTENERS + MAX_LISTENERS, POLLED = SIDES + 2 * MAX_CONNECTIONS };
static struct pollfd_ fds[POLLED];
static struct connection *polled[MAX_CONNECTIONS];

/* Answers the milliseconds until something is to be done unasked, below 0 for never. */
static int look_at_connections(int *count, uint64_t next)
{
    int n = 0;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->state != FREE && c->state != OPEN && now >= c->deadline) {
            if (c->state == CONNECTING) connect_next(c);
            else if (c->is_query) end(c);
            else cut(c);
        }
        if (c->state == FREE) continue;
        if (c->state != OPEN && (!next || c->deadline < next)) next = c->deadline;
        for (int side = 0; side < 2; side++) {
            short events = wanted(c, side);
            fds[SIDES + 2 * n + side] = (struct pollfd_){ events ? c->fds[side] : -1, events, 0 };
        }
        polled[n++] = c;
    }
    *count = n;
    return next == 0 ? -1 : next <= now ? 0 : (int)(next - now);
}

static void turn(void)
{
    now = clock();
    if (now - refilled >= REST_MS) {
        int ms = now - refilled < 10000 ? (int)(now - refilled) : 10000;
        refilled = now;
        questions = at_most(QUESTIONS, questions + ms * QUESTIONS_A_SECOND / 1000);
        tellings = at_most(REFUSALS, tellings + ms * REFUSALS_A_SECOND / 1000);
    }
    /* While the policy has no room, it is waited for; while all is asked that may be, for a while. */
    int room = may_ask(), may_tell = room && tellings > 0;
    may_question = room && questions > 0;
    int may_welcome = may_question && free_connection(), count;
    fds[ENDING] = (struct pollfd_){ ending, POLLIN, 0 };
    fds[POLICY] = (struct pollfd_){ policy, (short)(room ? POLLIN : POLLIN | POLLOUT), 0 };
    fds[UDP] = (struct pollfd_){ may_question ? names_udp : -1, POLLIN, 0 };
    fds[TCP] = (struct pollfd_){ may_welcome ? names_tcp : -1, POLLIN, 0 };
    for (int i = 0; i < MAX_REFUSALS; i++) fds[REFUSED_BY + i] = (struct pollfd_){ may_tell ? refusals[i] : -1, POLLIN, 0 };
    for (int i = 0; i < listener_count; i++) fds[LISTENERS + i] = (struct pollfd_){ may_welcome ? listeners[i] : -1, POLLIN, 0 };
    for (int i = listener_count; i < MAX_LISTENERS; i++) fds[LISTENERS + i] = (struct pollfd_){ -1, 0, 0 };
    int wait = look_at_connections(&count, room && (!may_question || !may_tell) ? refilled + REST_MS : 0);
    struct __kernel_timespec time = { wait / 1000, (wait % 1000) * 1000000L };
    if (SYS5(__NR_ppoll, fds, SIDES + 2 * count, wait < 0 ? 0 : &time, 0, 8) <= 0) return;
    now = clock();
    if (fds[ENDING].revents) end_all();
    if (fds[POLICY].revents & ~POLLOUT) hear();
    for (int i = 0; i < count; i++) {
        struct connection *c = polled[i];
        short box = fds[SIDES + 2 * i].revents, other = fds[SIDES + 2 * i + 1].revents;
        if (!box && !other) continue;
        if (c->state == OPEN) pass_on_both(c);
        else if (c->state == CONNECTING && other) see_connected(c);
        else if (c->state == READING && box && questions > 0 && may_ask()) read_query(c);
    }
    for (int i = 0; fds[UDP].revents && i < QUERIES_AT_ONCE && questions > 0 && may_ask() && take_query(); i++) {}
    if (fds[TCP].revents) welcome(names_tcp, 1);
    for (int i = 0; i < listener_count; i++)
        if (fds[LISTENERS + i].revents && questions > 0 && may_ask()) welcome(listeners[i], 0);
    for (int i = 0; i < MAX_REFUSALS; i++)
        if (fds[REFUSED_BY + i].revents && may_ask()) take_refusal(i);
}

__attribute__((used)) void entry(long *stack)
{
    char **argv = (char **)(stack + 1);
    enum { POLICY_FD = 1, UDP_FD, TCP_FD, REFUSALS_FD, FIRST_LISTENER = REFUSALS_FD + MAX_REFUSALS };
    SYS5(__NR_prctl, PR_SET_DUMPABLE_, 0, 0, 0, 0);
    if (stack[0] < FIRST_LISTENER || stack[0] - FIRST_LISTENER > MAX_LISTENERS) SYS1(__NR_exit_group, 64);
    policy = descriptor(argv[POLICY_FD]);
    names_udp = descriptor(argv[UDP_FD]);
    names_tcp = descriptor(argv[TCP_FD]);
    for (int i = 0; i < MAX_REFUSALS; i++) refusals[i] = descriptor(argv[REFUSALS_FD + i]);
    for (long i = FIRST_LISTENER; i < stack[0]; i++) listeners[listener_count++] = descriptor(argv[i]);
    uint64_t signals = 1ull << (SIGTERM - 1);
    ending = (int)SYS4(__NR_signalfd4, -1, &signals, 8, O_CLOEXEC | O_NONBLOCK);
    for (int i = 0; i < MAX_CONNECTIONS; i++) connections[i].fds[0] = connections[i].fds[1] = -1;
    for (;;) turn();
}
