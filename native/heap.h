// The heap of the embedded engine: at one fixed address, so that it can be written into the binary and is there again
// at the next start.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <quickjs.h>

// Of addresses, not of memory. What does not fit comes from mmap(2).
#define HEAP_BYTES 33554432

enum {
    SMALL_CLASSES = 64,      // Blocks of 16, 32, … 1024 bytes.
    LARGE_CLASSES = 48,      // Blocks of 2 KiB, 4 KiB, …
};

// A freed block keeps its place and its size; it is found again by its class.
struct free_block {
    size_t size;
    struct free_block *next;
};

// The start of the heap. Everything that a start needs to find is here, so nothing else of the process is part of the
// snapshot.
struct heap {
    JSContext *context;   // NULL as long as nothing has been loaded.
    JSValue main;         // What the loaded program exports under this name.
    JSValue native;       // The global of that name,
    JSValue uint8_array;  // and what it needs.
    JSAtom buffer, byte_offset, byte_length;
    char *next, *end;     // Memory that was never handed out.
    char *last;           // The block handed out last; it can grow in place.
    uintptr_t frozen_bytes;
    struct free_block *small[SMALL_CLASSES];
    struct free_block *large[LARGE_CLASSES];
    _Alignas(16) char blocks[];
};

extern struct heap heap;
extern const JSMallocFunctions heap_functions;

void heap_start(void);

// Forgets what was freed, so that a start writes to few pages of the snapshot. Each is copied when it is written to
// first.
void heap_freeze(void);

// To be called when the frozen heap is found at a start, before the engine runs: see counted.h.
void heap_thaw(void);

// Nothing of it came from mmap(2): only such a heap can be cleared or written.
bool heap_is_whole(void);

// Forgets all that was allocated; an engine in it must not be used any more. heap_start makes it ready again.
void heap_clear(void);

// Writes this program with its heap to `path`, as an executable; false, with errno set, if that failed.
bool heap_write_program(const char *path);
