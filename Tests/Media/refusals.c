// refusals: a library that is preloaded into bakstore. It makes a restore's target behave like a worse medium. It
// affects only calls beneath the folder REFUSE_IN.
//
// REFUSE=CALL=ERRNO,…  These calls fail with the given errors: openat (if it may make a file), symlinkat, linkat,
//                      mknodat, mkdirat, unlinkat, fchmod, chmod, fchownat, futimens, utimensat, fsetxattr, setxattr,
//                      ftruncate, renameat, renameat2, pwrite, syncfs. With `linkname`, linkat can give an unnamed
//                      file only the name of a temporary.
// ROOM=BYTES           After so many bytes are written, writes fail because there is no space left.
// IN_ORDER=yes         A file can be written only at its end, and its length cannot be set.
// FOLD=yes             Names that differ only in case, or in the composition of an é, are the same name.
// STEP=NANOSECONDS     Modification times are rounded down to a multiple of this.
// LONG=yes             A name of more than 255 bytes means the file "long-BYTES", where BYTES is its length.
// KILL=N               The process is killed before the N-th call that changes something.
// COUNT=FILE           At its end, the program writes the number of such calls to this file.

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

// Returns 1 if the descriptor is for REFUSE_IN or for something beneath it.
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

// Counts a call that changes something. Returns 1 and sets errno if the call must fail.
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

// Copies a path in its folded form: ASCII letters in lower case, and "e" with a combining accent as one "é".
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

// Returns the name that the medium uses for a name.
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

// The program uses syscall only for openat2, which is call 437.
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

// Returns the descriptor that a path in /proc/self/fd names; -1 for any other path.
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
    // If there are no times, the call sets both to the present time.
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
