// Linux calls that Swift's Glibc module leaves out: what glibc declares for _GNU_SOURCE only, and
// `syscall`, whose variable arguments Swift cannot pass. Declarations and casts, no logic.
#include <fcntl.h>
#include <signal.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

extern int renameat2(int, const char *, int, const char *, unsigned int);
extern int sync_file_range(int, __off64_t, __off64_t, unsigned int);
extern int fallocate(int, int, __off64_t, __off64_t);
extern int syncfs(int);
extern int sched_getaffinity(pid_t, size_t, void *);
extern ssize_t getdents64(int, void *, size_t);
extern int pipe2(int[2], int);

enum {
    linux_O_PATH = __O_PATH,
    linux_O_NOATIME = __O_NOATIME,
    linux_O_DIRECT = __O_DIRECT,
    linux_O_TMPFILE = __O_TMPFILE,
    linux_SEEK_DATA = 3,
    linux_SEEK_HOLE = 4,
    linux_RENAME_NOREPLACE = 1,
    linux_SYNC_FILE_RANGE_WAIT_BEFORE = 1,
    linux_SYNC_FILE_RANGE_WRITE = 2,
    linux_SYNC_FILE_RANGE_WAIT_AFTER = 4,
    linux_AT_EMPTY_PATH = 0x1000,
};

// openat2(2), which glibc does not wrap. Its number is 437 on every architecture.
static inline int linux_openat2(int folder, const char *path, const struct open_how *how) {
    return (int)syscall(437, folder, path, how, sizeof *how);
}

// add_key(2) and keyctl(2), which glibc does not wrap, for keys of the type "user".
static inline long linux_key_add(int keyring, const char *name, const void *bytes, size_t count) {
    return syscall(SYS_add_key, "user", name, bytes, count, keyring);
}
static inline long linux_key_find(int keyring, const char *name) {
    return syscall(SYS_keyctl, KEYCTL_SEARCH, keyring, "user", name, 0);
}
static inline long linux_key_read(int key, void *buffer, size_t count) {
    return syscall(SYS_keyctl, KEYCTL_READ, key, buffer, count);
}
static inline long linux_key_set_permissions(int key, unsigned int permissions) {
    return syscall(SYS_keyctl, KEYCTL_SETPERM, key, permissions);
}
static inline long linux_key_set_timeout(int key, unsigned int seconds) {
    return syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, seconds);
}
static inline long linux_key_link(int key, int keyring) {
    return syscall(SYS_keyctl, KEYCTL_LINK, key, keyring);
}
static inline long linux_key_unlink(int key, int keyring) {
    return syscall(SYS_keyctl, KEYCTL_UNLINK, key, keyring);
}
static inline long linux_key_invalidate(int key) { return syscall(SYS_keyctl, KEYCTL_INVALIDATE, key); }

// ioctl(TIOCGWINSZ): the terminal's width in columns, 0 when there is none.
static inline int linux_terminal_columns(int descriptor) {
    struct winsize size;
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// pipe2, and the environment for a new process.
static inline int linux_pipe2(int ends[2], int flags) { return pipe2(ends, flags); }
static inline char **linux_environment(void) {
    extern char **environ;
    return environ;
}

// setfsuid(-1), which changes nothing: the user whose files the calling thread may use.
static inline uid_t linux_file_user(void) { return (uid_t)setfsuid((uid_t)-1); }

// prctl(PR_SET_DUMPABLE): neither core dumps nor a debugger of the same user.
static inline int linux_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

// The address at which a signal found memory that cannot be had: a member of a union, and a macro.
static inline void *linux_fault_address(const siginfo_t *about) { return about->si_addr; }

// Whether a signal is ignored: Swift cannot compare a handler with SIG_IGN.
static inline int linux_is_ignored(int number) {
    struct sigaction now;
    return sigaction(number, 0, &now) == 0 && now.sa_handler == SIG_IGN;
}
