/*
 * Exchanges two names of a directory as fast as it can until it gets SIGTERM, and then prints how often: swap A B. For test/kernel and
 * test/security. renameat2(2) RENAME_EXCHANGE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t ends;
static void end(int signal) { ends = signal; }

int main(int count, char **words) {
    if (count != 3) return 2;
    signal(SIGTERM, end);
    long exchanged = 0;
    for (; !ends; exchanged++)
        if (renameat2(AT_FDCWD, words[1], AT_FDCWD, words[2], RENAME_EXCHANGE)) return perror("renameat2"), 1;
    return printf("%ld\n", exchanged) < 0;
}
