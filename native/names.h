/* What the name server is asked, and what it says of names and addresses in the networks of its container, which are files. RFC 1035 */
#ifndef COFFER_NAMES_H
#define COFFER_NAMES_H

enum { HEAD = 12, MAX_QUERY = 512, MAX_NAME = 255, TTL_SECONDS = 5 };
enum { A = 1, PTR = 12, AAAA = 28, ANY = 255, INTERNET = 1 };
enum { NO_ERROR = 0, FORMAT_ERROR = 1, SERVER_FAILURE = 2, NOT_IMPLEMENTED = 4, REFUSED = 5 };

struct dirent_ { uint64_t inode; int64_t offset; uint16_t bytes; uint8_t type; char name[]; };

struct query {
    uint8_t bytes[MAX_QUERY];
    uint32_t length;
    uint32_t end;               /* of the question */
    uint16_t type;
    char name[MAX_NAME + 1];    /* in lower case, with dots; empty if it has other bytes than names of ours */
};

static char **networks;
static uint32_t network_count;
static uint8_t reply[2 + 65535];
static uint32_t reply_length;

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static void put16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8); at[1] = (uint8_t)value; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static int is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static uint32_t length_of(const char *text)
{
    uint32_t n = 0;
    while (text[n]) n++;
    return n;
}

/* Answers the code of an error, or NO_ERROR. A name in a question is not compressed: RFC 1035 4.1.4 leaves nothing to point at. */
static int parse(struct query *q)
{
    const uint8_t *b = q->bytes;
    uint32_t at = HEAD, n = 0;
    int is_ours = 1;
    if (b[2] & 0x78) return NOT_IMPLEMENTED;
    if (get16(b + 4) != 1) return FORMAT_ERROR;
    for (;;) {
        if (at >= q->length) return FORMAT_ERROR;
        uint32_t label = b[at++];
        if (label == 0) break;
        if (label > 63 || at + label > q->length || n + label + 1 > MAX_NAME) return FORMAT_ERROR;
        if (n) q->name[n++] = '.';
        for (uint32_t i = 0; i < label; i++) {
            char c = lower((char)b[at++]);
            if (!is_name(c)) is_ours = 0;
            q->name[n++] = c;
        }
    }
    q->name[is_ours ? n : 0] = 0;
    if (at + 4 > q->length) return FORMAT_ERROR;
    q->type = get16(b + at);
    if (get16(b + at + 2) != INTERNET) q->name[0] = 0;
    q->end = at + 4;
    return NO_ERROR;
}

static void begin_reply(const struct query *q, int code)
{
    uint32_t end = q->end ? q->end : HEAD;
    memcpy(reply, q->bytes, end);
    reply[2] = (uint8_t)(0x80 | (q->bytes[2] & 0x79));
    reply[3] = (uint8_t)(0x80 | code);
    put16(reply + 4, q->end ? 1 : 0);
    put16(reply + 6, 0);
    put16(reply + 8, 0);
    put16(reply + 10, 0);
    reply_length = end;
}

