// full: a library that is preloaded into bakstore. It replaces the error of a full disk by the error of another limit,
// such as a quota. So a test of a quota can use a disk that is really full. Such a disk also has space again after a
// deletion.
//
// FULL_AS=ERRNO  the error that replaces ENOSPC

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

// Returns the result of a call, and replaces its error if that is ENOSPC.
static long told(long result) {
    const char *other = getenv("FULL_AS");
    if (result < 0 && errno == ENOSPC && other) errno = atoi(other);
    return result;
}

#define TELL(type, name, parameters, arguments) \
    type name parameters { return (type)told(((type(*) parameters)real(#name)) arguments); }

TELL(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
TELL(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t offset), (file, bytes, count, offset))
TELL(int, ftruncate, (int file, off_t length), (file, length))
TELL(int, fallocate, (int file, int mode, off_t offset, off_t length), (file, mode, offset, length))
TELL(ssize_t, copy_file_range, (int from, off_t *at, int to, off_t *place, size_t count, unsigned int flags),
     (from, at, to, place, count, flags))
TELL(int, mkdir, (const char *path, mode_t mode), (path, mode))
TELL(int, mkdirat, (int at, const char *name, mode_t mode), (at, name, mode))
TELL(int, mknodat, (int at, const char *name, mode_t mode, dev_t device), (at, name, mode, device))
TELL(int, symlinkat, (const char *target, int at, const char *name), (target, at, name))
TELL(int, linkat, (int from, const char *old, int to, const char *name, int flags), (from, old, to, name, flags))
TELL(int, renameat, (int from, const char *old, int to, const char *name), (from, old, to, name))
TELL(int, renameat2, (int from, const char *old, int to, const char *name, unsigned int flags),
     (from, old, to, name, flags))
TELL(int, fsync, (int file), (file))
TELL(int, fdatasync, (int file), (file))
TELL(int, syncfs, (int file), (file))
TELL(int, sync_file_range, (int file, off_t offset, off_t count, unsigned int flags), (file, offset, count, flags))
TELL(int, fsetxattr, (int file, const char *name, const void *value, size_t count, int flags),
     (file, name, value, count, flags))

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return (int)told(((int (*)(const char *, int, ...))real("open"))(path, flags, mode));
}

int openat(int at, const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return (int)told(((int (*)(int, const char *, int, ...))real("openat"))(at, name, flags, mode));
}
