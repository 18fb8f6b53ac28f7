/* Stands between a program and its C library, and does to it what a bad disk or a bad day would.

   One rule, from the environment: calls named in SHIM_CALLS (words divided by commas) that concern
   a path matching SHIM_PATH (a pattern of fnmatch) are counted, and from the SHIM_FROM-th on, for
   SHIM_TIMES calls, SHIM_DO happens: `kill` ends the process, `tear` writes half and ends it,
   `cut` ends it as a power cut would (what was written and not synced is lost), `lie` says yes and
   does nothing, and a number is the errno to fail with. Every counted call is a line of SHIM_LOG.
   SHIM_SWAP is a path and another, divided by a colon, to open in its place. SHIM_JUMP seconds are added to
   the wall clock SHIM_JUMP_AFTER_MS after the start. Only the process with the number that SHIM_ONLY
   names (0: any) is meddled with. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counted;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static const char *setting(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text && *text ? text : otherwise;
}

/* ---- what a power cut loses: for each file, the spans written since it was last synced ---- */

enum { FILES = 512, SPANS = 8192 };
static struct { dev_t device; ino_t inode; int held; off_t synced; } files[FILES];
static struct { int file; off_t from, to; } spans[SPANS];
static int file_count, span_count;

static int is_cutting(void) { return !strcmp(setting("SHIM_DO", ""), "cut"); }

static int file_of(int descriptor, off_t size_if_new) {
    struct stat stat;
    if (fstat(descriptor, &stat) || !S_ISREG(stat.st_mode)) return -1;
    for (int at = 0; at < file_count; at++)
        if (files[at].device == stat.st_dev && files[at].inode == stat.st_ino) return at;
    if (file_count == FILES) abort();
    files[file_count].device = stat.st_dev;
    files[file_count].inode = stat.st_ino;
    files[file_count].held = fcntl(descriptor, F_DUPFD_CLOEXEC, 700);
    files[file_count].synced = size_if_new < 0 ? stat.st_size : size_if_new;
    return file_count++;
}

static void note_written(int descriptor, off_t from, size_t length) {
    if (!is_cutting() || !length) return;
    pthread_mutex_lock(&lock);
    int file = file_of(descriptor, 0 <= from ? from : 0);
    if (file >= 0) {
        int last = span_count - 1;
        if (last >= 0 && spans[last].file == file && spans[last].to == from)
            spans[last].to += (off_t)length;
        else if (span_count == SPANS)
            abort();
        else {
            spans[span_count].file = file;
            spans[span_count].from = from;
            spans[span_count++].to = from + (off_t)length;
        }
    }
    pthread_mutex_unlock(&lock);
}

static void note_synced(int descriptor) {
    struct stat stat;
    if (!is_cutting() || fstat(descriptor, &stat) || !S_ISREG(stat.st_mode)) return;
    pthread_mutex_lock(&lock);
    int file = file_of(descriptor, -1), kept = 0;
    if (file >= 0) {
        files[file].synced = stat.st_size;
        for (int at = 0; at < span_count; at++)
            if (spans[at].file != file) spans[kept++] = spans[at];
        span_count = kept;
    }
    pthread_mutex_unlock(&lock);
}

static void lose_unsynced(void) {
    static char zeros[65536];
    for (int at = 0; at < span_count; at++)
        for (off_t from = spans[at].from; from < spans[at].to; from += (off_t)sizeof zeros) {
            size_t length = (size_t)(spans[at].to - from);
            if (length > sizeof zeros) length = sizeof zeros;
            if (REAL(pwrite)(files[spans[at].file].held, zeros, length, from) < 0) abort();
        }
    for (int at = 0; at < file_count; at++) {
        struct stat stat;
        if (!fstat(files[at].held, &stat) && stat.st_size > files[at].synced)
            if (REAL(ftruncate)(files[at].held, files[at].synced)) abort();
    }
}

/* ---- the rule ---- */

