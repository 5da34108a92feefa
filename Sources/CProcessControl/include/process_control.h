// Starting processes and catching signals: the few calls of Linux that Swift cannot make itself.

#ifndef SOLIDUS_PROCESS_CONTROL_H
#define SOLIDUS_PROCESS_CONTROL_H

#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The descriptor number under which a spawned process finds the pipe to say that it is ready.
enum { process_control_ready_descriptor = 3 };

/// Starts `path` with `arguments` (ended by NULL) and this process's environment: standard input empty, standard output
/// and error appended to `log_descriptor`, the pipe `ready_descriptor` as descriptor 3, every other descriptor as its
/// close-on-exec flag says.
///
/// With `dies_with_caller` the kernel kills the new process as soon as the calling *thread* ends, for whatever reason;
/// the new process is then in a process group of its own, so that a terminal's Ctrl-C does not reach it. Without, it
/// leads a session of its own.
///
/// Returns its process id, or -1 with errno.
pid_t process_control_spawn(
    const char *path, char *const arguments[], int log_descriptor, int ready_descriptor, bool dies_with_caller);

/// Makes a pipe whose ends, reading and writing, no executed program inherits. Returns 0, or -1 with errno.
int process_control_pipe(int ends[2]);

/// From now on SIGINT, SIGTERM, SIGHUP and SIGCHLD arrive as bytes (the signal's number) in a pipe; SIGHUP only when it
/// is not ignored, as nohup has it. Returns the pipe's reading end (non-blocking if asked), or -1 with errno. Call it
/// once.
int process_control_watch_signals(bool non_blocking);

/// Has a further signal arrive in the pipe of `process_control_watch_signals`, which must have been called. Returns 0,
/// or -1 with errno.
int process_control_watch_also(int number);

/// The arguments that this process was started with, the program's name first; `count` gets their number. They come
/// from the program's start, not from /proc, so they are there without it.
char *const *process_control_arguments(int *count);

#ifdef __cplusplus
}
#endif

#endif
