/* What the relay and its policy say to each other: frames over a socket (src/network/egress-frames.ts), and the addresses in them. */
#ifndef COFFER_POLICY_H
#define COFFER_POLICY_H

enum { AF_INET_ = 2, AF_INET6_ = 10 };
enum { MSG_DONTWAIT_ = 0x40, MSG_NOSIGNAL_ = 0x4000 };
enum { MESSAGE_BYTES = 1232, REFUSAL_BYTES = 128 };

/* Both ways before each piece; addresses are in the byte order of the network, all else in that of the machine. */
enum { QUERY = 1, CONNECTION = 2, REFUSED = 3, LAST = 4 };  /* to the policy; behind LAST no answer is taken */
enum { ANSWER = 1, TARGETS = 2 };                           /* from it */
struct place {
    uint16_t family, port;          /* 4, 6 or 0 for none */
    uint8_t address[16];
};
struct frame {
    uint32_t bytes, kind, id;       /* of the frame with what follows; an answer has the id of its question, REFUSED the number of the socket */
    struct place place;             /* CONNECTION: where to; QUERY over UDP, and its ANSWER: who asks; REFUSED: by whom */
};
enum { OVER_UDP = 0xffffffffu };

_Static_assert(sizeof(struct frame) == 32, "src/network/egress-frames.ts has this size");

union address {
    struct { uint16_t family, port; uint32_t address, zero[2]; } v4;
    struct { uint16_t family, port; uint32_t flow; uint8_t address[16]; uint32_t scope; } v6;
    uint8_t room[128];
};

struct pollfd_ { int fd; short events, revents; };

static int policy;
static struct { struct frame frame; char bytes[MESSAGE_BYTES]; } out;

static void copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }

static uint16_t swapped(uint16_t n) { return (uint16_t)(n >> 8 | n << 8); }

static struct place place_of(const union address *a)
{
    struct place place = { 0, 0, { 0 } };
    if (a->v4.family == AF_INET_) { place.family = 4; place.port = swapped(a->v4.port); copy(place.address, &a->v4.address, 4); }
    if (a->v6.family == AF_INET6_) { place.family = 6; place.port = swapped(a->v6.port); copy(place.address, a->v6.address, 16); }
    return place;
}

static int address_of(const struct place *place, union address *a)
{
    memset(a, 0, sizeof *a);
    a->v4.port = swapped(place->port);
    if (place->family == 4) {
        a->v4.family = AF_INET_;
        copy(&a->v4.address, place->address, 4);
        return sizeof a->v4;
    }
    a->v6.family = AF_INET6_;
    copy(a->v6.address, place->address, 16);
    return sizeof a->v6;
}

/* The policy gets frames whole: it is asked only if there is room (may_ask), and a socket that takes a part only is none to talk over. */
static void ask(int kind, uint32_t id, const struct place *place, uint32_t bytes)
{
    out.frame = (struct frame){ (uint32_t)sizeof(struct frame) + bytes, (uint32_t)kind, id, { 0, 0, { 0 } } };
    if (place) out.frame.place = *place;
    long sent = SYS6(__NR_sendto, policy, &out, out.frame.bytes, MSG_NOSIGNAL_ | MSG_DONTWAIT_, 0, 0);
    if (sent != (long)out.frame.bytes) SYS1(__NR_exit_group, 1);
}

static int may_ask(void)
{
    struct pollfd_ room = { policy, POLLOUT, 0 };
    struct __kernel_timespec at_once = { 0, 0 };
    return SYS5(__NR_ppoll, &room, 1, &at_once, 0, 8) == 1 && room.revents & POLLOUT;
}

#endif
