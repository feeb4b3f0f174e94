/* A program that a Rust library was linked into: frees what it is given with free. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

extern char *plugin_report(void);

int main(void) {
    for (int i = 0; i < 1000; i++) {
        char *line = plugin_report();
        if (i == 0) printf("%s; usable: %d\n", line, malloc_usable_size(line) > 0);
        free(line);
    }
    puts("done");
    return 0;
}
