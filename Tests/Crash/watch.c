// watch: a library that is preloaded into bakstore. It sees every system call that changes something beneath the folder
// WATCH_FOLDER. It lets only one such call run at a time, whichever thread makes it. So a test can stop the program at
// each call, and can repeat all calls.
//
// WATCH_LOG=FILE    Each call that succeeds is appended to this file. A record is a line of fields with tabs between
//                   them. The last field is the number of data bytes that follow the line.
// WATCH_COUNT=FILE  At its end, the program writes the number of calls to this file.
// WATCH_KILL=N      The process is killed before the N-th call.
// WATCH_TEAR=yes    If the N-th call is a write, half of it is done before the process is killed.
// WATCH_MEDIA=NAME  The medium lacks some calls, so that the store must use `claims` or `locks` to refuse taken names.
//                   Both media lack links and the rename that refuses a taken name. With `locks`, folders cannot be
//                   renamed either.
// WATCH_FORGET=KIND Syncs of `files`, of `folders` or of `all` report success and do nothing.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static const char *count_file;
static int log_file = -1;
static long kill_at;
static int tears;
static int lacks_links, lacks_folder_renames;
static int forgets_files, forgets_folders;
static long calls;

#define REAL(name) ((__typeof__(name) *)real(#name))

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

__attribute__((constructor)) static void begin(void) {
    folder = getenv("WATCH_FOLDER");
    count_file = getenv("WATCH_COUNT");
    const char *number = getenv("WATCH_KILL");
    kill_at = number ? atol(number) : 0;
    tears = getenv("WATCH_TEAR") != NULL;
    const char *media = getenv("WATCH_MEDIA");
    lacks_folder_renames = media && !strcmp(media, "locks");
    lacks_links = lacks_folder_renames || (media && !strcmp(media, "claims"));
    const char *kind = getenv("WATCH_FORGET");
    forgets_files = kind && strcmp(kind, "folders");
    forgets_folders = kind && strcmp(kind, "files");
    const char *log = getenv("WATCH_LOG");
    if (log) log_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// Writes the count. Runs at a normal exit, but not after _exit or a kill.
__attribute__((destructor)) static void end(void) {
    if (!count_file) return;
    FILE *file = fopen(count_file, "w");
    if (!file) return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}

// Writes the path of a descriptor to `path`; an empty path if there is none.
static void path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
}

// Writes the absolute path of `name` in the folder `at` to `path`, without empty components and ".".
static void resolve(int at, const char *name, char *path) {
    char whole[2 * PATH_MAX];
    char base[PATH_MAX] = "";
    if (name[0] != '/' && at != AT_FDCWD) path_of(at, base);
    if (name[0] != '/' && at == AT_FDCWD && !getcwd(base, sizeof base)) base[0] = 0;
    snprintf(whole, sizeof whole, "%s/%s", base, name);
    size_t length = 0;
    char *rest = NULL;
    for (char *part = strtok_r(whole, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        size_t count = strlen(part);
        if (!strcmp(part, ".") || length + count + 2 > PATH_MAX) continue;
        path[length++] = '/';
        memcpy(path + length, part, count);
        length += count;
    }
    path[length] = 0;
}

static int is_watched(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

// Counts a call on `path` and takes the lock, which `after` releases. If the path is not watched, does neither and
// returns 0.
static int before(const char *path, int is_write) {
    if (!is_watched(path)) return 0;
    pthread_mutex_lock(&mutex);
    calls++;
    if (calls == kill_at && !(is_write && tears)) kill(getpid(), SIGKILL);
    return 1;
}

static void note(const char *line, const void *data, size_t count) {
    if (log_file < 0) return;
    char head[2 * PATH_MAX + 128];
    int length = snprintf(head, sizeof head, "%s\t%zu\n", line, count);
    if (REAL(write)(log_file, head, length) != length) abort();
    if (count && REAL(write)(log_file, data, count) != (ssize_t)count) abort();
}

static void after(int is_noted, const char *line, const void *data, size_t count) {
    int number = errno;
    if (is_noted) note(line, data, count);
    pthread_mutex_unlock(&mutex);
    errno = number;
}

static unsigned long long inode(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) ? 0 : status.st_ino;
}

#define LINE(...) \
    char line[2 * PATH_MAX + 64]; \
    snprintf(line, sizeof line, __VA_ARGS__)

// Watches an open only if it may make or empty the file.
#define OPENAT(function) \
    int function(int at, const char *name, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & O_CREAT) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        char path[PATH_MAX]; \
        resolve(at, name, path); \
        if (!(flags & (O_CREAT | O_TRUNC)) || !before(path, 0)) return REAL(function)(at, name, flags, mode); \
        int result = REAL(function)(at, name, flags, mode); \
        LINE("create\t%llu\t%s", inode(result), path); \
        after(result >= 0, line, NULL, 0); \
        return result; \
    }
