/* The host of a library: linked to it (the staticlib), or loading the one that its argument names. Memory from a library on
 * the system allocator is given to the host's own free. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef LINKED
extern char *every_artifact_report(void);
extern void every_artifact_free(char *);
#else
#include <dlfcn.h>
#endif

int main(int argc, char **argv) {
    char *(*report)(void);
    void (*give_back)(char *);
#ifdef LINKED
    (void)argc, (void)argv;
    report = every_artifact_report;
    give_back = every_artifact_free;
#else
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library) {
        fprintf(stderr, "dlopen: %s\n", argc == 2 ? dlerror() : "name one library");
        return 1;
    }
    report = (char *(*)(void))dlsym(library, "every_artifact_report");
    give_back = (void (*)(char *))dlsym(library, "every_artifact_free");
    if (!report || !give_back) return 1;
#endif
    for (int i = 0; i < 1000; i++) {
        char *line = report();
        if (i == 0) puts(line);
        if (strstr(line, ": system ")) free(line);
        else give_back(line);
    }
    return 0;
}