/* For the name of the question. What has no room in a packet of 512 bytes is left out. */
static uint8_t *add_record(uint32_t type, uint32_t bytes)
{
    uint8_t *at = reply + reply_length;
    if (reply_length + 12 + bytes > 512) return 0;
    put16(at, 0xc000 | HEAD);
    put16(at + 2, type);
    put16(at + 4, INTERNET);
    put16(at + 6, 0);
    put16(at + 8, TTL_SECONDS);
    put16(at + 10, bytes);
    put16(reply + 6, get16(reply + 6) + 1u);
    reply_length += 12 + bytes;
    return at + 12;
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* Answers how many bytes the digits at the start of the text are; at most `room`. */
static uint32_t from_hex(const char *text, uint8_t *into, uint32_t room)
{
    uint32_t n = 0;
    while (n < room && digit(text[2 * n]) >= 0 && digit(text[2 * n + 1]) >= 0) {
        into[n] = (uint8_t)(digit(text[2 * n]) << 4 | digit(text[2 * n + 1]));
        n++;
    }
    return n;
}

/* `one` and then `two`, of which the last is not ended by a zero; answers 0 if there is no room. */
static int join(char *into, uint32_t room, const char *one, const char *two, const char *three, uint32_t three_bytes)
{
    uint32_t a = length_of(one), b = length_of(two);
    if (a + b + three_bytes + 1 > room) return 0;
    memcpy(into, one, a);
    memcpy(into + a, two, b);
    memcpy(into + a + b, three, three_bytes);
    into[a + b + three_bytes] = 0;
    return 1;
}

static void add_addresses(const char *text, uint32_t length, uint16_t type)
{
    for (uint32_t at = 0; at < length;) {
        uint8_t address[16], *to;
        uint32_t n = from_hex(text + at, address, sizeof address);
        if ((n == 4 && (type == A || type == ANY)) || (n == 16 && (type == AAAA || type == ANY)))
            if ((to = add_record(n == 4 ? A : AAAA, n))) memcpy(to, address, n);
        at += 2 * n;
        while (at < length && text[at] != ' ') at++;
        at++;
    }
}

/* The addresses of all that have the name in a network. Answers whether there is one. */
static int look_up(const char *network, const char *name, uint32_t bytes, uint16_t type)
{
    char path[512];
    char entries[4096] __attribute__((aligned(8)));
    int found = 0;
    /* Neither hidden nor a way out: names begin with a letter or digit, and have no slash. */
    if (bytes == 0 || name[0] == '_' || name[0] == '-' || !join(path, sizeof path, network, "/names/", name, bytes)) return 0;
    long fd = SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    for (;;) {
        long got = SYS3(__NR_getdents64, fd, entries, sizeof entries);
        if (got <= 0) break;
        for (long at = 0; at < got;) {
            struct dirent_ *entry = (struct dirent_ *)(entries + at);
            char text[128] = { 0 };
            at += entry->bytes;
            long length = SYS4(__NR_readlinkat, fd, entry->name, text, sizeof text - 1);
            if (length <= 0) continue;
            found = 1;
            add_addresses(text, (uint32_t)length, type);
        }
    }
    SYS1(__NR_close, fd);
    return found;
}

/* `web.front` is web in the network front: answers how long the part before is. */
static uint32_t before_network(const char *name, const char *network)
{
    uint32_t a = length_of(name), b = length_of(network);
    if (a < b + 2 || name[a - b - 1] != '.') return 0;
    for (uint32_t i = 0; i < b; i++)
        if (name[a - b + i] != lower(network[i])) return 0;
    return a - b - 1;
}

/* The digits of an address that a name below in-addr.arpa or ip6.arpa is about; answers how many, 0 for no such name. */
static uint32_t reverse(const char *name, char *hex)
{
    const char *digits = "0123456789abcdef";
    uint32_t parts[32], count = 0, base, letters = 0;
    const char *at = name;
    while (count < 32 && digit(*at) >= 0) {
        uint32_t value = 0, length = 0;
        const char *from = at;
        for (; digit(*at) >= 0 && length < 3; at++, length++) {
            value = value * 16 + (uint32_t)digit(*at);
            letters |= *at > '9';
        }
        if (*at != '.') return 0;
        at++;
        if (length > 1) { /* decimal */
            value = 0;
            for (; *from != '.'; from++) {
                value = value * 10 + (uint32_t)(*from - '0');
            }
        }
        parts[count++] = value;
    }
    const char *four = "in-addr.arpa", *six = "ip6.arpa", *rest = count == 4 ? four : six;
    base = count == 4 ? 256 : 16;
    if ((count != 4 && count != 32) || (count == 4 && letters) || length_of(at) != length_of(rest)) return 0;
    for (uint32_t i = 0; rest[i]; i++)
        if (at[i] != rest[i]) return 0;
    uint32_t n = 0;
    while (count--) {
        if (parts[count] >= base) return 0;
        if (base == 256) hex[n++] = digits[parts[count] >> 4];
        hex[n++] = digits[parts[count] & 15];
    }
    return n;
}

/* The name of who has the address, in its network. */
static int look_up_address(const char *network, const char *hex, uint32_t bytes)
{
    char path[512], text[512] = { 0 }, name[512];
    uint32_t start = 0;
    if (!join(path, sizeof path, network, "/leases/", hex, bytes)) return 0;
    if (SYS4(__NR_readlinkat, AT_FDCWD, path, text, sizeof text - 1) <= 0) return 0;
    while (text[start] && text[start] != ' ') start++;
    if (!text[start] || !join(name, sizeof name, text + start + 1, ".", network, length_of(network))) return 0;
    uint32_t length = length_of(name);
    uint8_t *to = length < MAX_NAME - 1 ? add_record(PTR, length + 2) : 0;
    if (!to) return 0;
    for (uint32_t at = 0; at <= length;) {
        uint32_t label = 0;
        while (name[at + label] && name[at + label] != '.') label++;
        *to++ = (uint8_t)(label > 63 ? 63 : label);
        memcpy(to, name + at, label);
        to += label;
        at += label + 1;
    }
    *to = 0;
    return 1;
}

/* Makes the reply of a question that is about us; answers 0 for others. */
static int answer(const struct query *q)
{
    int found = 0;
    char hex[33];
    if (!q->name[0]) return 0;
    uint32_t digits = q->type == PTR ? reverse(q->name, hex) : 0;
    begin_reply(q, NO_ERROR);
    for (uint32_t i = 0; i < network_count; i++) {
        uint32_t part = before_network(q->name, networks[i]);
        if (digits) {
            if ((found = look_up_address(networks[i], hex, digits))) break;
            continue;
        }
        if (look_up(networks[i], q->name, length_of(q->name), q->type)) found = 1;
        else if (part && look_up(networks[i], q->name, part, q->type)) found = 1;
    }
    return found;
}

#endif
