// refusals: preloaded into bakstore, makes a restore's target a worse medium than it is. Calls beneath the folder
// REFUSE_IN alone are meant.
//
// REFUSE=CALL=ERRNO,…  those calls fail so: symlinkat, linkat, mknodat, mkdirat, fchmod, chmod, fchownat, futimens,
//                      utimensat, fsetxattr, setxattr, ftruncate, renameat, renameat2, pwrite, syncfs; linkname: a
//                      file without a name gets no other than a temporary's
// ROOM=BYTES           so much may be written, then there is no space left
// IN_ORDER=yes         content is taken from a file's beginning to its end only
// FOLD=yes             names that differ in case, or in how an é is composed, are one
// STEP=NANOSECONDS     times are kept in such steps
// LONG=yes             a name over 255 bytes stands for the file long-BYTES
// KILL=N, COUNT=FILE   the process is killed before the N-th call that changes something; how many there were

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(name) *)real(#name))

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static size_t written;
static long calls;

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

// Whether a descriptor, or the folder that it is, lies beneath REFUSE_IN.
static int is_meant(int descriptor) {
    const char *folder = getenv("REFUSE_IN");
    char link[64], path[4096];
    if (!folder || descriptor < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t count = readlink(link, path, sizeof path - 1);
    if (count < 0) return 0;
    path[count] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

// Counts a call that changes something, and says whether it is to fail.
static int is_refused(int descriptor, const char *call) {
    if (!is_meant(descriptor)) return 0;
    const char *kill_at = getenv("KILL");
    pthread_mutex_lock(&mutex);
    calls++;
    if (kill_at && calls == atol(kill_at)) kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&mutex);
    size_t length = strlen(call);
    for (const char *rule = getenv("REFUSE"); rule; rule = strchr(rule, ',') ? strchr(rule, ',') + 1 : NULL)
        if (!strncmp(rule, call, length) && rule[length] == '=') {
            errno = atoi(rule + length + 1);
            return 1;
        }
    return 0;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}

// Copies a path as a medium that folds has it: in small letters, and an é in one piece.
static void fold(const char *path, char *copy) {
    while (*path) {
        if (!strncmp(path, "e\xcc\x81", 3) || !strncmp(path, "E\xcc\x81", 3)) {
            copy = stpcpy(copy, "\xc3\xa9");
            path += 3;
        } else {
            *copy++ = *path >= 'A' && *path <= 'Z' ? *path + 32 : *path;
            path++;
        }
    }
    *copy = 0;
}

// A name as the medium has it.
static const char *name_of(int at, const char *name, char *buffer) {
    size_t length = strlen(name);
    if (strchr(name, '/') || !is_meant(at)) return name;
    if (getenv("LONG") && length > 255) {
        sprintf(buffer, "long-%zu", length);
        return buffer;
    }
    if (!getenv("FOLD") || length > 255) return name;
    fold(name, buffer);
    return buffer;
}

int openat(int at, const char *name, int flags, ...) {
    char buffer[256];
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (flags & O_CREAT && is_refused(at, "openat")) return -1;
    return REAL(openat)(at, name_of(at, name, buffer), flags, mode);
}

// Of the variable calls openat2 alone is made here, number 437.
long syscall(long number, ...) {
    long (*call)(long, ...) = real("syscall");
    char buffer[4096];
    long values[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) values[i] = va_arg(rest, long);
    va_end(rest);
    if (number == 437 && getenv("FOLD") && is_meant((int)values[0]) && strlen((char *)values[1]) < sizeof buffer) {
        fold((const char *)values[1], buffer);
        values[1] = (long)buffer;
    }
    return call(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

int fstatat(int at, const char *name, struct stat *status, int flags) {
    char buffer[256];
    return REAL(fstatat)(at, name_of(at, name, buffer), status, flags);
}

int unlinkat(int at, const char *name, int flags) {
    char buffer[256];
    if (is_refused(at, "unlinkat")) return -1;
    return REAL(unlinkat)(at, name_of(at, name, buffer), flags);
}

int mkdirat(int at, const char *name, mode_t mode) {
    char buffer[256];
    if (is_refused(at, "mkdirat")) return -1;
    return REAL(mkdirat)(at, name_of(at, name, buffer), mode);
}

int renameat(int from, const char *old, int to, const char *new) {
    char buffer[256], other[256];
    if (is_refused(to, "renameat")) return -1;
    return REAL(renameat)(from, name_of(from, old, buffer), to, name_of(to, new, other));
}

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags) {
    char buffer[256], other[256];
    if (is_refused(to, "renameat2")) return -1;
    return REAL(renameat2)(from, name_of(from, old, buffer), to, name_of(to, new, other), flags);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    char buffer[256], other[256];
    if (is_refused(to, "linkat")) return -1;
    if ((flags & AT_EMPTY_PATH) && strncmp(new, ".bakstore-", 10) && is_refused(to, "linkname")) return -1;
    return REAL(linkat)(from, name_of(from, old, buffer), to, name_of(to, new, other), flags);
}

int symlinkat(const char *target, int at, const char *name) {
    char buffer[256];
    if (is_refused(at, "symlinkat")) return -1;
    return REAL(symlinkat)(target, at, name_of(at, name, buffer));
}

int mknodat(int at, const char *name, mode_t mode, dev_t device) {
    char buffer[256];
    if (is_refused(at, "mknodat")) return -1;
    return REAL(mknodat)(at, name_of(at, name, buffer), mode, device);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    const char *room = getenv("ROOM");
    struct stat status;
    if (is_refused(file, "pwrite")) return -1;
    if (is_meant(file) && getenv("IN_ORDER") && !fstat(file, &status) && offset != status.st_size) {
        errno = ESPIPE;
        return -1;
    }
    if (room && is_meant(file) && __atomic_add_fetch(&written, count, __ATOMIC_SEQ_CST) > strtoul(room, NULL, 10)) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(pwrite)(file, bytes, count, offset);
}

int ftruncate(int file, off_t length) {
    if (is_refused(file, "ftruncate")) return -1;
    if (is_meant(file) && getenv("IN_ORDER")) {
        errno = EPERM;
        return -1;
    }
    return REAL(ftruncate)(file, length);
}

int fchmod(int file, mode_t mode) { return is_refused(file, "fchmod") ? -1 : REAL(fchmod)(file, mode); }

// What /proc/self/fd names is meant like the descriptor itself.
static int number_of(const char *path) {
    int number;
    return sscanf(path, "/proc/self/fd/%d", &number) == 1 ? number : -1;
}

int chmod(const char *path, mode_t mode) {
    return is_refused(number_of(path), "chmod") ? -1 : REAL(chmod)(path, mode);
}

int fchownat(int at, const char *name, uid_t user, gid_t group, int flags) {
    return is_refused(at, "fchownat") ? -1 : REAL(fchownat)(at, name, user, group, flags);
}

static struct timespec cut(struct timespec time) {
    const char *text = getenv("STEP");
    long step = text ? atol(text) : 1;
    if (step >= 1000000000) {
        time.tv_nsec = 0;
        time.tv_sec -= time.tv_sec % (step / 1000000000);
    } else if (time.tv_nsec < 1000000000)
        time.tv_nsec -= time.tv_nsec % step;
    return time;
}

int futimens(int file, const struct timespec times[2]) {
    if (is_refused(file, "futimens")) return -1;
    // Nothing given means now.
    if (!times) return REAL(futimens)(file, times);
    struct timespec kept[2] = {times[0], is_meant(file) ? cut(times[1]) : times[1]};
    return REAL(futimens)(file, kept);
}

int syncfs(int descriptor) {
    if (is_refused(descriptor, "syncfs")) return -1;
    return REAL(syncfs)(descriptor);
}

int utimensat(int at, const char *name, const struct timespec times[2], int flags) {
    return is_refused(at, "utimensat") ? -1 : REAL(utimensat)(at, name, times, flags);
}

int fsetxattr(int file, const char *name, const void *value, size_t count, int flags) {
    return is_refused(file, "fsetxattr") ? -1 : REAL(fsetxattr)(file, name, value, count, flags);
}

int setxattr(const char *path, const char *name, const void *value, size_t count, int flags) {
    return is_refused(number_of(path), "setxattr") ? -1 : REAL(setxattr)(path, name, value, count, flags);
}
