/*
 * Both ends of sd_notify(3); for test/kernel/notify-socket.test.ts.
 *
 *     notify receive PATH   makes the socket, says "ready", and prints the first message that comes within 20 s
 *     notify send TEXT      sends it to $NOTIFY_SOCKET
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un addressOf(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

static int receive(int fd, const char *path) {
    struct sockaddr_un address = addressOf(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || chmod(path, 0777)) return perror(path), 1;
    puts("ready");
    fflush(stdout);
    struct pollfd wait = {fd, POLLIN, 0};
    char message[4096];
    if (poll(&wait, 1, 20000) != 1) return 1;
    long length = recv(fd, message, sizeof message, 0);
    return length < 0 || printf("%.*s\n", (int)length, message) < 0;
}

static int transmit(int fd, const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path) return 2;
    struct sockaddr_un address = addressOf(path);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof address) >= 0) return 0;
    perror(path);
    return 1;
}

int main(int count, char **words) {
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (count != 3 || fd < 0) return 2;
    return words[1][0] == 'r' ? receive(fd, words[2]) : transmit(fd, words[2]);
}
