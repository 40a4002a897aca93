/*
 * Filters as libseccomp makes them from the rules that runc gives it; the other side of test/seccomp-differential.test.ts.
 *
 * Reads profiles, one word after another, and answers each with a line:
 *
 *     profile DEFAULT [arch TOKEN]... [rule ACTION NAME COUNT [ARGUMENT OPERATOR VALUE VALUE]...]... end
 *     ok FILTER [HIGHEST]...        the filter in hexadecimal; for each arch the highest number that libseccomp has for the names
 *     refused ERRNO
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ARCHES = 32, MAX_RULES = 4096 };

struct rule {
    uint32_t action;
    char name[64];
    unsigned int count;
    struct scmp_arg_cmp args[6];
};

static struct rule rules[MAX_RULES];

static int read_rule(struct rule *rule) {
    if (scanf("%" SCNx32 " %63s %u", &rule->action, rule->name, &rule->count) != 3 || rule->count > 6) return -1;
    for (unsigned int i = 0; i < rule->count; i++) {
        unsigned int arg, op;
        uint64_t a, b;
        if (scanf("%u %u %" SCNx64 " %" SCNx64, &arg, &op, &a, &b) != 4) return -1;
        rule->args[i] = (struct scmp_arg_cmp){ .arg = arg, .op = op, .datum_a = a, .datum_b = b };
    }
    return 0;
}

static void print_filter(scmp_filter_ctx context) {
    FILE *file = tmpfile();
    if (!file || seccomp_export_bpf(context, fileno(file)) != 0) exit(3);
    rewind(file);
    printf("ok ");
    for (int byte; (byte = fgetc(file)) != EOF;) printf("%02x", byte);
    fclose(file);
}

static int build(scmp_filter_ctx context, uint32_t default_action, unsigned int count) {
    /* runc does this from 33 rules on. Without it, 2.5.4 forgets to load the number where its first call has none on an architecture. */
    if (count > 0) seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (unsigned int i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];
        if (rule->action == default_action) continue;
        int number = seccomp_syscall_resolve_name(rule->name);
        if (number == __NR_SCMP_ERROR) continue;
        int error = seccomp_rule_add_array(context, rule->action, number, rule->count, rule->args);
        if (error) return error;
    }
    return 0;
}

static int highest(uint32_t arch, unsigned int count) {
    int found = 0;
    for (unsigned int i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name_arch(arch, rules[i].name);
        if (number > found) found = number;
    }
    return found;
}

static int answer(void) {
    uint32_t default_action, arches[MAX_ARCHES];
    unsigned int arch_count = 0, rule_count = 0;
    char word[16];
    if (scanf("%" SCNx32, &default_action) != 1) return -1;
    while (scanf("%15s", word) == 1 && strcmp(word, "end") != 0) {
        if (strcmp(word, "arch") == 0) {
            if (arch_count == MAX_ARCHES || scanf("%" SCNx32, &arches[arch_count++]) != 1) return -1;
        } else if (rule_count == MAX_RULES || read_rule(&rules[rule_count++]) != 0) {
            return -1;
        }
    }
    scmp_filter_ctx context = seccomp_init(default_action);
    if (!context) return -1;
    for (unsigned int i = 0; i < arch_count; i++) {
        int error = seccomp_arch_add(context, arches[i]);
        if (error && error != -EEXIST) return -1;
    }
    int error = build(context, default_action, rule_count);
    if (error) {
        printf("refused %d", -error);
    } else {
        print_filter(context);
        for (unsigned int i = 0; i < arch_count; i++) printf(" %d", highest(arches[i], rule_count));
    }
    printf("\n");
    seccomp_release(context);
    return 0;
}

int main(void) {
    char word[16];
    while (scanf("%15s", word) == 1)
        if (answer() != 0) return 2;
    return 0;
}
