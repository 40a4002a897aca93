/* Exchanges two names of a directory as fast as it can until it is ended: swap A B. For test/kernel. renameat2(2) RENAME_EXCHANGE */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    for (;;)
        if (renameat2(AT_FDCWD, words[1], AT_FDCWD, words[2], RENAME_EXCHANGE)) return perror("renameat2"), 1;
}
