/*
 * Runs coffer-runc as it is shipped, and meddles with one system call of it or of the processes of its plans; for test/crash.
 *
 *     inject LOG [--also PID] list -- PROGRAM ARG...               writes `ROLE N CALL` for each call into LOG
 *     inject LOG [--also PID] at ROLE N ACTION... -- PROGRAM ARG...  writes `hit CALL` once that call was met
 *
 * A role says who makes a call, and N which of its calls it is, from 0 on:
 *
 *     0      the front, since its last execve      0.1, 0.2  what it forks, until that is an executor
 *     1, 2   its executors, in their order         1.1       the first child of one; 1.1.1 the first child of that
 *     also   a process that is there already: the init that `start` wakes
 *
 * Whatever executes something else (a hook, the program of the container) is let go. Actions, while the call is held, in this order:
 *
 *     errno=NUMBER  the call is not made, and answers this error
 *     kill=ROLE     SIGKILL for that process; with its own role it does not make the call
 *     do=COMMAND    runs it in a shell to its end
 *
 * It ends when the program and all that it follows have ended or were let go, but for an init that waits for `start`, which is left as it is.
 * Its exit status is that of the program, 128 and the signal if that was killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef __x86_64__
#error "how a call is skipped is known for x86_64"
#endif

enum { MAX = 512, ROLE = 64 };
struct traced {
    pid_t pid;
    char role[ROLE];
    int known;    /* its parent has told of it, or is not waited for */
    int stopped;  /* before that */
    int calls, children, waits;
};
static struct traced all[MAX];
static pid_t untold[MAX];  /* ended before their parents told of them: let_go */
static int count, executors, untold_count;
static FILE *out;
static const char *at_role, *actions[8], *script;
static int at_call = -1, action_count, lists, acted;
static pid_t front, held, victim, command, also;
static long answer;       /* what the skipped call answers when it returns */
static pid_t answering;
static int status_of_front = -1;

static struct traced *find(pid_t pid) {
    for (int i = 0; i < count; i++) if (all[i].pid == pid) return &all[i];
    return 0;
}

static struct traced *add(pid_t pid) {
    if (count == MAX) exit(70);
    struct traced *t = &all[count++];
    memset(t, 0, sizeof *t);
    t->pid = pid;
    return t;
}

static void drop(struct traced *t) { *t = all[--count]; }

static struct traced *by_role(const char *role) {
    for (int i = 0; i < count; i++) if (all[i].known && !strcmp(all[i].role, role)) return &all[i];
    return 0;
}

/* Who makes none of the calls that count runs at full speed between its forks. */
static void go_on(struct traced *t, int sig) {
    int follows = lists || t->role[0] != '0' || at_role[0] == '0';
    ptrace(follows ? PTRACE_SYSCALL : PTRACE_CONT, t->pid, 0, (long)sig);
}

/* An init of `create` reads from its fifo until somebody starts it. */
static int reads_fifo(pid_t pid, unsigned long call, long fd) {
    char path[64], target[256];
    if (call != SYS_read) return 0;
    snprintf(path, sizeof path, "/proc/%d/fd/%ld", pid, fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) return 0;
    target[n] = 0;
    return strstr(target, "/exec.fifo") != 0;
}

static void skip(struct traced *t, long error) {
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, t->pid, 0, &regs);
    regs.orig_rax = -1;
    ptrace(PTRACE_SETREGS, t->pid, 0, &regs);
    answer = -error;
    answering = t->pid;
}

static void act(struct traced *t) {
    held = t->pid;
    acted = 1;
    for (int i = 0; i < action_count; i++) {
        const char *word = actions[i];
        if (!strncmp(word, "errno=", 6)) skip(t, atol(word + 6));
        if (!strncmp(word, "do=", 3)) script = word + 3;
        struct traced *who = strncmp(word, "kill=", 5) ? 0 : by_role(word + 5);
        if (!who) continue;
        victim = who->pid;
        kill(victim, SIGKILL);
        if (who == t) held = 0;
    }
}

/* Lets the held process go on once who was to be killed is gone and the command has ended. */
static void advance(void) {
    if (victim || command) return;
    if (script) {
        command = fork();
        if (!command) {
            execl("/bin/sh", "sh", "-c", script, (char *)0);
            _exit(127);
        }
        script = 0;
        return;
    }
    struct traced *t = find(held);
    held = 0;
    if (t) go_on(t, 0);
}

/* Answers whether the process stays where it is. */
static int entered(struct traced *t, const struct __ptrace_syscall_info *info) {
    int number = t->calls++;
    t->waits = reads_fifo(t->pid, info->entry.nr, (long)info->entry.args[0]);
    if (lists) fprintf(out, "%s %d %llu\n", t->role, number, (unsigned long long)info->entry.nr);
    if (acted || !at_role || strcmp(at_role, t->role) || number != at_call) return 0;
    fprintf(out, "hit %llu\n", (unsigned long long)info->entry.nr);
    fflush(out);
    act(t);
    advance();
    return 1;
}

