/* A disk that misbehaves, for one process (LD_PRELOAD).
 *
 * DISK_FAILS_SYNC=N   the N-th fsync or fdatasync fails with EIO; like a real disk's, the next ones
 *                     go well and say nothing of what was lost
 * DISK_IS_FULL=FILE   while that file exists, writes to the database's files fail with ENOSPC
 * DISK_KEEPS=FOLDER   a power cut at any moment: after each sync the file's content is copied there,
 *                     and nothing that was not synced
 * The database's files are those with `leadflow.db` in their name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int syncs;

/* The file's name without its folder, if it is one of the database's. */
static const char *name_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && strstr(name, "leadflow.db") ? name + 1 : NULL;
}

/* Replaced whole, so that a reader sees one state or the other. */
static void keep(const char *folder, const char *name, const char *path) {
    char kept[4096], part[4096], piece[65536];
    snprintf(kept, sizeof kept, "%s/%s", folder, name);
    snprintf(part, sizeof part, "%s/.%s.part", folder, name);
    int from = open(path, O_RDONLY), to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t length;
    while ((length = read(from, piece, sizeof piece)) > 0)
        if (write(to, piece, length) != length) abort();
    close(from);
    close(to);
    rename(part, kept);
}

static int synced(int fd, const char *call) {
    char path[4096];
    const char *name = name_of(fd, path, sizeof path);
    int (*real)(int) = dlsym(RTLD_NEXT, call);
    if (!name) return real(fd);
    const char *fails = getenv("DISK_FAILS_SYNC"), *folder = getenv("DISK_KEEPS");
    if (fails && __sync_add_and_fetch(&syncs, 1) == atoi(fails)) {
        errno = EIO;
        return -1;
    }
    int result = real(fd);
    if (!result && folder) keep(folder, name, path);
    return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

static int is_full(int fd) {
    char path[4096];
    const char *file = getenv("DISK_IS_FULL");
    return file && access(file, F_OK) == 0 && name_of(fd, path, sizeof path);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (is_full(fd)) return errno = ENOSPC, -1;
    return real(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (is_full(fd)) return errno = ENOSPC, -1;
    return real(fd, bytes, count, offset);
}
