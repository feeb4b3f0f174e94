/* A program that loads a plug-in, uses it and unloads it, over and over. usage: reload LIBRARY ROUNDS thread|main|outlive
 * It is used in a thread that then ends, in the main thread, or in a thread that ends after the library is unloaded.
 * Prints what the process holds, in KiB, after a tenth of the rounds and after all, and how often the library was gone. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *library;
static const char *failure;
static pthread_barrier_t used, unloaded;

static void *use(void *unused) {
    char *(*report)(void) = (char *(*)(void))dlsym(library, "plugin_report");
    void (*give_back)(void *) = (void (*)(void *))dlsym(library, "plugin_free");
    size_t (*work)(size_t) = (size_t (*)(size_t))dlsym(library, "plugin_work");
    if (!report || !give_back || !work) {
        failure = "symbol";
        return unused;
    }
    char *line = report();
    if (!strstr(line, "usable: true")) failure = line;
    give_back(line);
    if (work(1 << 16) != 1 << 16) failure = "work";
    return unused;
}

/* The library leaves nothing of its own in the thread: `plugin_work` would, and keep it loaded. */
static void *use_and_outlive(void *unused) {
    char *(*report)(void) = (char *(*)(void))dlsym(library, "plugin_report");
    void (*give_back)(void *) = (void (*)(void *))dlsym(library, "plugin_free");
    give_back(report());
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&unloaded);
    return unused;
}

static void holds(int round) {
    char line[256];
    long rss = 0, size = 0, maps = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status)) sscanf(line, "VmSize: %ld", &size);
    fclose(status);
    FILE *rollup = fopen("/proc/self/smaps_rollup", "r"); /* exact, where VmRSS counts by processor */
    while (fgets(line, sizeof line, rollup)) sscanf(line, "Rss: %ld", &rss);
    fclose(rollup);
    FILE *map = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, map)) maps++;
    fclose(map);
    printf("%d %ld %ld %ld\n", round, rss, size, maps);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int rounds = atoi(argv[2]), gone = 0;
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&unloaded, NULL, 2);
    for (int round = 1; round <= rounds; round++) {
        library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            printf("dlopen in round %d: %s\n", round, dlerror());
            return 1;
        }
        pthread_t thread;
        int outlive = !strcmp(argv[3], "outlive");
        if (!strcmp(argv[3], "main")) {
            use(NULL);
        } else if (outlive) {
            if (pthread_create(&thread, NULL, use_and_outlive, NULL)) return 3;
            pthread_barrier_wait(&used);
        } else if (pthread_create(&thread, NULL, use, NULL) || pthread_join(thread, NULL)) {
            return 3;
        }
        if (failure) {
            printf("round %d: %s\n", round, failure);
            return 4;
        }
        if (dlclose(library)) return 5;
        void *still = dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD);
        gone += !still;
        if (still) dlclose(still);
        if (outlive) {
            pthread_barrier_wait(&unloaded);
            if (pthread_join(thread, NULL)) return 6;
        }
        if (round == rounds / 10 || round == rounds) holds(round);
    }
    printf("gone %d\n", gone);
    return 0;
}
