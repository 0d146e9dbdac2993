/*
 * Stands between a test program and libc (LD_PRELOAD), and sees what is done to one keystore's
 * files.
 *
 *   CRASH_IO_FILE     the keystore's real path; its -wal, -journal and .lock belong to it, as does every file whose
 *                     path begins with this one
 *   CRASH_IO_LOG      append to this file a record of each operation that succeeded
 *   CRASH_IO_CONTROL  a file of 32 bytes, mapped: the program arms it to make its n-th operation fail, or be its last
 *
 * Linux only, for tests only; no part of the package. How the log and the control look is told once
 * more, in TypeScript, by log.ts and control.ts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, TRUNCATE = 4, SYNC = 8, UNLINK = 16, RENAME = 32 };
enum { DIES = 1000 };   /* instead of an errno: SIGKILL */
enum { MOST_FILES = 4096 };

struct control {
  _Atomic uint32_t kinds;   /* which operations count */
  _Atomic uint32_t counted; /* how many there were since it was armed */
  _Atomic uint32_t at;      /* the one that fails, from 1; 0: none */
  _Atomic uint32_t failure; /* errno, or DIES */
  _Atomic uint32_t lasting; /* 1: so do all after it */
  _Atomic uint32_t fired;   /* how many have failed */
};

struct file {
  uint32_t handle; /* 0: not one of ours */
};

static const char *database;
static size_t database_length;
static char folder[4096];
static int log_fd = -1;
static struct control *control;
static struct file files[MOST_FILES];
static _Atomic uint32_t handles;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);

__attribute__((constructor)) static void begin(void) {
  real_open = dlsym(RTLD_NEXT, "open64");
  real_close = dlsym(RTLD_NEXT, "close");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  real_rename = dlsym(RTLD_NEXT, "rename");

  const char *path = getenv("CRASH_IO_FILE");
  if (path == NULL) return;
  database_length = strlen(path);
  const char *slash = strrchr(path, '/');
  if (slash == NULL || (size_t)(slash - path) >= sizeof folder) abort();
  memcpy(folder, path, slash - path);

  const char *log = getenv("CRASH_IO_LOG");
  if (log != NULL && (log_fd = real_open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0) abort();
  const char *mapped = getenv("CRASH_IO_CONTROL");
  if (mapped != NULL) {
    int fd = real_open(mapped, O_RDWR | O_CLOEXEC);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) abort();
    real_close(fd);
  }
  database = path;
}

static int is_ours(const char *path) { return database != NULL && strncmp(path, database, database_length) == 0; }

static struct file *file_of(int fd) {
  static struct file none;
  return fd >= 0 && fd < MOST_FILES && files[fd].handle != 0 ? &files[fd] : &none;
}

/* Counts an operation. 0: go on; else the errno to fail with, or DIES. */
static uint32_t fault(uint32_t kind) {
  if (control == NULL || (atomic_load(&control->kinds) & kind) == 0) return 0;
  uint32_t number = atomic_fetch_add(&control->counted, 1) + 1, at = atomic_load(&control->at);
  if (at == 0 || number < at || (number > at && atomic_load(&control->lasting) == 0)) return 0;
  atomic_fetch_add(&control->fired, 1);
  return atomic_load(&control->failure);
}

static int fail(uint32_t failure) {
  if (failure == DIES) kill(getpid(), SIGKILL);
  errno = (int)failure;
  return -1;
}

/* One record, in one write, so that records of several threads keep apart and in order:
   kind u8, three bytes of nothing, handle u32, number u64, length u32, then so many bytes. Little-endian. */
static void record(uint8_t kind, uint32_t handle, uint64_t number, const void *bytes, size_t length) {
  if (log_fd < 0) return;
  int before = errno;
  uint32_t length32 = (uint32_t)length;
  char *whole = malloc(20 + length);
  if (whole == NULL) abort();
  memset(whole, 0, 20);
  whole[0] = (char)kind;
  memcpy(whole + 4, &handle, 4);
  memcpy(whole + 8, &number, 8);
  memcpy(whole + 16, &length32, 4);
  if (length > 0) memcpy(whole + 20, bytes, length);
  if (real_write(log_fd, whole, 20 + length) != (ssize_t)(20 + length)) abort();
  free(whole);
  errno = before;
}

