/* The name server of one container, what answers at 127.0.0.11 in it. It answers for the names of the container's networks,
 * which it looks up as files (src/network/members.ts), and passes all other questions on to the servers of the machine.
 *
 * Arguments: descriptors UDP and TCP, bound in the network of the container; the servers, hexadecimal addresses with commas between, or a dash
 * for none, in which case other questions are refused; then the names of the networks, which are directories here:
 *
 *     NETWORK/names/NAME/ID   a symbolic link to hexadecimal addresses, with spaces between
 *     NETWORK/leases/HEX      a symbolic link to the id and the name of the container that has the address
 *
 * What it reads comes from a container. So it runs without privilege, in a root of these directories alone, below a filter of system calls
 * (src/plan/network-resolver.ts), keeps nothing but the questions that are on their way, and parses no answer beyond its first question.
 *
 * RFC 1035; RFC 7766 for TCP; RFC 5452 for what an answer has to have. */
#include <linux/fcntl.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/time.h>
#include <linux/types.h>
#include <asm/poll.h>
#include <asm/unistd.h>
#include "sys.h"
#include "names.h"

enum { EINTR_ = 4, EAGAIN_ = 11, EINPROGRESS_ = 115 };
enum { AF_INET_ = 2, AF_INET6_ = 10, SOCK_STREAM_ = 1, SOCK_DGRAM_ = 2, SOCK_FLAGS = O_NONBLOCK | O_CLOEXEC };
enum { MSG_NOSIGNAL_ = 0x4000, MSG_DONTWAIT_ = 0x40, POLLIN_ = 1, POLLOUT_ = 4, PR_SET_DUMPABLE_ = 4 };
enum { MAX_ASKED = 32, MAX_CLIENTS = 16, MAX_SERVERS = 4, SERVER_MS = 2000, CLIENT_MS = 10000 };

struct pollfd_ { int fd; short events, revents; };

/* A question that is with a server. Over TCP `bytes` has its length before it. */
struct asked {
    int fd;                     /* 0: none */
    int client;                 /* of TCP; below 0 for UDP */
    struct sockaddr_in from;
    uint16_t id;
    uint32_t server, length, end, sent, came, due;
    uint64_t deadline;
    uint8_t bytes[2 + MAX_QUERY];
};

struct client { int fd; uint32_t length; uint64_t deadline; uint8_t bytes[2 + MAX_QUERY]; };

static int udp, tcp;
static union { struct sockaddr_in four; struct sockaddr_in6 six; } servers[MAX_SERVERS];
static uint32_t server_count;
static struct asked asked[MAX_ASKED];
static struct client clients[MAX_CLIENTS];

