/* A malloc in place of the C library's, for LD_PRELOAD: one arena, from front to back. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static char arena[1 << 30] __attribute__((aligned(4096)));
static size_t end;

static void *take(size_t align, size_t size) {
    size_t at, next;
    if (align < 16) align = 16;
    do {
        at = __atomic_load_n(&end, __ATOMIC_RELAXED);
        next = (at + sizeof(size_t) + align - 1) / align * align;
        if (size > sizeof arena - next) return NULL;
    } while (!__sync_bool_compare_and_swap(&end, at, next + size));
    memcpy(arena + next - sizeof(size_t), &size, sizeof size); /* for realloc */
    return arena + next;
}

static size_t size_of(void *block) {
    size_t size;
    memcpy(&size, (char *)block - sizeof size, sizeof size);
    return size;
}

void *malloc(size_t size) { return take(16, size); }
void *calloc(size_t count, size_t size) { return take(16, count * size); }
void *aligned_alloc(size_t align, size_t size) { return take(align, size); }
void *memalign(size_t align, size_t size) { return take(align, size); }
void free(void *block) { (void)block; }
size_t malloc_usable_size(void *block) { return block ? size_of(block) : 0; }

int posix_memalign(void **out, size_t align, size_t size) {
    *out = take(align, size);
    return *out ? 0 : 12;
}

void *realloc(void *block, size_t size) {
    void *moved = take(16, size);
    if (block && moved) memcpy(moved, block, size_of(block) < size ? size_of(block) : size);
    return moved;
}