static void stopped_at_call(struct traced *t) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof info, &info) <= 0) { go_on(t, 0); return; }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        if (entered(t, &info)) return;
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        t->waits = 0;
        if (answering == t->pid) {
            struct user_regs_struct regs;
            ptrace(PTRACE_GETREGS, t->pid, 0, &regs);
            regs.rax = (unsigned long long)answer;
            ptrace(PTRACE_SETREGS, t->pid, 0, &regs);
            answering = 0;
        }
    }
    go_on(t, 0);
}

static void name_child(struct traced *parent, pid_t pid) {
    struct traced *t = find(pid);
    int order = ++parent->children;
    for (int i = 0; i < untold_count; i++)
        if (untold[i] == pid) { untold[i] = untold[--untold_count]; return; }
    char role[ROLE];
    snprintf(role, sizeof role, "%.40s.%d", parent->role, order);
    if (!t) t = add(pid);
    strcpy(t->role, role);
    t->known = 1;
    if (t->stopped) go_on(t, 0);
}

static void executed(struct traced *t) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/%d/exe", t->pid);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    t->calls = 0;
    /* Its parent has not told of it yet, and is still going to. */
    if (t->pid == front || !t->role[0]) { go_on(t, 0); return; }
    if (!strncmp(t->role, "0.", 2) && !strncmp(target, "/memfd:coffer", 13)) {
        snprintf(t->role, sizeof t->role, "%d", ++executors);
        go_on(t, 0);
        return;
    }
    pid_t pid = t->pid;
    drop(t);
    ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void stopped(struct traced *t, int status) {
    int sig = WSTOPSIG(status), event = status >> 16;
    if (sig == (SIGTRAP | 0x80)) { stopped_at_call(t); return; }
    switch (event) {
    case PTRACE_EVENT_FORK: case PTRACE_EVENT_VFORK: case PTRACE_EVENT_CLONE: {
        unsigned long pid;
        ptrace(PTRACE_GETEVENTMSG, t->pid, 0, &pid);
        pid_t parent = t->pid;
        name_child(t, (pid_t)pid);
        go_on(find(parent), 0);
        return;
    }
    case PTRACE_EVENT_EXEC: executed(t); return;
    case PTRACE_EVENT_STOP:
        if (sig == SIGTRAP) go_on(t, 0);
        else ptrace(PTRACE_LISTEN, t->pid, 0, 0);
        return;
    default: go_on(t, sig);
    }
}

/* Once somebody may have been killed, a parent may never tell of its child, which must not wait for that. */
static void let_go(struct traced *t) {
    t->known = 1;
    t->stopped = 0;
    go_on(t, 0);
}

static int is_over(void) {
    if (status_of_front < 0 || held || victim || command) return 0;
    for (int i = 0; i < count; i++) {
        if (!all[i].known) continue;
        /* Whom nobody has woken waits on; whom somebody has, goes on. */
        if (all[i].waits && (all[i].pid != also || status_of_front != 0)) continue;
        return 0;
    }
    return 1;
}

static void ended(pid_t pid, int status) {
    if (pid == front) status_of_front = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    struct traced *t = find(pid);
    if (t && !t->role[0] && untold_count < MAX) untold[untold_count++] = pid;
    if (t) drop(t);
    if (pid == held) held = 0;
    if (WIFSIGNALED(status) && acted)
        for (int i = 0; i < count; i++) if (!all[i].known && all[i].stopped) let_go(&all[i]);
    if (pid != victim && pid != command) return;
    if (pid == victim) victim = 0;
    else command = 0;
    advance();
}

static void begin(char **argv) {
    int gate[2];
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (pipe2(gate, O_CLOEXEC)) exit(71);
    front = fork();
    if (front == 0) {
        char byte;
        close(gate[1]);
        while (read(gate[0], &byte, 1) > 0) {}
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    if (ptrace(PTRACE_SEIZE, front, 0, options)) { perror("PTRACE_SEIZE"); exit(72); }
    struct traced *t = add(front);
    strcpy(t->role, "0");
    t->known = 1;
    if (also) {
        if (ptrace(PTRACE_SEIZE, also, 0, options) || ptrace(PTRACE_INTERRUPT, also, 0, 0)) { perror("PTRACE_SEIZE"); exit(72); }
        t = add(also);
        strcpy(t->role, "also");
        t->known = 1;
    }
    close(gate[0]);
    close(gate[1]);
}

int main(int argc, char **argv) {
    int i = 1;
    if (argc < 5) return 2;
    out = fopen(argv[i++], "we");
    if (!out) { perror("the log"); return 2; }
    if (!strcmp(argv[i], "--also")) { also = atoi(argv[i + 1]); i += 2; }
    lists = !strcmp(argv[i], "list");
    if (lists) i++;
    else { at_role = argv[i + 1]; at_call = atoi(argv[i + 2]); i += 3; }
    for (; i < argc && strcmp(argv[i], "--"); i++) if (action_count < 8) actions[action_count++] = argv[i];
    begin(argv + i + 1);
    while (!is_over()) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) { if (errno == EINTR) continue; break; }
        if (!WIFSTOPPED(status)) { ended(pid, status); continue; }
        struct traced *t = find(pid);
        if (!t || !t->known) {
            if (!t) t = add(pid);
            t->stopped = 1;
            if (acted) let_go(t);
            continue;
        }
        stopped(t, status);
    }
    fclose(out);
    return status_of_front < 0 ? 73 : status_of_front;
}
