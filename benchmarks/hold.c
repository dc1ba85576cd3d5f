/* hold LEDGER WORK_US [FILE SIZE UNITS] ...: a stage that says when it was there, and whether it had what it took.
 *
 * Appends "begin NS RUN STAGE ATTEMPT PID NAME=IN_USE/SIZE ..." and, after WORK_US, "end NS RUN STAGE ATTEMPT PID" to
 * LEDGER, with the monotonic clock. A pool is a FILE whose bytes are its units: whoever holds units has so many bytes
 * locked, and the kernel unlocks them when the process is gone, however it ends. These locks know nothing of Stagebook.
 * Who finds fewer bytes free than it has units writes "over NS RUN STAGE ATTEMPT PID NAME". The time is taken first. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNITS_MAX 64

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static const char *named(const char *name) {
    const char *value = getenv(name);
    return value ? value : "-";
}

static int ledger;

static void note(const char *word, long long ns, const char *more) {
    char line[1024];
    int length = snprintf(line, sizeof line, "%s %lld %s %s %s %d%s\n", word, ns, named("STAGEBOOK_RUN"),
                          named("STAGEBOOK_STAGE"), named("STAGEBOOK_ATTEMPT"), (int)getpid(), more);
    if (length <= 0 || length >= (int)sizeof line || write(ledger, line, length) != length) exit(3);
}

/* Lock so many bytes and say how many are locked by anybody, -1 where fewer are free. Those who come and go meanwhile
 * may be met on one byte after another, so it looks again. */
static int take(const char *path, int size, int units) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char is_mine[UNITS_MAX] = {0};
    int got = 0, used = 0;
    if (file < 0 || size > UNITS_MAX) exit(3);
    for (int look = 0; look < 5 && got < units; look++)
        for (int byte = 0; byte < size && got < units; byte++) {
            struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
            if (!is_mine[byte] && fcntl(file, F_OFD_SETLK, &lock) == 0) is_mine[byte] = 1, got++;
        }
    for (int byte = 0; byte < size; byte++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
        if (!is_mine[byte] && fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) used++;
    }
    return got < units ? -1 : got + used;
}

int main(int count, char **words) {
    long long begun = now_ns();
    char more[512] = "";

    if (count < 3 || count % 3) return 2;
    ledger = open(words[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (ledger < 0) return 3;
    for (int at = 3; at < count; at += 3) {
        const char *slash = strrchr(words[at], '/'), *name = slash ? slash + 1 : words[at];
        int size = atoi(words[at + 1]), used = take(words[at], size, atoi(words[at + 2]));
        char over[128];
        snprintf(over, sizeof over, " %s", name);
        if (used < 0) note("over", begun, over);
        snprintf(more + strlen(more), sizeof more - strlen(more), " %s=%d/%d", name, used < 0 ? size + 1 : used, size);
    }
    note("begin", begun, more);
    usleep(atoi(words[2]));
    note("end", now_ns(), "");
    return 0;
}
