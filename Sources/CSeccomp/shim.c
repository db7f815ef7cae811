#define _GNU_SOURCE
#include "CSeccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const int refused[] = {
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(keyctl),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
    SCMP_SYS(chroot), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(unshare), SCMP_SYS(setns),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(delete_module), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(fanotify_init),
    SCMP_SYS(quotactl), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(reboot), SCMP_SYS(acct), SCMP_SYS(syslog),
    SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(vhangup),
    SCMP_SYS(mknod), SCMP_SYS(mknodat),
};

static const int sockets[] = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
                              SCMP_SYS(accept), SCMP_SYS(accept4)};

static const int modes[] = {
    SCMP_SYS(chmod),    SCMP_SYS(fchmod),    SCMP_SYS(fchmodat),    SCMP_SYS(chown),        SCMP_SYS(fchown),
    SCMP_SYS(lchown),   SCMP_SYS(fchownat),  SCMP_SYS(setxattr),    SCMP_SYS(lsetxattr),    SCMP_SYS(fsetxattr),
    SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr),
};

// fchmodat2, which newer kernels have and older libraries do not know: its number is the same on every architecture.
enum { kFchmodat2 = 452 };

static int refuse(scmp_filter_ctx filter, const int *calls, size_t count) {
  for (size_t index = 0; index < count; index++) {
    // What this architecture does not have has nothing to be refused.
    int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[index], 0);
    if (code != 0 && code != -EDOM && code != -EINVAL) return code;
  }
  return 0;
}

static int fill_base(scmp_filter_ctx filter) {
  const unsigned long namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                   CLONE_NEWNET | CLONE_NEWCGROUP;
  int code = refuse(filter, refused, sizeof refused / sizeof *refused);
  for (unsigned bit = 0; code == 0 && bit < 32; bit++) {
    unsigned long flag = 1ul << bit;
    if (!(namespaces & flag)) continue;
    code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
  }
  // Its flags are in memory, where a filter does not see them: libraries fall back to clone.
  if (code == 0) code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // Typing into the terminal that the server was started from.
  if (code == 0) code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, 0x5412));
  return code;
}

static int fill_pairs(scmp_filter_ctx filter) {
  int code = 0;
  // Only one of a connected pair of streams or packets stays with its peer: a datagram names another one.
  const int unbound[] = {SOCK_DGRAM, SOCK_RAW};
  for (size_t index = 0; code == 0 && index < 2; index++)
    code = seccomp_rule_add(
        filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socketpair), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, unbound[index]));
  return code;
}

static int fill_sockets(scmp_filter_ctx filter) {
  int code = refuse(filter, sockets, sizeof sockets / sizeof *sockets);
  return code == 0 ? fill_pairs(filter) : code;
}

static int fill_ports(scmp_filter_ctx filter) {
  const int servers[] = {SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4)};
  int code = refuse(filter, servers, sizeof servers / sizeof *servers);
  if (code == 0) code = fill_pairs(filter);
  const scmp_datum_t families = 64, kinds = 16, fast_open = 0x20000000;
  // Whatever is not refused is allowed, so what is refused is spelled out: other families, kinds and protocols.
  for (scmp_datum_t family = 0; code == 0 && family < families; family++)
    if (family != AF_INET && family != AF_INET6)
      code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A0_32(SCMP_CMP_EQ, family));
  if (code == 0)
    code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A0_32(SCMP_CMP_GE, families));
  for (scmp_datum_t kind = 0; code == 0 && kind < kinds; kind++)
    if (kind != SOCK_STREAM)
      code = seccomp_rule_add(
          filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, kind));
  // Of streams TCP alone: rules for ports do not cover its kin.
  for (scmp_datum_t protocol = 1; code == 0 && protocol < IPPROTO_TCP; protocol++)
    code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A2_32(SCMP_CMP_EQ, protocol));
  if (code == 0)
    code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A2_32(SCMP_CMP_GT, IPPROTO_TCP));
  // What is sent with the first packet connects past the rules.
  if (code == 0)
    code = seccomp_rule_add(
        filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendto), 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, fast_open, fast_open));
  if (code == 0)
    code = seccomp_rule_add(
        filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendmsg), 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, fast_open, fast_open));
  if (code == 0)
    code = seccomp_rule_add(
        filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendmmsg), 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, fast_open, fast_open));
  return code;
}

int rpc_seccomp_write(enum rpc_seccomp_kind kind, int fd) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == NULL) return ENOMEM;
  // A tree of comparisons instead of a list of them, where the library has that.
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  int code = 0;
  switch (kind) {
    case rpc_seccomp_base: code = fill_base(filter); break;
    case rpc_seccomp_sockets: code = fill_sockets(filter); break;
    case rpc_seccomp_ports: code = fill_ports(filter); break;
    case rpc_seccomp_modes:
      code = refuse(filter, modes, sizeof modes / sizeof *modes);
      if (code == 0) {
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), kFchmodat2, 0);
        if (code == -EDOM || code == -EINVAL) code = 0;
      }
      break;
  }
  if (code == 0) code = seccomp_export_bpf(filter, fd);
  seccomp_release(filter);
  return -code;
}
