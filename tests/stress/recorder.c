/* Records what the disk would have below RECORD_ROOT if the machine stopped, one state per fsync of the process:
 *
 *     content ID COPY      the file ID was synced: RECORD_STORE/COPY is what it holds from now on
 *     folder ID            the folder ID was synced: it has the names that it has now
 *     ID KIND PATH TARGET  everything that there is at this moment; KIND is f, d or l, and TARGET a link's
 *     .                    the end of the state
 *
 * An ID is a file's number and time of birth, since numbers are used again. Programs may rename files without libc, but
 * sync them through it, so that nothing but syncs need be caught. Build: cc -shared -fPIC -o recorder.so recorder.c -ldl */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static FILE *record;
static int copies;

static void name(int folder, const char *path, char *id) {
    struct statx what;
    if (statx(folder, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &what) != 0) {
        id[0] = 0; /* it has gone meanwhile */
        return;
    }
    sprintf(id, "%llx.%llx.%x", (unsigned long long)what.stx_ino, (unsigned long long)what.stx_btime.tv_sec, what.stx_btime.tv_nsec);
}

static int list(const char *path, const struct stat *what, int kind, struct FTW *place) {
    char id[64], target[PATH_MAX] = "";
    (void)place;
    name(AT_FDCWD, path, id);
    if (S_ISLNK(what->st_mode)) {
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
    }
    if (id[0] && kind != FTW_NS)
        fprintf(record, "%s\t%c\t%s\t%s\n", id, S_ISDIR(what->st_mode) ? 'd' : S_ISLNK(what->st_mode) ? 'l' : 'f', path, target);
    return 0;
}

static void keep(int file) {
    char link[64], copy[64], id[64], path[PATH_MAX];
    struct stat what;
    const char *root = getenv("RECORD_ROOT"), *store = getenv("RECORD_STORE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || fstat(file, &what) != 0) return;
    path[n] = 0;
    if (!root || !store || strncmp(path, root, strlen(root)) != 0) return;
    if (!record) {
        snprintf(path, sizeof path, "%s/log.%d", store, getpid());
        record = fopen(path, "a");
    }
    name(file, "", id);
    if (S_ISDIR(what.st_mode)) {
        fprintf(record, "folder\t%s\n", id);
    } else {
        snprintf(copy, sizeof copy, "%d.%d", getpid(), copies++);
        snprintf(path, sizeof path, "%s/%s", store, copy);
        /* Reading through another descriptor and closing it would drop the process's POSIX locks on the file. */
        int out = open(path, O_WRONLY | O_CREAT, 0600);
        char part[65536];
        for (off_t at = 0; at < what.st_size;) {
            ssize_t done = pread(file, part, sizeof part, at);
            if (done <= 0 || write(out, part, done) != done) { /* it was opened for writing alone */
                int in = open(link, O_RDONLY);
                if (in < 0 || lseek(in, at, SEEK_SET) < 0 || sendfile(out, in, NULL, what.st_size - at) < 0) abort();
                close(in);
                break;
            }
            at += done;
        }
        close(out);
        fprintf(record, "content\t%s\t%s\n", id, copy);
    }
    nftw(root, list, 16, FTW_PHYS);
    fputs(".\n", record);
    fflush(record);
}

static int synced(int file, long call) {
    pthread_mutex_lock(&one_at_a_time);
    int result = syscall(call, file), error = errno;
    if (result == 0) keep(file);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}
int fsync(int file) { return synced(file, SYS_fsync); }
int fdatasync(int file) { return synced(file, SYS_fdatasync); }
