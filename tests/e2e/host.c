/* A host that is unwell for one process: loaded into lbctld by LD_PRELOAD, told what to do through a mapped file.
   A disk whose syncs hang, a directory of users and names that does not answer, a wall clock that jumps. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long well[3];
static volatile long *told = well; /* ms of every sync, ms of every name, seconds the wall clock is off */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LBCTL_TEST_HOST");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(0, sizeof(well), PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) told = at;
    close(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void hang(int what) {
    for (long gone = 0; gone < told[what]; gone += 5) usleep(5000);
}

/* Only the disk below LBCTL_TEST_DISK hangs, where that is set. */
static int on_that_disk(int fd) {
    const char *disk = getenv("LBCTL_TEST_DISK");
    char link[40], path[4096];
    if (!disk) return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    return size >= (ssize_t)strlen(disk) && !strncmp(path, disk, strlen(disk));
}

int fsync(int fd) { if (on_that_disk(fd)) hang(0); return REAL(fsync)(fd); }
int fdatasync(int fd) { if (on_that_disk(fd)) hang(0); return REAL(fdatasync)(fd); }

int getpwuid_r(uid_t uid, struct passwd *found, char *room, size_t size, struct passwd **result) {
    hang(1);
    return REAL(getpwuid_r)(uid, found, room, size, result);
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    hang(1);
    return REAL(getaddrinfo)(host, port, hints, found);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += told[2];
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec fine;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}
