// calls: a library that is preloaded into the program under test and makes the medium lack calls. MEDIUM is a list of
// "call=errno", separated by commas: each call in it fails with that errno. Besides names of calls, the list may have:
//
// fsyncdir, fsyncfile  fsync of a folder, or of a file, fails with the errno.
// statfs=1             fstatfs returns zeros.
// foldersreplace=1     A renamed folder replaces a folder that is not empty.
// mkdirtwice=1         Making a folder that exists succeeds.
// sweep=N, sweeps=N    The N-th temporary, or each of the first N, is gone when it is about to get a name.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <unistd.h>

// Returns the number that MEDIUM has for a name; 0 if it has none.
static int answer(const char *call) {
    const char *place = getenv("MEDIUM");
    size_t length = strlen(call);
    while (place && *place) {
        if (!strncmp(place, call, length) && place[length] == '=') return atoi(place + length + 1);
        place = strchr(place, ',');
        if (place) place++;
    }
    return 0;
}

static int refuses(const char *call) {
    int number = answer(call);
    if (number) errno = number;
    return number != 0;
}

// Removes the temporary that is about to get a name, if `sweep` or `sweeps` is for its number.
static void sweep(int folder, const char *path) {
    static int count;
    struct stat status;
    if (!strstr(path, ".bakstore-") || fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW)) return;
    if (!S_ISREG(status.st_mode)) return;
    int number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (number == answer("sweep") || number <= answer("sweeps")) unlinkat(folder, path, 0);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int renameat2(int from, const char *path, int to, const char *other, unsigned flags) {
    if (refuses("renameat2")) return -1;
    sweep(from, path);
    return REAL(renameat2)(from, path, to, other, flags);
}

int linkat(int from, const char *path, int to, const char *other, int flags) {
    if (refuses("linkat")) return -1;
    sweep(from, path);
    return REAL(linkat)(from, path, to, other, flags);
}

// Removes the files in a folder.
static void empty(int folder, const char *path) {
    DIR *stream = fdopendir(openat(folder, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!stream) return;
    for (struct dirent *entry; (entry = readdir(stream));) unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
}

int renameat(int from, const char *path, int to, const char *other) {
    struct stat status;
    if (answer("foldersreplace") && !fstatat(from, path, &status, AT_SYMLINK_NOFOLLOW) && S_ISDIR(status.st_mode))
        empty(to, other);
    if (refuses("renameat")) return -1;
    sweep(from, path);
    return REAL(renameat)(from, path, to, other);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    int result = REAL(mkdirat)(folder, path, mode);
    return result && errno == EEXIST && answer("mkdirtwice") ? 0 : result;
}

int fsync(int file) {
    struct stat status;
    int isFolder = !fstat(file, &status) && S_ISDIR(status.st_mode);
    if (refuses(isFolder ? "fsyncdir" : "fsyncfile")) return -1;
    return REAL(fsync)(file);
}

int sync_file_range(int file, off64_t offset, off64_t count, unsigned flags) {
    if (refuses("sync_file_range")) return -1;
    return REAL(sync_file_range)(file, offset, count, flags);
}

int syncfs(int file) {
    if (refuses("syncfs")) return -1;
    return REAL(syncfs)(file);
}

int fchmod(int file, mode_t mode) {
    if (refuses("fchmod")) return -1;
    return REAL(fchmod)(file, mode);
}

int fchown(int file, uid_t user, gid_t group) {
    if (refuses("fchown")) return -1;
    return REAL(fchown)(file, user, group);
}

int futimens(int file, const struct timespec times[2]) {
    if (refuses("futimens")) return -1;
    return REAL(futimens)(file, times);
}

int fstatfs(int file, struct statfs *system) {
    if (!answer("statfs")) return REAL(fstatfs)(file, system);
    memset(system, 0, sizeof *system);
    return 0;
}
