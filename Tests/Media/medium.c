// medium: preloaded into bakstore, records each call that a slow medium would have to serve. medium.py counts the calls
// and computes how long a hard disk, a stick or a share would take.
//
// MEDIUM_IN=FOLDER     calls on what lies in this folder are recorded
// MEDIUM_LOG=FILE      gets a line for each call, with tabs between its fields: the call's name, how many calls were in
//                      flight, how many of these were reads, the thread, the inode, the offset, the number of bytes,
//                      the path
// MEDIUM_WAIT=MS       each call takes so long, however many are in flight
// MEDIUM_TYPE=NUMBER   the kind of file system, as statfs(2) returns it
//
// Not recorded are calls that a medium need not serve: fstat, which repeats what the open returned, lseek, close and
// advice.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(name) *)real(#name))

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

// A call that is being made.
struct call {
    char path[2 * PATH_MAX];
    int is_recorded;
    int is_read;
    int in_flight;
    int reads;
};

static atomic_int in_flight, reads;
static int log_file = -1;

__attribute__((constructor)) static void open_log(void) {
    const char *path = getenv("MEDIUM_LOG");
    if (path) log_file = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_on_medium(const char *path) {
    const char *folder = getenv("MEDIUM_IN");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

// Begins a call on `name` in the folder `at`; on `at` itself if there is no name. It stays in flight until `end`.
static struct call begin_move(int at, const char *name, int is_read) {
    struct call call = {.path = "", .is_read = is_read};
    char link[64], *path = call.path;
    int number = errno;
    if (name && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t length = REAL(readlink)(link, path, PATH_MAX - 1);
        path[length > 0 ? length : 0] = 0;
        if (name && name[0]) snprintf(path + strlen(path), PATH_MAX, "%s%s", path[1] ? "/" : "", name);
    }
    call.is_recorded = is_on_medium(path);
    if (call.is_recorded) {
        call.in_flight = atomic_fetch_add(&in_flight, 1) + 1;
        call.reads = atomic_fetch_add(&reads, is_read) + is_read;
        const char *wait = getenv("MEDIUM_WAIT");
        if (wait) usleep(1000 * atoi(wait));
    }
    errno = number;
    return call;
}
static struct call begin(int at, const char *name) { return begin_move(at, name, 0); }

static void end(struct call *call, const char *name, int file, off_t offset, ssize_t bytes) {
    if (!call->is_recorded) return;
    char line[2 * PATH_MAX + 256];
    int number = errno;
    struct stat status = {0};
    if (file >= 0) REAL(fstat)(file, &status);
    int length = snprintf(
        line, sizeof line, "%s\t%d\t%d\t%d\t%llu\t%lld\t%zd\t%s\n", name, call->in_flight, call->reads, gettid(),
        (unsigned long long)status.st_ino, (long long)offset, bytes, call->path);
    if (log_file >= 0 && REAL(write)(log_file, line, length) != length) abort();
    atomic_fetch_sub(&in_flight, 1);
    atomic_fetch_sub(&reads, call->is_read);
    errno = number;
}

// --- Calls that move bytes ---

static off_t position(int file) { return lseek(file, 0, SEEK_CUR); }

#define MOVE(name, is_read, offset, parameters, arguments) \
    ssize_t name parameters { \
        struct call call = begin_move(file, NULL, is_read); \
        off_t place = offset; \
        ssize_t result = REAL(name) arguments; \
        end(&call, #name, file, place, result); \
        return result; \
    }

MOVE(read, 1, position(file), (int file, void *bytes, size_t count), (file, bytes, count))
MOVE(pread, 1, offset, (int file, void *bytes, size_t count, off_t offset), (file, bytes, count, offset))
MOVE(write, 0, position(file), (int file, const void *bytes, size_t count), (file, bytes, count))
MOVE(pwrite, 0, offset, (int file, const void *bytes, size_t count, off_t offset), (file, bytes, count, offset))
MOVE(getdents64, 0, 0, (int file, void *bytes, size_t count), (file, bytes, count))

// --- Calls on an open file ---

#define ON_FILE(type, name, parameters, arguments) \
    type name parameters { \
        struct call call = begin(file, NULL); \
        type result = REAL(name) arguments; \
        end(&call, #name, file, 0, 0); \
        return result; \
    }

ON_FILE(int, fsync, (int file), (file))
ON_FILE(int, fdatasync, (int file), (file))
ON_FILE(int, syncfs, (int file), (file))
ON_FILE(int, sync_file_range, (int file, off_t offset, off_t count, unsigned flags), (file, offset, count, flags))
ON_FILE(int, ftruncate, (int file, off_t length), (file, length))
ON_FILE(int, fallocate, (int file, int mode, off_t offset, off_t length), (file, mode, offset, length))
ON_FILE(int, fchmod, (int file, mode_t mode), (file, mode))
ON_FILE(int, fchown, (int file, uid_t user, gid_t group), (file, user, group))
ON_FILE(int, futimens, (int file, const struct timespec times[2]), (file, times))
ON_FILE(ssize_t, flistxattr, (int file, char *list, size_t size), (file, list, size))
ON_FILE(ssize_t, fgetxattr, (int file, const char *name, void *value, size_t size), (file, name, value, size))
ON_FILE(int, fsetxattr, (int file, const char *name, const void *value, size_t size, int flags),
        (file, name, value, size, flags))

// --- Calls on a name ---

#define ON_NAME(type, function, at, parameters, arguments) \
    type function parameters { \
        struct call call = begin(at, name); \
        type result = REAL(function) arguments; \
        end(&call, #function, -1, 0, 0); \
        return result; \
    }

ON_NAME(int, stat, AT_FDCWD, (const char *name, struct stat *status), (name, status))
ON_NAME(int, lstat, AT_FDCWD, (const char *name, struct stat *status), (name, status))
ON_NAME(int, fstatat, at, (int at, const char *name, struct stat *status, int flags), (at, name, status, flags))
ON_NAME(int, access, AT_FDCWD, (const char *name, int mode), (name, mode))
ON_NAME(int, faccessat, at, (int at, const char *name, int mode, int flags), (at, name, mode, flags))
ON_NAME(int, chmod, AT_FDCWD, (const char *name, mode_t mode), (name, mode))
ON_NAME(int, mkdir, AT_FDCWD, (const char *name, mode_t mode), (name, mode))
ON_NAME(int, mkdirat, at, (int at, const char *name, mode_t mode), (at, name, mode))
ON_NAME(int, mknodat, at, (int at, const char *name, mode_t mode, dev_t device), (at, name, mode, device))
ON_NAME(int, symlinkat, at, (const char *target, int at, const char *name), (target, at, name))
ON_NAME(int, linkat, at, (int from, const char *old, int at, const char *name, int flags), (from, old, at, name, flags))
ON_NAME(int, renameat, at, (int from, const char *old, int at, const char *name), (from, old, at, name))
ON_NAME(int, renameat2, at, (int from, const char *old, int at, const char *name, unsigned flags),
        (from, old, at, name, flags))
ON_NAME(int, unlinkat, at, (int at, const char *name, int flags), (at, name, flags))
ON_NAME(int, fchownat, at, (int at, const char *name, uid_t user, gid_t group, int flags),
        (at, name, user, group, flags))
ON_NAME(int, utimensat, at, (int at, const char *name, const struct timespec times[2], int flags),
        (at, name, times, flags))
ON_NAME(ssize_t, readlinkat, at, (int at, const char *name, char *text, size_t size), (at, name, text, size))
ON_NAME(ssize_t, getxattr, AT_FDCWD, (const char *name, const char *attribute, void *value, size_t size),
        (name, attribute, value, size))
ON_NAME(ssize_t, listxattr, AT_FDCWD, (const char *name, char *list, size_t size), (name, list, size))

// --- Opening ---

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int openat(int at, const char *name, int flags, ...) {
    MODE(flags)
    struct call call = begin(at, name);
    int result = REAL(openat)(at, name, flags, mode);
    end(&call, "open", result, 0, 0);
    return result;
}

int open(const char *path, int flags, ...) {
    MODE(flags)
    struct call call = begin(AT_FDCWD, path);
    int result = REAL(open)(path, flags, mode);
    end(&call, "open", result, 0, 0);
    return result;
}

// Of the variable calls openat2 alone is made here.
long syscall(long number, ...) {
    long values[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) values[i] = va_arg(rest, long);
    va_end(rest);
    int is_open = number == SYS_openat2;
    struct call call = {.is_recorded = 0};
    if (is_open) call = begin((int)values[0], (const char *)values[1]);
    long result = REAL(syscall)(number, values[0], values[1], values[2], values[3], values[4], values[5]);
    if (is_open) end(&call, "open", (int)result, 0, 0);
    return result;
}

// --- The kind of file system ---

#define KIND(name, on, parameters, arguments) \
    int name parameters { \
        struct call call = on; \
        int result = REAL(name) arguments; \
        const char *type = getenv("MEDIUM_TYPE"); \
        if (call.is_recorded && !result && type) system->f_type = strtoul(type, NULL, 0); \
        end(&call, #name, -1, 0, 0); \
        return result; \
    }

KIND(statfs, begin(AT_FDCWD, path), (const char *path, struct statfs *system), (path, system))
KIND(fstatfs, begin(file, NULL), (int file, struct statfs *system), (file, system))
