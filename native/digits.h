#ifndef COFFER_DIGITS_H
#define COFFER_DIGITS_H

/* Decimal digits at `at`, without a NUL; answers what is behind them. */
static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + value % 10); while (value /= 10);
    while (n) *at++ = digits[--n];
    return at;
}

#endif
