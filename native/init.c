/* The first process of a box: it stays, and so do the namespaces. What it inherits is not its own to wait for, so the kernel reaps it;
 * what it keeps open shows to nobody inside, as it is not dumpable. Ends when it is killed. pid_namespaces(7), sigaction(2) SIGCHLD */
#include <linux/prctl.h>
#include <asm/unistd.h>
#include "sys.h"

enum { SIGCHLD_ = 17, IGNORE = 1 };

__attribute__((used)) void entry(void)
{
    uint64_t act[4] = { IGNORE };
    SYS5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    SYS5(__NR_prctl, PR_SET_NAME, "coffer-init", 0, 0, 0);
    SYS4(__NR_rt_sigaction, SIGCHLD_, act, 0, 8);
    for (;;) SYS5(__NR_ppoll, 0, 0, 0, 0, 8);
}
