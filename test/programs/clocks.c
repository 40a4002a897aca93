/* Prints the clocks that a time namespace can change, in whole seconds: monotonic, boottime. */
#include <stdio.h>
#include <time.h>

int main(void)
{
    struct timespec monotonic, boottime;
    if (clock_gettime(CLOCK_MONOTONIC, &monotonic) || clock_gettime(CLOCK_BOOTTIME, &boottime)) return 1;
    printf("%ld %ld\n", (long)monotonic.tv_sec, (long)boottime.tv_sec);
    return 0;
}
