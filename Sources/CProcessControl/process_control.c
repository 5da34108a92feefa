// Between fork and exec only async-signal-safe calls are made, since the calling process has threads.

#define _GNU_SOURCE

#include "process_control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

static void restore_signals(void) {
    struct sigaction fallback;
    memset(&fallback, 0, sizeof fallback);
    fallback.sa_handler = SIG_DFL;
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &fallback, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void complain(const char *what) {
    ssize_t ignored = write(STDERR_FILENO, what, strlen(what));
    (void)ignored;
}

static _Noreturn void become(
    const char *path, char *const arguments[], int log_descriptor, int ready_descriptor, bool dies_with_caller,
    pid_t caller) {
    restore_signals();
    // Copies above the numbers that are filled below, so that none is overwritten before it was copied.
    int log = fcntl(log_descriptor, F_DUPFD_CLOEXEC, 10);
    int ready = fcntl(ready_descriptor, F_DUPFD_CLOEXEC, 10);
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || ready < 0 || empty < 0 || dup2(empty, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0
        || dup2(log, STDERR_FILENO) < 0 || dup2(ready, process_control_ready_descriptor) < 0)
        _exit(126);
    if (dies_with_caller) {
        // The caller may have died before prctl was called; then nobody sends the signal any more.
        if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != caller) _exit(126);
    } else if (setsid() < 0) {
        _exit(126);
    }
    execve(path, arguments, environ);
    complain("the program cannot be executed\n");
    _exit(127);
}

pid_t process_control_spawn(
    const char *path, char *const arguments[], int log_descriptor, int ready_descriptor, bool dies_with_caller) {
    pid_t caller = getpid();
    // No signal may be handled in the new process while it still runs this program's handlers.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    if (child == 0) become(path, arguments, log_descriptor, ready_descriptor, dies_with_caller, caller);
    int code = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return child;
}

int process_control_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

static volatile int signal_pipe = -1;

static void forward(int number) {
    int code = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe loses a byte that would say nothing new.
    ssize_t ignored = write(signal_pipe, &byte, 1);
    (void)ignored;
    errno = code;
}

static int watch(int number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = forward;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

int process_control_watch_also(int number) { return watch(number); }

int process_control_watch_signals(bool non_blocking) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    if (fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0 || (non_blocking && fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0))
        return -1;
    signal_pipe = ends[1];
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) != 0) return -1;
    if (before.sa_handler != SIG_IGN && watch(SIGHUP) != 0) return -1;
    if (watch(SIGINT) != 0 || watch(SIGTERM) != 0 || watch(SIGCHLD) != 0) return -1;
    return ends[0];
}

static int argument_count;
static char *const *argument_vector;

// The C library hands what the kernel has put on the stack to every constructor.
__attribute__((constructor)) static void keep_arguments(int count, char **vector) {
    argument_count = count;
    argument_vector = vector;
}

char *const *process_control_arguments(int *count) {
    *count = argument_count;
    return argument_vector;
}
