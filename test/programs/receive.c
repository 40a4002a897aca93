/*
 * The other end of a unix socket on which a runtime hands a descriptor over; for test/kernel.
 *
 *     receive terminal SOCKET INPUT...  copies what is printed on the terminal that comes until nobody has it open, and answers each
 *                                       question mark with the next INPUT
 *     receive pidfd SOCKET              waits until the process has ended, and says its pid before
 *     receive notify SOCKET ERRNO       prints the state that comes with a seccomp listener, and answers each call with ERRNO; 0 lets it pass
 *
 * It prints "ready" as soon as it listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char message[65536];
static long length;

static int receive(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) return perror(path), -1;
    puts("ready");
    fflush(stdout);
    int peer = accept(listener, 0, 0);
    char control[CMSG_SPACE(sizeof(int) * 8)];
    struct iovec part = {message, sizeof message - 1};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    length = recvmsg(peer, &header, 0);
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    if (length < 0 || !first) return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(first), sizeof fd);
    return fd;
}

static int terminal(int master, char **inputs) {
    for (;;) {
        long got = read(master, message, sizeof message);
        if (got <= 0) return got < 0 && errno != EIO;
        fwrite(message, 1, (size_t)got, stdout);
        fflush(stdout);
        for (long i = 0; i < got; i++)
            if (message[i] == '?' && *inputs && write(master, *inputs, strlen(*inputs)) >= 0) inputs++;
    }
}

static int pidfd(int fd) {
    char path[64], line[256];
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    FILE *info = fopen(path, "r");
    while (info && fgets(line, sizeof line, info))
        if (!strncmp(line, "Pid:", 4)) printf("%d\n", atoi(line + 4));
    fflush(stdout);
    struct pollfd wait = {fd, POLLIN, 0};
    if (poll(&wait, 1, 30000) != 1) return 1;
    return puts("ended") < 0;
}

static int notify(int fd, int error) {
    printf("%.*s\n", (int)length, message);
    fflush(stdout);
    for (;;) {
        struct seccomp_notif request = {0};
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, 30000) != 1 || wait.revents & POLLHUP) return 0;
        if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request)) continue;
        struct seccomp_notif_resp answer = {request.id, 0, -error, error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

int main(int count, char **words) {
    if (count < 3) return 2;
    int fd = receive(words[2]);
    if (fd < 0) return 1;
    if (!strcmp(words[1], "terminal")) return terminal(fd, words + 3);
    if (!strcmp(words[1], "pidfd")) return pidfd(fd);
    if (!strcmp(words[1], "notify")) return notify(fd, count > 3 ? atoi(words[3]) : 0);
    return 2;
}
