// How the engine counts references: native/quickjs.sed puts these in the place of its ++ and --.
//
// What lies in the snapshot is there for good, so references to it are not counted: a count that changes has its page
// copied, and a start reads most of the program. References from it are counted like all others. docs/decisions/0014
#pragma once

#include <limits.h>
#include <stdint.h>

struct heap;
extern struct heap heap;
// The size of the snapshot, from the start of the heap; 0 as long as it is being made.
extern uintptr_t frozen_bytes;

static inline int is_frozen(const void *at) { return (uintptr_t)at - (uintptr_t)&heap < frozen_bytes; }

static inline void count_up(int *count)
{
    if (!is_frozen(count))
        ++*count;
}

// Answers how many are left: of what is frozen many, so it is never freed, and never changed as if it had one owner.
static inline int count_down(int *count) { return is_frozen(count) ? INT_MAX : --*count; }

static inline int count_of(const int *count) { return is_frozen(count) ? INT_MAX : *count; }
