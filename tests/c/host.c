/* A program that was not linked to the library it loads. usage: host LIBRARY free|plugin_free */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    for (int round = 0; round < 2; round++) { /* loaded, unloaded, loaded again */
        void *library = dlopen(argv[1], RTLD_NOW);
        if (!library) {
            printf("dlopen: %s\n", dlerror());
            return 1;
        }
        char *(*report)(void) = (char *(*)(void))dlsym(library, "plugin_report");
        size_t (*work)(size_t) = (size_t (*)(size_t))dlsym(library, "plugin_work");
        void (*give_back)(void *) = (void (*)(void *))dlsym(library, "plugin_free");
        if (!report || !work || !give_back) return 3;
        if (!strcmp(argv[2], "free")) give_back = free;
        for (int i = 0; i < 1000; i++) {
            char *line = report();
            if (i == 0) puts(line);
            give_back(line);
        }
        if (work(1 << 20) != 1 << 20) return 4;
        if (dlclose(library)) return 5;
    }
    puts("done");
    return 0;
}
