// disk: a virtual disk with a volatile write cache. It is a FUSE file system with one file, `disk`. A loop device on
// the file carries one of the kernel's file systems. The program records all writes and flushes in the order in which
// they arrive, so a test can make the image that a power cut may leave at any of them.
//
// Usage: disk IMAGE LOG FOLDER. IMAGE holds the disk's present content. LOG gets a record for each write: the offset
// and the number of bytes (64 bits each, native order), then the bytes. A record without bytes is a flush. The program
// runs until FOLDER is unmounted. It answers one request at a time, so a flush covers all writes before it in LOG.

#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *const name = "/disk";
static int image = -1;
static int log_file = -1;

// Appends one record in one call, so the log's size is always at the end of a record.
static int note(uint64_t offset, const void *bytes, uint64_t count) {
    uint64_t head[2] = {offset, count};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, count}};
    return writev(log_file, parts, 2) == (ssize_t)(sizeof head + count) ? 0 : -EIO;
}

static int disk_getattr(const char *path, struct stat *status, struct fuse_file_info *file) {
    (void)file;
    if (!strcmp(path, name)) return fstat(image, status) ? -errno : 0;
    if (strcmp(path, "/")) return -ENOENT;
    status->st_mode = S_IFDIR | 0700;
    status->st_nlink = 2;
    return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file) {
    (void)file;
    return strcmp(path, name) ? -ENOENT : 0;
}

static int disk_read(const char *path, char *bytes, size_t count, off_t offset, struct fuse_file_info *file) {
    (void)path;
    (void)file;
    ssize_t result = pread(image, bytes, count, offset);
    return result < 0 ? -errno : (int)result;
}

static int disk_write(const char *path, const char *bytes, size_t count, off_t offset, struct fuse_file_info *file) {
    (void)path;
    (void)file;
    ssize_t result = pwrite(image, bytes, count, offset);
    if (result <= 0) return result < 0 ? -errno : 0;
    int failure = note(offset, bytes, result);
    return failure ? failure : (int)result;
}

static int disk_fsync(const char *path, int is_data_only, struct fuse_file_info *file) {
    (void)path;
    (void)is_data_only;
    (void)file;
    return note(0, NULL, 0);
}

// Without fallocate, the loop device writes zeros instead of making holes. These are recorded like all writes.
static const struct fuse_operations operations = {
    .getattr = disk_getattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
};

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: disk IMAGE LOG FOLDER\n");
        return 2;
    }
    image = open(arguments[1], O_RDWR | O_CLOEXEC);
    log_file = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (image < 0 || log_file < 0) {
        perror("disk");
        return 1;
    }
    // An allocation of this process must not wait for writes to its own disk.
    prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    char *fuse[] = {arguments[0], "-f", "-s", arguments[3]};
    return fuse_main(4, fuse, &operations, NULL);
}
