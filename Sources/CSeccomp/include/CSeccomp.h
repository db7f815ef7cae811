#pragma once
// Filters of system calls for worker processes, made by the distribution's libseccomp. The worker applies them itself and
// needs no library for that.

/// Which calls a filter refuses.
enum rpc_seccomp_kind {
  /// What reaches into other processes, the kernel or the system's configuration, or makes namespaces.
  rpc_seccomp_base = 0,
  /// What makes a socket that can reach another process; a pair of connected ones can still be made.
  rpc_seccomp_sockets = 1,
  /// What changes modes and owners of files: for workers that stay root, whom a folder's rules do not stop there.
  rpc_seccomp_modes = 2,
  /// Every socket but one that connects by TCP: which ports it may connect to, rules of the kernel say.
  rpc_seccomp_ports = 3,
};

/// Appends a filter to a file, as the kernel takes it: `struct sock_filter` after `struct sock_filter`. Returns 0 or an
/// errno.
int rpc_seccomp_write(enum rpc_seccomp_kind kind, int fd);
