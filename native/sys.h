/* The kernel without a C library: raw system calls, the process entry, and the two functions that compilers call unasked. */
#ifndef COFFER_SYS_H
#define COFFER_SYS_H
#include <stddef.h>
#include <stdint.h>

#if defined(COFFER_FUZZ)
/* The one seam of test/fuzz/executor.c: it has a `sys` of its own, and that program makes no system call for a plan. */
static long sys(long n, long a, long b, long c, long d, long e, long f);
#elif defined(__x86_64__)
static inline long sys(long n, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start:\n xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call entry\n hlt\n");
#elif defined(__aarch64__)
static inline long sys(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                  x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
__asm__(".globl _start\n_start:\n mov x29,#0\n mov x0,sp\n bl entry\n");
#else
#error "coffer knows the system calls of x86_64 and aarch64"
#endif

#define SYS6(n, a, b, c, d, e, f) sys((long)(n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS0(n) SYS6(n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) SYS6(n, a, 0, 0, 0, 0, 0)
#define SYS2(n, a, b) SYS6(n, a, b, 0, 0, 0, 0)
#define SYS3(n, a, b, c) SYS6(n, a, b, c, 0, 0, 0)
#define SYS4(n, a, b, c, d) SYS6(n, a, b, c, d, 0, 0)
#define SYS5(n, a, b, c, d, e) SYS6(n, a, b, c, d, e, 0)

__attribute__((used)) void *memcpy(void *to, const void *from, size_t bytes)
{
    char *t = to;
    const char *f = from;
    while (bytes--) *t++ = *f++;
    return to;
}
__attribute__((used)) void *memset(void *to, int value, size_t bytes)
{
    char *t = to;
    while (bytes--) *t++ = (char)value;
    return to;
}
#endif
