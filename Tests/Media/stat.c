// stat: a library that is preloaded into bakstore. It imitates media that report strange things about files:
//
// SHOWN_INODES="real=shown,real=shown"  The files with these inode numbers are shown with other inode numbers.
// SHOWN_CTIME=mtime                     The ctime of these files is shown as equal to their mtime.
// SHOWN_LINKS=n, SHOWN_SIZE=n           These files, if regular, are shown with this link count and this size.
// SHOWN_TYPE=magic                      Every file system is shown with this type.
// FAILING="call=errno,call=errno"       These calls fail.
// UNREADABLE=text, GIVEN=n              Files whose path contains the text end after n bytes. Without GIVEN, reading
//                                       them fails with EIO.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void show(struct stat *s) {
    const char *list = getenv("SHOWN_INODES");
    while (list && *list) {
        char *end;
        unsigned long real = strtoul(list, &end, 10);
        if (*end != '=') return;
        unsigned long shown = strtoul(end + 1, &end, 10);
        if (s->st_ino == real) {
            s->st_ino = shown;
            if (getenv("SHOWN_CTIME")) s->st_ctim = s->st_mtim;
            if (!S_ISREG(s->st_mode)) return;
            if (getenv("SHOWN_LINKS")) s->st_nlink = strtoul(getenv("SHOWN_LINKS"), 0, 10);
            if (getenv("SHOWN_SIZE")) s->st_size = strtol(getenv("SHOWN_SIZE"), 0, 10);
            return;
        }
        if (*end != ',') return;
        list = end + 1;
    }
}

static int fails(const char *call) {
    size_t length = strlen(call);
    for (const char *list = getenv("FAILING"); list && *list; list = strchr(list, ',') ? strchr(list, ',') + 1 : "")
        if (!strncmp(list, call, length) && list[length] == '=') {
            errno = atoi(list + length + 1);
            return 1;
        }
    return 0;
}

int fstatat(int folder, const char *path, struct stat *s, int flags) {
    int result = REAL(fstatat)(folder, path, s, flags);
    if (!result) show(s);
    return result;
}

int fstat(int file, struct stat *s) {
    int result = REAL(fstat)(file, s);
    if (!result) show(s);
    return result;
}

int statfs(const char *path, struct statfs *s) {
    int result = REAL(statfs)(path, s);
    if (!result && getenv("SHOWN_TYPE")) s->f_type = strtoul(getenv("SHOWN_TYPE"), 0, 0);
    return result;
}

int fstatfs(int file, struct statfs *s) {
    int result = REAL(fstatfs)(file, s);
    if (!result && getenv("SHOWN_TYPE")) s->f_type = strtoul(getenv("SHOWN_TYPE"), 0, 0);
    return result;
}

ssize_t flistxattr(int file, char *list, size_t size) {
    return fails("flistxattr") ? -1 : REAL(flistxattr)(file, list, size);
}

ssize_t listxattr(const char *path, char *list, size_t size) {
    return fails("listxattr") ? -1 : REAL(listxattr)(path, list, size);
}

ssize_t fgetxattr(int file, const char *name, void *value, size_t size) {
    return fails("fgetxattr") ? -1 : REAL(fgetxattr)(file, name, value, size);
}

ssize_t getxattr(const char *path, const char *name, void *value, size_t size) {
    return fails("getxattr") ? -1 : REAL(getxattr)(path, name, value, size);
}

// Returns how many of `size` bytes a read at `offset` may return; -1 and sets errno if the read must fail.
static ssize_t given(int file, size_t size, off_t offset) {
    const char *text = getenv("UNREADABLE"), *count = getenv("GIVEN");
    char name[64], path[4096];
    if (!text) return size;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return size;
    path[length] = 0;
    if (!strstr(path, text)) return size;
    if (!count) {
        errno = EIO;
        return -1;
    }
    off_t left = atol(count) - offset;
    return left <= 0 ? 0 : left < (off_t)size ? left : (ssize_t)size;
}

ssize_t read(int file, void *bytes, size_t size) {
    ssize_t count = given(file, size, lseek(file, 0, SEEK_CUR));
    return count > 0 ? REAL(read)(file, bytes, count) : count;
}

ssize_t pread(int file, void *bytes, size_t size, off_t offset) {
    ssize_t count = given(file, size, offset);
    return count > 0 ? REAL(pread)(file, bytes, count, offset) : count;
}