static int is_named(const char *call) {
    const char *calls = setting("SHIM_CALLS", "");
    size_t length = strlen(call);
    for (const char *at = calls; (at = strstr(at, call)); at += length)
        if ((at == calls || at[-1] == ',') && (!at[length] || at[length] == ',')) return 1;
    return 0;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* 0 to go on, -1 to say yes and do nothing, -2 to write half and die, else the errno to fail with. */
static int gate(const char *call, const char *path) {
    static __thread int inside;
    if (inside || !path || !is_named(call)) return 0;
    int only = atoi(setting("SHIM_ONLY", "0"));
    if (only && only != getpid()) return 0;
    if (fnmatch(setting("SHIM_PATH", "*"), path, 0)) return 0;
    inside = 1;
    pthread_mutex_lock(&lock);
    long number = ++counted;
    const char *name = setting("SHIM_LOG", "");
    int log = *name ? REAL(open)(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (log >= 0) {
        dprintf(log, "%s %s\n", call, path);
        close(log);
    }
    long from = atol(setting("SHIM_FROM", "0")), times = atol(setting("SHIM_TIMES", "1000000000"));
    int verdict = 0;
    if (from && number >= from && number < from + times) {
        const char *deed = setting("SHIM_DO", "");
        if (!strcmp(deed, "cut")) lose_unsynced();
        if (!strcmp(deed, "cut") || !strcmp(deed, "kill")) die();
        verdict = !strcmp(deed, "lie") ? -1 : !strcmp(deed, "tear") ? -2 : atoi(deed);
    }
    pthread_mutex_unlock(&lock);
    inside = 0;
    return verdict;
}

static const char *path_of(int descriptor, char *space) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, space, PATH_MAX - 1);
    if (length < 0) return NULL;
    space[length] = 0;
    return space;
}

static int gate_fd(const char *call, int descriptor) {
    char space[PATH_MAX];
    return is_named(call) ? gate(call, path_of(descriptor, space)) : 0;
}

#define REFUSE(asked) \
    do { \
        int told = (asked); \
        if (told == -1) return 0; \
        if (told == -2) die(); \
        if (told > 0) { errno = told; return -1; } \
    } while (0)

/* ---- opening, reading, writing ---- */

static const char *elsewhere(const char *path) {
    const char *swap = setting("SHIM_SWAP", ""), *colon = strchr(swap, ':');
    size_t length = colon ? (size_t)(colon - swap) : 0;
    return colon && strlen(path) == length && !strncmp(path, swap, length) ? colon + 1 : path;
}

