// The engine's allocator, and the snapshot of it.
//
// A process of coffer lives for a millisecond, so memory is not given back to the kernel, and the freed block that fits
// is reused at once: what costs time is the first touch of a page. A block has its size in front of it, and sizes are
// multiples of 16 with that.

#define _GNU_SOURCE
#include "heap.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_(macro) #macro
#define TEXT(macro) TEXT_(macro)

// A segment of its own without bytes in the file. The linker is told its address, which is thereby the same in all
// copies of the program.
__asm__(".pushsection .heap, \"aw\", @nobits\n"
        ".balign 4096\n"
        ".globl heap\n"
        "heap: .skip " TEXT(HEAP_BYTES) "\n"
        ".popsection");

enum { HEADER = sizeof(size_t), SMALL_MAX = SMALL_CLASSES * 16, CHUNK_BYTES = 8 << 20, PAGE = 4096 };

uintptr_t frozen_bytes;

static size_t size_of(const void *block) { return *(const size_t *)((const char *)block - HEADER); }

static int large_class(size_t size) { return 63 - __builtin_clzl(size); }

static size_t block_size(size_t bytes)
{
    size_t size = (bytes + HEADER + 15) & ~(size_t)15;
    // Powers of two keep one list per class enough: every block of a class fits every request of it.
    return size <= SMALL_MAX ? size : (size_t)1 << (64 - __builtin_clzl(size - 1));
}

static struct free_block **list_for(size_t size)
{
    return size <= SMALL_MAX ? &heap.small[size / 16 - 1] : &heap.large[large_class(size)];
}

static void *fresh(size_t size)
{
    if ((size_t)(heap.end - heap.next) < size) {
        size_t chunk = size > CHUNK_BYTES ? (size + PAGE - 1) & ~(size_t)(PAGE - 1) : CHUNK_BYTES;
        char *start = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED)
            return NULL;
        heap.next = start;
        heap.end = start + chunk;
    }
    struct free_block *block = (struct free_block *)heap.next;
    heap.next += size;
    block->size = size;
    heap.last = (char *)block + HEADER;
    return heap.last;
}

static void *allocate(JSMallocState *state, size_t bytes)
{
    if (bytes > (size_t)1 << 46)
        return NULL;
    size_t size = block_size(bytes);
    struct free_block **list = list_for(size), *block = *list;
    state->malloc_count++;
    state->malloc_size += size;
    if (!block)
        return fresh(size);
    *list = block->next;
    return (char *)block + HEADER;
}

static void release(JSMallocState *state, void *block)
{
    // A block of the snapshot, if it were used again, would make what is in it count as frozen.
    if (!block || is_frozen(block))
        return;
    size_t size = size_of(block);
#ifdef OVERWRITE_FREED
    memset(block, 0xdd, size - HEADER);
#endif
    struct free_block *freed = (struct free_block *)((char *)block - HEADER), **list = list_for(size);
    freed->next = *list;
    *list = freed;
    state->malloc_count--;
    state->malloc_size -= size;
}

static void *resize(JSMallocState *state, void *block, size_t bytes)
{
    if (!block)
        return bytes == 0 ? NULL : allocate(state, bytes);
    if (bytes == 0) {
        release(state, block);
        return NULL;
    }
    size_t had = size_of(block), wants = block_size(bytes);
    if (wants <= had)
        return block;
    if (block == heap.last && (size_t)(heap.end - heap.next) >= wants - had) {
        *(size_t *)((char *)block - HEADER) = wants;
        heap.next += wants - had;
        state->malloc_size += wants - had;
        return block;
    }
    void *moved = allocate(state, bytes);
    if (!moved)
        return NULL;
    memcpy(moved, block, had - HEADER);
    release(state, block);
    return moved;
}

static size_t usable(const void *block) { return block ? size_of(block) - HEADER : 0; }

const JSMallocFunctions heap_functions = {allocate, release, resize, usable};

void heap_start(void)
{
    heap.next = heap.blocks;
    heap.end = heap.blocks + (HEAP_BYTES - offsetof(struct heap, blocks));
}

bool heap_is_whole(void) { return heap.end == (char *)&heap + HEAP_BYTES; }

void heap_clear(void)
{
    memset(&heap, 0, (size_t)(heap.next - (char *)&heap));
}

void heap_freeze(void)
{
    memset(heap.small, 0, sizeof heap.small);
    memset(heap.large, 0, sizeof heap.large);
    heap.last = NULL;
    heap.next = (char *)(((uintptr_t)heap.next + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    heap.frozen_bytes = (uintptr_t)heap.next - (uintptr_t)&heap;
}

void heap_thaw(void) { frozen_bytes = heap.frozen_bytes; }

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, bytes, length);
        if (wrote < 0)
            return false;
        bytes += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

// Gives the heap's segment bytes, behind all others in the file, and says where. elf(5): p_filesz bytes are mapped, the
// rest up to p_memsz is zero.
static size_t place_heap(char *image, size_t end, size_t length)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)image;
    Elf64_Phdr *segments = (Elf64_Phdr *)(image + header->e_phoff);
    size_t offset = (end + PAGE - 1) & ~(size_t)(PAGE - 1), placed = 0;
    for (int i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr == (uintptr_t)&heap) {
            segments[i].p_offset = placed = offset;
            segments[i].p_filesz = length;
        }
    // A segment that is half of the file and half zeros cannot be said with one section. Without sections, strip(1)
    // refuses instead of breaking it.
    header->e_shoff = 0;
    header->e_shnum = 0;
    header->e_shstrndx = 0;
    return placed;
}

bool heap_write_program(const char *path)
{
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (self < 0 || fstat(self, &status) < 0)
        return false;
    size_t end = (size_t)status.st_size, length = (size_t)(heap.next - (char *)&heap);
    char *image = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_PRIVATE, self, 0);
    if (image == MAP_FAILED)
        return false;
    size_t offset = place_heap(image, end, length);
    if (offset == 0) {
        errno = ENOEXEC;
        return false;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    return fd >= 0 && write_all(fd, image, end) && lseek(fd, (off_t)offset, SEEK_SET) >= 0 &&
           write_all(fd, (const char *)&heap, length) && close(fd) == 0;
}
