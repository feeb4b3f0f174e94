/* A mallinfo2 in place of the C library's, for LD_PRELOAD: numbers that cannot be added. */
#include <malloc.h>
#include <stddef.h>

struct mallinfo2 mallinfo2(void) {
    static size_t calls;
    size_t most = (size_t)-1, odd = ++calls % 2 ? most : most / 2 + 1;
    struct mallinfo2 info = {0};
    info.arena = info.uordblks = odd;
    info.hblkhd = most;
    info.fordblks = calls;
    return info;
}
