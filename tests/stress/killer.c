/* Kills the process at the KILL_AT-th moment of its work on files below KILL_ROOT: before or after one is written,
 * synced, made, renamed, linked or deleted, or when half of a write is done. The file KILL_COUNT counts the moments.
 * Without KILL_ROOT nothing happens. Build: cc -shared -fPIC -o killer.so killer.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path counts where it begins as the root does: clipdb is given absolute ones. */
static int counts(const char *path) {
    const char *root = getenv("KILL_ROOT");
    return root && strncmp(path, root, strlen(root)) == 0;
}

static int open_counts(int file) {
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    return getenv("KILL_ROOT") && readlink(link, path, sizeof path - 1) > 0 && counts(path);
}

static void moment(int here) {
    static long *count;
    if (!here) return;
    if (!count) count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, open(getenv("KILL_COUNT"), O_RDWR), 0);
    if (__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) == atol(getenv("KILL_AT")))
        for (;;) kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(type, name, given, here, ...)   \
    type name given {                          \
        int counted = here;                    \
        moment(counted);                       \
        type result = REAL(name)(__VA_ARGS__); \
        moment(counted);                       \
        return result;                         \
    }
/* Two calls, of which the first does one half; where the second fails, that was all. */
#define HALVES(name, given, first, second)                            \
    ssize_t name given {                                              \
        int counted = size > 1 && open_counts(file);                  \
        size_t part = counted ? size / 2 : size;                      \
        moment(counted);                                              \
        ssize_t done = REAL(name) first;                              \
        moment(counted);                                              \
        if (!counted || done != (ssize_t)part) return done;           \
        ssize_t more = REAL(name) second;                             \
        moment(counted);                                              \
        return more < 0 ? done : done + more;                         \
    }
#define REST (const char *)from + part, size - part

HALVES(write, (int file, const void *from, size_t size), (file, from, part), (file, REST))
HALVES(pwrite, (int file, const void *from, size_t size, off_t at), (file, from, part, at), (file, REST, at + part))
HALVES(pwrite64, (int file, const void *from, size_t size, off64_t at), (file, from, part, at), (file, REST, at + part))
AROUND(int, fsync, (int file), open_counts(file), file)
AROUND(int, fdatasync, (int file), open_counts(file), file)
AROUND(int, ftruncate, (int file, off_t size), open_counts(file), file, size)
AROUND(int, ftruncate64, (int file, off64_t size), open_counts(file), file, size)
AROUND(ssize_t, sendfile, (int file, int from, off_t *at, size_t size), open_counts(file), file, from, at, size)
AROUND(ssize_t, copy_file_range, (int from, off64_t *a, int file, off64_t *b, size_t size, unsigned flags),
       open_counts(file), from, a, file, b, size, flags)
AROUND(int, mkdir, (const char *path, mode_t mode), counts(path), path, mode)
AROUND(int, rmdir, (const char *path), counts(path), path)
AROUND(int, unlink, (const char *path), counts(path), path)
AROUND(int, unlinkat, (int folder, const char *path, int flags),
       folder == AT_FDCWD ? counts(path) : open_counts(folder), folder, path, flags)
AROUND(int, symlink, (const char *target, const char *path), counts(path), target, path)
AROUND(int, link, (const char *from, const char *path), counts(path), from, path)
AROUND(int, linkat, (int a, const char *from, int b, const char *path, int flags), counts(path), a, from, b, path, flags)
AROUND(int, rename, (const char *from, const char *path), counts(path), from, path)
AROUND(int, renameat, (int a, const char *from, int b, const char *path), counts(path), a, from, b, path)
AROUND(int, renameat2, (int a, const char *from, int b, const char *path, unsigned flags), counts(path), a, from, b,
       path, flags)
