/* measure OUT COMMAND ...: run a command and write "wall_s cpu_s peak_kib status" of it and all it waited for to OUT.
 *
 * Why not from Python: Linux counts the peak of a process from before it became the program, so a child of a large
 * parent can never be measured as small. This parent is small. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_between(struct timespec from, struct timespec to) {
    return (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9;
}

static double seconds_of(struct timeval used) {
    return used.tv_sec + used.tv_usec / 1e6;
}

int main(int count, char **words) {
    struct timespec before, after;
    struct rusage used;
    int status;

    if (count < 3) return 2;
    clock_gettime(CLOCK_MONOTONIC, &before);
    pid_t child = vfork();
    if (child < 0) return 2;
    if (child == 0) {
        execvp(words[2], words + 2);
        _exit(127);
    }
    if (wait4(child, &status, 0, &used) != child) return 2;
    clock_gettime(CLOCK_MONOTONIC, &after);

    FILE *out = fopen(words[1], "w");
    if (!out) return 2;
    fprintf(out, "%.6f %.6f %ld %d\n", seconds_between(before, after), seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
            used.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return fclose(out) ? 2 : 0;
}
