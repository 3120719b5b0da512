/* Compiles a profile with libseccomp as runc does, for the test that compares verdicts.
 *
 * Input, one word a space:  default ACTION optimize LEVEL native TOKEN, then any of  arch TOKEN  and
 * rule ACTION NAME COUNT (INDEX OPERATOR VALUE VALUE2)*. Output: the program. Standard error: `unknown NAME` lines. */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    uint32_t action, token, optimize;
    char word[128];
    if (scanf(" default %" SCNu32 " optimize %" SCNu32 " native %" SCNu32, &action, &optimize, &token) != 3)
        return 2;
    uint32_t standard = action;
    scmp_filter_ctx ctx = seccomp_init(standard);
    if (token != seccomp_arch_native() && (seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE) || seccomp_arch_add(ctx, token)))
        return 3;
    if (optimize && seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, optimize))
        return 4;
    while (scanf("%127s", word) == 1) {
        if (!strcmp(word, "arch")) {
            if (scanf("%" SCNu32, &token) != 1)
                return 5;
            int error = seccomp_arch_add(ctx, token);
            if (error && error != -EEXIST)
                return 6;
            continue;
        }
        unsigned count;
        struct scmp_arg_cmp args[6];
        if (scanf("%" SCNu32 " %127s %u", &action, word, &count) != 3 || count > 6)
            return 7;
        for (unsigned i = 0; i < count; i++) {
            unsigned index, op;
            uint64_t a, b;
            if (scanf("%u %u %" SCNu64 " %" SCNu64, &index, &op, &a, &b) != 4)
                return 8;
            args[i] = SCMP_CMP(index, op, a, b);
        }
        int call = seccomp_syscall_resolve_name(word);
        if (call == __NR_SCMP_ERROR) {
            fprintf(stderr, "unknown %s\n", word);
            continue;
        }
        if (action == standard)
            continue;
        int error = seccomp_rule_add_array(ctx, action, call, count, args);
        if (error)
            fprintf(stderr, "error %d for %s\n", error, word);
    }
    return seccomp_export_bpf(ctx, 1) ? 9 : 0;
}