OPENAT(openat)
OPENAT(openat64)

int open(const char *name, int flags, ...) {
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return openat(AT_FDCWD, name, flags, mode);
}
int open64(const char *, int, ...) __attribute__((alias("open")));

static ssize_t written(int descriptor, const void *data, size_t count, off_t offset, int is_placed) {
    char path[PATH_MAX];
    path_of(descriptor, path);
    int is_seen = before(path, 1);
    int is_last = is_seen && kill_at && calls == kill_at;
    size_t part = is_last ? count / 2 : count;
    ssize_t result =
        is_placed ? REAL(pwrite)(descriptor, data, part, offset) : REAL(write)(descriptor, data, part);
    if (is_last) kill(getpid(), SIGKILL);
    if (!is_seen) return result;
    off_t place = is_placed ? offset : lseek(descriptor, 0, SEEK_CUR) - (result > 0 ? result : 0);
    LINE("write\t%llu\t%lld", inode(descriptor), (long long)place);
    after(result > 0, line, data, result > 0 ? result : 0);
    return result;
}
ssize_t write(int descriptor, const void *data, size_t count) { return written(descriptor, data, count, 0, 0); }
ssize_t pwrite(int descriptor, const void *data, size_t count, off_t offset) {
    return written(descriptor, data, count, offset, 1);
}
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

int ftruncate(int descriptor, off_t length) {
    char path[PATH_MAX];
    path_of(descriptor, path);
    if (!before(path, 0)) return REAL(ftruncate)(descriptor, length);
    int result = REAL(ftruncate)(descriptor, length);
    LINE("truncate\t%llu\t%lld", inode(descriptor), (long long)length);
    after(!result, line, NULL, 0);
    return result;
}
int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

static int is_forgotten(int descriptor) {
    struct stat status;
    return (forgets_files || forgets_folders) && !fstat(descriptor, &status) &&
        (S_ISDIR(status.st_mode) ? forgets_folders : forgets_files);
}

#define SYNC(function) \
    int function(int descriptor) { \
        if (is_forgotten(descriptor)) return 0; \
        char path[PATH_MAX]; \
        path_of(descriptor, path); \
        if (!before(path, 0)) return REAL(function)(descriptor); \
        int result = REAL(function)(descriptor); \
        LINE("sync\t%llu\t%s", inode(descriptor), path); \
        after(!result, line, NULL, 0); \
        return result; \
    }
SYNC(fsync)
SYNC(fdatasync)

int syncfs(int descriptor) { return forgets_files ? 0 : REAL(syncfs)(descriptor); }
int sync_file_range(int descriptor, off_t offset, off_t count, unsigned int flags) {
    return forgets_files ? 0 : REAL(sync_file_range)(descriptor, offset, count, flags);
}

// Fails a call that the medium lacks. Such a call is neither counted nor logged.
static int refused(int number) {
    errno = number;
    return -1;
}

static int is_folder(int at, const char *name) {
    struct stat status;
    return !fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISDIR(status.st_mode);
}

// Watches a call that changes the name `name` in the folder `at`.
#define NAMED(call, at, name, ...) \
    char path[PATH_MAX]; \
    resolve(at, name, path); \
    if (!before(path, 0)) return call; \
    int result = call; \
    LINE(__VA_ARGS__); \
    after(!result, line, NULL, 0); \
    return result

int mkdirat(int at, const char *name, mode_t mode) {
    NAMED(REAL(mkdirat)(at, name, mode), at, name, "mkdir\t%s", path);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
int unlinkat(int at, const char *name, int flags) {
    NAMED(REAL(unlinkat)(at, name, flags), at, name, "unlink\t%s", path);
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned int flags) {
    if (lacks_links && flags) return refused(EINVAL);
    char target[PATH_MAX];
    resolve(to, new, target);
    NAMED(REAL(renameat2)(from, old, to, new, flags), from, old, "rename\t%s\t%s", path, target);
}
int renameat(int from, const char *old, int to, const char *new) {
    if (lacks_folder_renames && is_folder(from, old)) return refused(EPERM);
    char target[PATH_MAX];
    resolve(to, new, target);
    NAMED(REAL(renameat)(from, old, to, new), from, old, "rename\t%s\t%s", path, target);
}
int rename(const char *old, const char *new) { return renameat(AT_FDCWD, old, AT_FDCWD, new); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (lacks_links) return refused(EPERM);
    char target[PATH_MAX];
    resolve(to, new, target);
    NAMED(REAL(linkat)(from, old, to, new, flags), from, old, "link\t%s\t%s", path, target);
}
