/* Runs programs one after another and says how long some of them took, in nanoseconds, a line each.
 *
 * Actions come on stdin, one a line, words separated by tabs:
 *
 * | action                | does                                                                                   |
 * |-----------------------|----------------------------------------------------------------------------------------|
 * | time PROGRAM ARG...   | run it, wait for its end, print the time from before it was made to behind its end     |
 * | do PROGRAM ARG...     | run it, wait for its end                                                               |
 * | pause MS              | other work for so long: memory is read and written, then nothing is done               |
 * | reap                  | wait until no child is left; what a runtime leaves behind becomes a child of this      |
 *
 * A program that does not end with status 0 ends all of it. Programs get /dev/null as input and output. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MAX_WORDS = 256, OTHER_BYTES = 8 << 20, PAGE = 4096 };

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static _Noreturn void stop(const char *what, int number)
{
    fprintf(stderr, "timer: %s: %d\n", what, number);
    exit(1);
}

static char *read_actions(void)
{
    size_t room = 1 << 20, length = 0;
    char *text = malloc(room);
    for (;;) {
        ssize_t got = text ? read(0, text + length, room - length - 1) : -1;
        if (got < 0) stop("cannot read the actions", errno);
        length += (size_t)got;
        text[length] = 0;
        if (got == 0) return text;
        if (room - length < 2) text = realloc(text, room *= 2);
    }
}

/* Runs a program; answers the nanoseconds. */
static long run(char **words)
{
    pid_t pid;
    int status;
    long begin = now();
    int error = posix_spawn(&pid, words[0], NULL, NULL, words, environ);
    if (error) stop(words[0], error);
    if (waitpid(pid, &status, 0) != pid) stop("waitpid", errno);
    long took = now() - begin;
    if (status == 0) return took;
    for (int i = 0; words[i]; i++) fprintf(stderr, "%s ", words[i]);
    stop("ended with status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* What a machine does between two containers: other data takes their place in the caches, and the processor goes to sleep. */
static void pause_for(long ms)
{
    static char other[OTHER_BYTES];
    long end = now() + ms * 1000000;
    for (size_t i = 0; i < sizeof other; i += 64) other[i]++;
    long left = end - now();
    struct timespec t = { left / 1000000000, left % 1000000000 };
    if (left > 0) nanosleep(&t, NULL);
}

static void reap(void)
{
    while (wait(NULL) > 0 || errno == EINTR);
}

static void perform(char *line, FILE *results)
{
    char *words[MAX_WORDS + 1] = { 0 };
    int count = 0;
    for (char *word = strtok(line, "\t"); word; word = strtok(NULL, "\t")) {
        if (count == MAX_WORDS) stop("too many words", count);
        words[count++] = word;
    }
    if (count > 1 && !strcmp(words[0], "time")) fprintf(results, "%ld\n", run(words + 1));
    else if (count > 1 && !strcmp(words[0], "do")) run(words + 1);
    else if (count > 1 && !strcmp(words[0], "pause")) pause_for(atol(words[1]));
    else if (count > 0 && !strcmp(words[0], "reap")) reap();
    else stop(line, count);
}

int main(void)
{
    char *next = read_actions();
    int result_fd = fcntl(1, F_DUPFD_CLOEXEC, 3), null = open("/dev/null", O_RDWR);
    if (result_fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) stop("cannot set up", errno);
    close(null);
    FILE *results = fdopen(result_fd, "w");
    if (!results || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) stop("cannot set up", errno);
    while (*next) {
        char *line = next, *end = strchr(next, '\n');
        next = end ? end + 1 : next + strlen(next);
        if (end) *end = 0;
        perform(line, results);
    }
    return fclose(results) ? 1 : 0;
}
