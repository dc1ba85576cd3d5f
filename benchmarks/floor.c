/* floor GRAPH JOBS LOGS PROGRAM: the least that running stages can cost: posix_spawn, a log file each, wait4, no record.
 *
 * GRAPH is a text file: the number of stages, then for each stage how many needs it has and their indices. A stage
 * starts when its needs are done, in the order in which that happens; at most JOBS run at once. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

struct stage {
    int waiting, follower_count, *followers;
    pid_t pid;
};

static struct stage *stages;
static int count, *ready, ready_count, next_ready;

static int read_number(FILE *file) {
    int number;
    if (fscanf(file, "%d", &number) != 1) exit(2);
    return number;
}

static void read_graph(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) exit(2);
    count = read_number(file);
    stages = calloc(count, sizeof *stages);
    ready = malloc(count * sizeof *ready);
    for (int i = 0; i < count; i++) {
        stages[i].waiting = read_number(file);
        for (int k = 0; k < stages[i].waiting; k++) {
            struct stage *need = stages + read_number(file);
            int size = need->follower_count;
            if ((size & (size - 1)) == 0) need->followers = realloc(need->followers, (size ? 2 * size : 1) * sizeof(int));
            need->followers[need->follower_count++] = i;
        }
        if (!stages[i].waiting) ready[ready_count++] = i;
    }
    fclose(file);
}

static void start(int i, const char *logs, char *program) {
    char log[PATH_MAX], *argv[] = {program, NULL};
    posix_spawn_file_actions_t actions;
    snprintf(log, sizeof log, "%s/%d.log", logs, i);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawn(&stages[i].pid, program, &actions, NULL, argv, environ)) exit(3);
    posix_spawn_file_actions_destroy(&actions);
}

int main(int words_count, char **words) {
    if (words_count != 5) return 2;
    int jobs = atoi(words[2]), *running = malloc(jobs * sizeof *running), running_count = 0, failed = 0;
    read_graph(words[1]);
    for (int done = 0; done < count; done++) {
        while (running_count < jobs && next_ready < ready_count) {
            running[running_count++] = ready[next_ready];
            start(ready[next_ready++], words[3], words[4]);
        }
        struct rusage used;
        int status, at = 0;
        pid_t pid = wait4(-1, &status, 0, &used);
        if (pid < 0) return 3;
        if (status) failed = 1;
        while (stages[running[at]].pid != pid) at++;
        struct stage *ended = stages + running[at];
        running[at] = running[--running_count];
        for (int k = 0; k < ended->follower_count; k++) {
            int follower = ended->followers[k];
            if (--stages[follower].waiting == 0) ready[ready_count++] = follower;
        }
    }
    return failed;
}