static int open_file(const char *path, int flags, mode_t mode) {
  if (real_open == NULL) begin();
  int ours = is_ours(path), is_folder = database != NULL && strcmp(path, folder) == 0;
  uint32_t failure = ours ? fault(OPEN) : 0;
  if (failure != 0) return fail(failure);
  int fd = real_open(path, flags, mode);
  if (fd < 0 || !(ours || is_folder)) return fd;
  if (fd >= MOST_FILES) abort();
  files[fd].handle = atomic_fetch_add(&handles, 1) + 1;
  record(OPEN, files[fd].handle, (flags & O_TRUNC) != 0, path, strlen(path));
  return fd;
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return open_file(path, flags, mode);
}

int close(int fd) {
  if (real_close == NULL) begin();
  file_of(fd)->handle = 0;
  return real_close(fd);
}

/* A write that fails, or that dies, has come half-way: what a full disk and a lost process leave. */
static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset) {
  struct file *file = file_of(fd);
  uint32_t failure = fault(WRITE);
  if (failure != 0) {
    ssize_t half = real_pwrite(fd, bytes, length / 2, offset);
    if (half > 0) record(WRITE, file->handle, offset, bytes, half);
    return fail(failure);
  }
  ssize_t written = real_pwrite(fd, bytes, length, offset);
  if (written > 0) record(WRITE, file->handle, offset, bytes, written);
  return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  if (real_pwrite == NULL) begin();
  return file_of(fd)->handle == 0 ? real_pwrite(fd, bytes, length, offset) : write_at(fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }

/* Nobody writes to a keystore's files without saying where. Should that change, this must know of it. */
ssize_t write(int fd, const void *bytes, size_t length) {
  if (real_write == NULL) begin();
  if (file_of(fd)->handle != 0) abort();
  return real_write(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (real_writev == NULL) begin();
  if (file_of(fd)->handle != 0) abort();
  return real_writev(fd, parts, count);
}

int ftruncate64(int fd, off64_t length) {
  if (real_ftruncate == NULL) begin();
  struct file *file = file_of(fd);
  uint32_t failure = file->handle != 0 ? fault(TRUNCATE) : 0;
  if (failure != 0) return fail(failure);
  int done = real_ftruncate(fd, length);
  if (done == 0 && file->handle != 0) record(TRUNCATE, file->handle, length, NULL, 0);
  return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_file(int fd, int (*real)(int)) {
  struct file *file = file_of(fd);
  uint32_t failure = file->handle != 0 ? fault(SYNC) : 0;
  if (failure != 0) return fail(failure);
  int done = real(fd);
  if (done == 0 && file->handle != 0) record(SYNC, file->handle, 0, NULL, 0);
  return done;
}

int fsync(int fd) {
  if (real_fsync == NULL) begin();
  return sync_file(fd, real_fsync);
}

int fdatasync(int fd) {
  if (real_fdatasync == NULL) begin();
  return sync_file(fd, real_fdatasync);
}

int unlink(const char *path) {
  if (real_unlink == NULL) begin();
  int ours = is_ours(path);
  uint32_t failure = ours ? fault(UNLINK) : 0;
  if (failure != 0) return fail(failure);
  int done = real_unlink(path);
  if (done == 0 && ours) record(UNLINK, 0, 0, path, strlen(path));
  return done;
}

/* The record has both names behind each other; its number is the length of the first. */
int rename(const char *from, const char *to) {
  if (real_rename == NULL) begin();
  int ours = is_ours(from) || is_ours(to);
  uint32_t failure = ours ? fault(RENAME) : 0;
  if (failure != 0) return fail(failure);
  int done = real_rename(from, to);
  if (done == 0 && ours) {
    size_t first = strlen(from), second = strlen(to);
    char *names = malloc(first + second);
    if (names == NULL) abort();
    memcpy(names, from, first);
    memcpy(names + first, to, second);
    record(RENAME, 0, first, names, first + second);
    free(names);
  }
  return done;
}