static int opened(const char *name, int folder, const char *path, int flags, mode_t mode) {
    int verdict = gate(flags & O_CREAT ? "create" : "open", path);
    REFUSE(verdict);
    path = elsewhere(path);
    if (folder != AT_FDCWD || !strcmp(name, "openat") || !strcmp(name, "openat64"))
        return REAL(openat)(folder, path, flags, mode);
    return REAL(open)(path, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened("open", AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened("open", AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return opened("openat", folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return opened("openat", folder, path, flags | O_LARGEFILE, mode);
}

ssize_t read(int descriptor, void *data, size_t length) {
    REFUSE(gate_fd("read", descriptor));
    return REAL(read)(descriptor, data, length);
}
ssize_t pread(int descriptor, void *data, size_t length, off_t at) {
    REFUSE(gate_fd("read", descriptor));
    return REAL(pread)(descriptor, data, length, at);
}
ssize_t pread64(int descriptor, void *data, size_t length, off64_t at) {
    return pread(descriptor, data, length, at);
}

ssize_t write(int descriptor, const void *data, size_t length) {
    int verdict = gate_fd("write", descriptor);
    if (verdict == -1) return (ssize_t)length;
    if (verdict == -2 && REAL(write)(descriptor, data, length / 2) < 0) abort();
    REFUSE(verdict);
    off_t at = is_cutting() ? lseek(descriptor, 0, SEEK_CUR) : -1;
    ssize_t done = REAL(write)(descriptor, data, length);
    if (done > 0 && at >= 0) note_written(descriptor, at, (size_t)done);
    return done;
}
ssize_t pwrite(int descriptor, const void *data, size_t length, off_t at) {
    int verdict = gate_fd("write", descriptor);
    if (verdict == -1) return (ssize_t)length;
    if (verdict == -2 && REAL(pwrite)(descriptor, data, length / 2, at) < 0) abort();
    REFUSE(verdict);
    ssize_t done = REAL(pwrite)(descriptor, data, length, at);
    if (done > 0) note_written(descriptor, at, (size_t)done);
    return done;
}
ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t at) {
    return pwrite(descriptor, data, length, at);
}
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    int verdict = gate_fd("write", descriptor);
    REFUSE(verdict);
    off_t at = is_cutting() ? lseek(descriptor, 0, SEEK_CUR) : -1;
    ssize_t done = REAL(writev)(descriptor, parts, count);
    if (done > 0 && at >= 0) note_written(descriptor, at, (size_t)done);
    return done;
}
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t at) {
    int verdict = gate_fd("write", descriptor);
    REFUSE(verdict);
    ssize_t done = REAL(pwritev)(descriptor, parts, count, at);
    if (done > 0) note_written(descriptor, at, (size_t)done);
    return done;
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t at) {
    return pwritev(descriptor, parts, count, at);
}

/* Python asks the kernel to copy where it can; writes are what this file knows about. */
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *place, size_t length, unsigned flags) {
    (void)from, (void)at, (void)to, (void)place, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile(int to, int from, off_t *at, size_t length) {
    (void)to, (void)from, (void)at, (void)length;
    errno = EINVAL;
    return -1;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    return sendfile(to, from, at, length);
}

int fsync(int descriptor) {
    REFUSE(gate_fd("fsync", descriptor));
    int done = REAL(fsync)(descriptor);
    if (!done) note_synced(descriptor);
    return done;
}
int fdatasync(int descriptor) {
    REFUSE(gate_fd("fsync", descriptor));
    int done = REAL(fdatasync)(descriptor);
    if (!done) note_synced(descriptor);
    return done;
}

static int cut_short(int descriptor, off_t length) {
    REFUSE(gate_fd("truncate", descriptor));
    return REAL(ftruncate)(descriptor, length);
}
int ftruncate(int descriptor, off_t length) { return cut_short(descriptor, length); }
int ftruncate64(int descriptor, off64_t length) { return cut_short(descriptor, length); }
int posix_fallocate(int descriptor, off_t from, off_t length) {
    int verdict = gate_fd("allocate", descriptor);
    return verdict > 0 ? verdict : REAL(posix_fallocate)(descriptor, from, length);
}
int posix_fallocate64(int descriptor, off64_t from, off64_t length) {
    return posix_fallocate(descriptor, from, length);
}

/* ---- names ---- */

int rename(const char *from, const char *to) {
    REFUSE(gate("rename", to));
    return REAL(rename)(from, to);
}
int renameat(int folder, const char *from, int other, const char *to) {
    REFUSE(gate("rename", to));
    return REAL(renameat)(folder, from, other, to);
}
int unlink(const char *path) {
    REFUSE(gate("unlink", path));
    return REAL(unlink)(path);
}
int unlinkat(int folder, const char *path, int flags) {
    REFUSE(gate("unlink", path));
    return REAL(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) {
    REFUSE(gate("rmdir", path));
    return REAL(rmdir)(path);
}
int mkdir(const char *path, mode_t mode) {
    REFUSE(gate("mkdir", path));
    return REAL(mkdir)(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    REFUSE(gate("mkdir", path));
    return REAL(mkdirat)(folder, path, mode);
}
int symlink(const char *target, const char *path) {
    REFUSE(gate("symlink", path));
    return REAL(symlink)(target, path);
}
int symlinkat(const char *target, int folder, const char *path) {
    REFUSE(gate("symlink", path));
    return REAL(symlinkat)(target, folder, path);
}
int link(const char *from, const char *to) {
    REFUSE(gate("link", to));
    return REAL(link)(from, to);
}
int linkat(int folder, const char *from, int other, const char *to, int flags) {
    REFUSE(gate("link", to));
    return REAL(linkat)(folder, from, other, to, flags);
}

/* ---- locks ---- */

int flock(int descriptor, int operation) {
    REFUSE(gate_fd("flock", descriptor));
    return REAL(flock)(descriptor, operation);
}
int lockf(int descriptor, int command, off_t length) {
    REFUSE(gate_fd("flock", descriptor));
    return REAL(lockf)(descriptor, command, length);
}
static int controlled(int descriptor, int command, void *value) {
    if (command == F_SETLK || command == F_SETLKW) REFUSE(gate_fd("flock", descriptor));
    return REAL(fcntl)(descriptor, command, value);
}
int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *value = va_arg(rest, void *);
    va_end(rest);
    return controlled(descriptor, command, value);
}
int fcntl64(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *value = va_arg(rest, void *);
    va_end(rest);
    return controlled(descriptor, command, value);
}

/* ---- the wall clock ---- */

static struct timespec began;

__attribute__((constructor)) static void begin(void) {
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &began);
}

static long jump(void) {
    long by = atol(setting("SHIM_JUMP", "0"));
    if (!by) return 0;
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long passed = (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000;
    return passed >= atol(setting("SHIM_JUMP_AFTER_MS", "0")) ? by : 0;
}
int clock_gettime(clockid_t clock, struct timespec *value) {
    int done = (int)syscall(SYS_clock_gettime, clock, value);
    if (!done && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) value->tv_sec += jump();
    return done;
}
int gettimeofday(struct timeval *restrict value, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    value->tv_sec = now.tv_sec;
    value->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *value) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (value) *value = now.tv_sec;
    return now.tv_sec;
}
