/* Numbers of system calls as libseccomp has them: for every name on stdin a line with that of each architecture token in the arguments. */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    char name[64];
    while (scanf("%63s", name) == 1) {
        printf("%s", name);
        for (int i = 1; i < argc; i++)
            printf(" %d", seccomp_syscall_resolve_name_arch((uint32_t)strtoul(argv[i], NULL, 16), name));
        printf("\n");
    }
    return 0;
}
