/* Loads a library late, as a host does, and prints what its one function gives. usage: load LIBRARY */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        printf("dlopen: %s\n", dlerror());
        return 1;
    }
    size_t (*line_length)(void) = (size_t (*)(void))dlsym(library, "line_length");
    if (!line_length) return 3;
    printf("%zu\n", line_length());
    return 0;
}
