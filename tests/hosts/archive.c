#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

extern char *archive_report(void);

int main(void) {
    for (int i = 0; i < 1000; i++) {
        char *line = archive_report();
        if (i == 0) printf("%s; usable: %d\n", line, malloc_usable_size(line) > 0);
        free(line);
    }
    puts("done");
    return 0;
}