static uint64_t now_ms(void)
{
    struct __kernel_timespec t;
    SYS2(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void send_udp(const struct sockaddr_in *to)
{
    SYS6(__NR_sendto, udp, reply, reply_length, MSG_NOSIGNAL_ | MSG_DONTWAIT_, to, sizeof *to);
}

static void drop_client(int index)
{
    for (int i = 0; i < MAX_ASKED; i++)
        if (asked[i].fd && asked[i].client == index) {
            SYS1(__NR_close, asked[i].fd);
            asked[i].fd = 0;
        }
    SYS1(__NR_close, clients[index].fd);
    clients[index].fd = 0;
}

static void send_tcp(int index, uint32_t length)
{
    if (SYS6(__NR_sendto, clients[index].fd, reply, length, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0) != (long)length) drop_client(index);
}

/* Behind its length, which reply[0] and reply[1] are for then. */
static void finish_tcp(int index)
{
    for (uint32_t i = reply_length; i--;) reply[i + 2] = reply[i];
    put16(reply, reply_length);
    send_tcp(index, reply_length + 2);
}

static void respond(int client, const struct sockaddr_in *to)
{
    if (client < 0) send_udp(to);
    else finish_tcp(client);
}

static void forget(struct asked *a)
{
    SYS1(__NR_close, a->fd);
    a->fd = 0;
}

/* With the next server, from another port each time, and over UDP with another id. Answers 0 if there is none. */
static int ask(struct asked *a)
{
    int is_tcp = a->client >= 0;
    for (; a->server < server_count; a->server++) {
        const struct sockaddr_in *to = &servers[a->server].four;
        int is_six = to->sin_family == AF_INET6_;
        long fd = SYS3(__NR_socket, to->sin_family, (is_tcp ? SOCK_STREAM_ : SOCK_DGRAM_) | SOCK_FLAGS, 0);
        if (fd < 0) continue;
        long result = SYS3(__NR_connect, fd, to, is_six ? sizeof servers->six : sizeof servers->four);
        /* Nobody forges what comes over TCP, and the answer is passed on as it is. */
        if (!is_tcp) SYS3(__NR_getrandom, a->bytes + 2, 2, 0);
        if (result == 0 && !is_tcp) result = SYS6(__NR_sendto, fd, a->bytes + 2, a->length, MSG_NOSIGNAL_, 0, 0);
        if (result < 0 && result != -EINPROGRESS_) {
            SYS1(__NR_close, fd);
            continue;
        }
        a->fd = (int)fd;
        a->sent = a->came = a->due = 0;
        a->deadline = now_ms() + SERVER_MS;
        return 1;
    }
    return 0;
}

static void fail(struct asked *a)
{
    struct query q = { .length = a->length, .end = a->end };
    memcpy(q.bytes, a->bytes + 2, a->length);
    put16(q.bytes, a->id);
    begin_reply(&q, SERVER_FAILURE);
    respond(a->client, &a->from);
}

static void ask_next(struct asked *a)
{
    forget(a);
    a->server++;
    if (!ask(a)) fail(a);
}

static void forward(const struct query *q, int client, const struct sockaddr_in *from)
{
    for (int i = 0; i < MAX_ASKED; i++) {
        struct asked *a = &asked[i];
        if (a->fd) continue;
        a->client = client;
        if (from) a->from = *from;
        a->id = get16(q->bytes);
        a->server = 0;
        a->length = q->length;
        a->end = q->end;
        put16(a->bytes, q->length);
        memcpy(a->bytes + 2, q->bytes, q->length);
        if (!ask(a)) fail(a);
        return;
    }
    begin_reply(q, SERVER_FAILURE);
    respond(client, from);
}

static void handle(struct query *q, int client, const struct sockaddr_in *from)
{
    /* An answer is no question, whoever sends it. */
    if (q->length < HEAD || q->bytes[2] & 0x80) {
        if (client >= 0) drop_client(client);
        return;
    }
    q->end = 0;
    int code = parse(q);
    if (code == NO_ERROR && !answer(q)) {
        if (server_count) {
            forward(q, client, from);
            return;
        }
        code = REFUSED;
    }
    if (code != NO_ERROR) begin_reply(q, code);
    respond(client, from);
}

static void hear_udp(void)
{
    for (int i = 0; i < MAX_ASKED; i++) {
        struct query q;
        struct sockaddr_in from;
        uint32_t size = sizeof from;
        long got = SYS6(__NR_recvfrom, udp, q.bytes, sizeof q.bytes, MSG_DONTWAIT_, &from, &size);
        if (got < 0) return;
        q.length = (uint32_t)got;
        handle(&q, -1, &from);
    }
}

/* The same question, and from the socket that asked: the kernel takes packets of that server alone. */
static int is_answer(const struct asked *a, const uint8_t *bytes, uint32_t length)
{
    if (length < a->end || !(bytes[2] & 0x80) || get16(bytes) != get16(a->bytes + 2)) return 0;
    for (uint32_t i = HEAD; i < a->end; i++)
        if (lower((char)bytes[i]) != lower((char)a->bytes[2 + i])) return 0;
    return 1;
}

static void hear_server_udp(struct asked *a)
{
    long got = SYS6(__NR_recvfrom, a->fd, reply, sizeof reply, MSG_DONTWAIT_, 0, 0);
    if (got == -EAGAIN_ || got == -EINTR_) return;
    if (got < 0) {
        ask_next(a);
        return;
    }
    if (!is_answer(a, reply, (uint32_t)got)) return;
    put16(reply, a->id);
    reply_length = (uint32_t)got;
    send_udp(&a->from);
    forget(a);
}

/* What comes is passed on as it comes: two bytes of length, and as many more. */
static void hear_server_tcp(struct asked *a)
{
    if (a->sent < a->length + 2) {
        long n = SYS6(__NR_sendto, a->fd, a->bytes + a->sent, a->length + 2 - a->sent, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0);
        if (n == -EAGAIN_ || n == -EINTR_) return;
        if (n <= 0) ask_next(a);
        else a->sent += (uint32_t)n;
        return;
    }
    uint32_t room = a->came < 2 ? 2 - a->came : a->due - a->came;
    long got = SYS6(__NR_recvfrom, a->fd, reply, room < sizeof reply ? room : sizeof reply, MSG_DONTWAIT_, 0, 0);
    if (got == -EAGAIN_ || got == -EINTR_) return;
    if (got <= 0) {
        if (a->came == 0) ask_next(a);
        else drop_client(a->client);
        return;
    }
    int client = a->client;
    if (a->came < 2)
        for (long i = 0; i < got; i++) a->due = a->due << 8 | reply[i];
    a->came += (uint32_t)got;
    if (a->came == 2) a->due += 2;
    if (a->came >= 2 && a->came == a->due) forget(a);
    send_tcp(client, (uint32_t)got);
}

static void welcome(void)
{
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (clients[i].fd) continue;
        long fd = SYS4(__NR_accept4, tcp, 0, 0, O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) return;
        clients[i] = (struct client){ .fd = (int)fd, .deadline = now_ms() + CLIENT_MS };
    }
}

/* One question at a time; what a client sends meanwhile waits in its socket. */
static void hear_tcp(int index)
{
    struct client *c = &clients[index];
    struct query q;
    uint32_t room = c->length < 2 ? 2 - c->length : 2 + (uint32_t)get16(c->bytes) - c->length;
    long got = SYS6(__NR_recvfrom, c->fd, c->bytes + c->length, room, MSG_DONTWAIT_, 0, 0);
    if (got == -EAGAIN_ || got == -EINTR_) return;
    c->length += got > 0 ? (uint32_t)got : 0;
    if (got <= 0 || (c->length >= 2 && (get16(c->bytes) > MAX_QUERY || get16(c->bytes) == 0))) {
        drop_client(index);
        return;
    }
    if (c->length < 2 || c->length < 2 + (uint32_t)get16(c->bytes)) return;
    q.length = get16(c->bytes);
    memcpy(q.bytes, c->bytes + 2, q.length);
    c->length = 0;
    c->deadline = now_ms() + CLIENT_MS;
    handle(&q, index, 0);
}

static int is_waiting(int index)
{
    for (int i = 0; i < MAX_ASKED; i++)
        if (asked[i].fd && asked[i].client == index) return 1;
    return 0;
}

static void turn(void)
{
    enum { UDP, TCP, ASKED, CLIENTS = ASKED + MAX_ASKED, ALL = CLIENTS + MAX_CLIENTS };
    struct pollfd_ fds[ALL];
    int waits = 0;
    fds[UDP] = (struct pollfd_){ udp, POLLIN_, 0 };
    fds[TCP] = (struct pollfd_){ tcp, POLLIN_, 0 };
    for (int i = 0; i < MAX_ASKED; i++) {
        int is_sending = asked[i].client >= 0 && asked[i].sent < asked[i].length + 2;
        fds[ASKED + i] = (struct pollfd_){ asked[i].fd ? asked[i].fd : -1, is_sending ? POLLOUT_ : POLLIN_, 0 };
        waits |= asked[i].fd;
    }
    int is_full = 1;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        fds[CLIENTS + i] = (struct pollfd_){ clients[i].fd && !is_waiting(i) ? clients[i].fd : -1, POLLIN_, 0 };
        waits |= clients[i].fd;
        is_full &= clients[i].fd != 0;
    }
    if (is_full) fds[TCP].fd = -1;
    struct __kernel_timespec time = { 0, 250 * 1000000L };
    SYS5(__NR_ppoll, fds, ALL, waits ? &time : 0, 0, 8);
    uint64_t now = waits ? now_ms() : 0;
    for (int i = 0; i < MAX_ASKED; i++) {
        struct asked *a = &asked[i];
        if (!a->fd || a->fd != fds[ASKED + i].fd) continue;
        if (fds[ASKED + i].revents) {
            if (a->client < 0) hear_server_udp(a);
            else hear_server_tcp(a);
        } else if (now > a->deadline) ask_next(a);
    }
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (!clients[i].fd || clients[i].fd != fds[CLIENTS + i].fd) continue;
        if (fds[CLIENTS + i].revents) hear_tcp(i);
        else if (now > clients[i].deadline) drop_client(i);
    }
    if (fds[TCP].revents) welcome();
    if (fds[UDP].revents) hear_udp();
}

