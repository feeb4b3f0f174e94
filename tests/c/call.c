/* Loads a library and calls a function of it once. usage: call LIBRARY FUNCTION NUMBER */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        printf("dlopen: %s\n", dlerror());
        return 1;
    }
    size_t (*function)(size_t) = (size_t (*)(size_t))dlsym(library, argv[2]);
    if (!function) return 3;
    printf("%zu\n", function(strtoul(argv[3], NULL, 10)));
    return 0;
}