static void read_servers(const char *text)
{
    while (*text && *text != '-' && server_count < MAX_SERVERS) {
        uint8_t address[16];
        uint32_t n = from_hex(text, address, sizeof address);
        if (n == 4) {
            servers[server_count].four = (struct sockaddr_in){ .sin_family = AF_INET_, .sin_port = __builtin_bswap16(53) };
            memcpy(&servers[server_count++].four.sin_addr, address, 4);
        } else if (n == 16) {
            servers[server_count].six = (struct sockaddr_in6){ .sin6_family = AF_INET6_, .sin6_port = __builtin_bswap16(53) };
            memcpy(&servers[server_count++].six.sin6_addr, address, 16);
        }
        text += 2 * n;
        if (*text == ',') text++;
        else break;
    }
}

static int number(const char *text)
{
    int value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return value;
}

__attribute__((used)) void entry(long *stack)
{
    char **argv = (char **)(stack + 1);
    enum { UDP = 1, TCP, SERVERS, NETWORKS };
    /* Without privilege it is weaker than the root of a container with --pid host, who could write to its memory: ptrace(2). */
    SYS5(__NR_prctl, PR_SET_DUMPABLE_, 0, 0, 0, 0);
    if (stack[0] < NETWORKS) SYS1(__NR_exit_group, 64);
    udp = number(argv[UDP]);
    tcp = number(argv[TCP]);
    read_servers(argv[SERVERS]);
    networks = argv + NETWORKS;
    network_count = (uint32_t)(stack[0] - NETWORKS);
    for (;;) turn();
}
