/* integration/bench/floor.c: what a container costs the kernel, and nothing else

   floor ROOTFS CGROUP PROGRAM: runs PROGRAM as `run` does with the default config.json (integration/spec.json): in new namespaces,
   in a cgroup of its own with its controllers and device filter, on its own root with its mounts, devices, masks and read-only paths,
   without rights. It parses nothing, checks nothing that the kernel does not, and says nothing but the call that failed. What a
   runtime takes beyond this is its own.
   floor -e PID CGROUP PROGRAM: runs PROGRAM as `exec` does, in the namespaces and the cgroup of a container whose init is PID.
   CGROUP is a folder of a cgroup v2 tree that is not there, nor its parent. Needs root, Linux 5.12 and <linux/...> of 6.1. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define DO(call) ((call) < 0 ? err(1, "%s", #call) : (void)0)
#define COUNT(list) (sizeof(list) / sizeof *(list))
#define MNT_DETACH 2

static int fd_of(int fd, const char *what) {
  if (fd < 0) err(1, "%s", what);
  return fd;
}

static int open_in(int dir, const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
  return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static int set(int tree, unsigned flags, uint64_t attributes, uint64_t propagation) {
  struct mount_attr change = {.attr_set = attributes, .propagation = propagation};
  return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &change, sizeof change);
}

static int clone_of(int dir, const char *path, unsigned flags) {
  return fd_of(syscall(SYS_open_tree, dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | flags), "open_tree");
}

static void attach(int tree, int target) {
  DO(syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

/* A new filesystem; parameters are key, value, key, value, ..., a flag's value is "". */
static int filesystem(const char *type, const char *const *parameters, unsigned attributes) {
  int fs = fd_of(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
  for (; *parameters; parameters += 2) {
    int flag = !*parameters[1];
    DO(syscall(SYS_fsconfig, fs, flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, parameters[0], flag ? NULL : parameters[1], 0));
  }
  DO(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
  int tree = fd_of(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes), "fsmount");
  close(fs);
  return tree;
}

#define NS MOUNT_ATTR_NOSUID
#define ND MOUNT_ATTR_NODEV
#define NX MOUNT_ATTR_NOEXEC
#define RO MOUNT_ATTR_RDONLY
static const struct {
  const char *target, *type, *parameters[12];
  unsigned attributes;
} MOUNTS[] = {
    {"/proc", "proc", {"source", "proc"}, 0},
    {"/dev", "tmpfs", {"source", "tmpfs", "mode", "755", "size", "65536k"}, NS | MOUNT_ATTR_STRICTATIME},
    {"/dev/pts", "devpts", {"source", "devpts", "newinstance", "", "ptmxmode", "0666", "mode", "0620", "gid", "5"}, NS | NX},
    {"/dev/shm", "tmpfs", {"source", "shm", "mode", "1777", "size", "65536k"}, NS | ND | NX},
    {"/dev/mqueue", "mqueue", {"source", "mqueue"}, NS | ND | NX},
    {"/sys", "sysfs", {"source", "sysfs"}, RO | NS | ND | NX},
    {"/sys/fs/cgroup", "cgroup2", {"source", "cgroup"}, RO | NS | ND | NX},
};
static const struct {
  const char *name;
  int major, minor;
} NODES[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
static const char *const LINKS[][2] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
                                       {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}, {"pts/ptmx", "ptmx"}};
static const char *const READ_ONLY[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
static const char *const MASKED[] = {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                                     "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};

static void mounts(int root) {
  static const char *const EMPTY[] = {"nr_blocks", "1", "nr_inodes", "1", NULL};
  for (unsigned i = 0; i < COUNT(MOUNTS); i++) {
    int target = open_in(root, MOUNTS[i].target);
    if (target < 0) {
      DO(mkdirat(root, MOUNTS[i].target + 1, 0755));
      target = fd_of(open_in(root, MOUNTS[i].target), MOUNTS[i].target);
    }
    int tree = filesystem(MOUNTS[i].type, MOUNTS[i].parameters, MOUNTS[i].attributes);
    attach(tree, target);
    close(tree), close(target);
  }
  int dev = fd_of(open_in(root, "/dev"), "/dev");
  for (unsigned i = 0; i < COUNT(NODES); i++) DO(mknodat(dev, NODES[i].name, S_IFCHR | 0666, makedev(NODES[i].major, NODES[i].minor)));
  for (unsigned i = 0; i < COUNT(LINKS); i++) DO(symlinkat(LINKS[i][0], dev, LINKS[i][1]));
  close(dev);
  DO(fchdir(root));
  DO(syscall(SYS_pivot_root, ".", "."));
  DO(syscall(SYS_umount2, ".", MNT_DETACH));
  DO(chdir("/"));
  DO(set(root, 0, RO, 0));
  for (unsigned i = 0; i < COUNT(READ_ONLY); i++) {
    int target = open_in(root, READ_ONLY[i]);
    if (target < 0) continue;
    int tree = clone_of(target, "", AT_RECURSIVE);
    DO(set(tree, AT_RECURSIVE, RO, 0));
    attach(tree, target);
    close(tree), close(target);
  }
  int null = clone_of(root, "dev/null", 0), empty = -1;
  DO(set(null, 0, RO | NS | NX, 0));
  for (unsigned i = 0; i < COUNT(MASKED); i++) {
    struct stat stat;
    int target = open_in(root, MASKED[i]);
    if (target < 0) continue;
    DO(fstat(target, &stat));
    if (S_ISDIR(stat.st_mode) && empty < 0) empty = filesystem("tmpfs", EMPTY, RO | NS | ND | NX);
    int tree = clone_of(S_ISDIR(stat.st_mode) ? empty : null, "", 0);
    attach(tree, target);
    close(tree), close(target);
  }
}

/* Limits, rights and the program. */
static void give_up(char **program) {
  DO(setrlimit(RLIMIT_NOFILE, &(struct rlimit){1024, 1024}));
  DO(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  const uint32_t kept = 1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE | 1 << CAP_AUDIT_WRITE;
  for (int cap = 0; cap <= CAP_CHECKPOINT_RESTORE; cap++)
    if (cap > 31 || !(kept >> cap & 1)) DO(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
  DO(syscall(SYS_setgroups, 0, NULL));
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{kept, kept, 0}};
  DO(syscall(SYS_capset, &header, data));
  DO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  DO(prctl(PR_SET_PDEATHSIG, 0));
  DO(syscall(SYS_close_range, 3, ~0u, 0));
  execv(program[0], program);
  err(1, "%s", program[0]);
}

static void container(int root, char **program) {
  DO(prctl(PR_SET_PDEATHSIG, SIGKILL));
  DO(setsid());
  int socket_ = fd_of(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  DO(ioctl(socket_, SIOCSIFFLAGS, &lo));
  close(socket_);
  DO(sethostname("runc", 4));
  int top = fd_of(open("/", O_PATH | O_CLOEXEC), "/");
  DO(set(top, AT_RECURSIVE, 0, 1 << 19 /* MS_SLAVE */));
  int place = fd_of(open(program[-2], O_PATH | O_CLOEXEC), program[-2]);
  attach(root, place);
  close(top), close(place);
  umask(0);
  DO(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "_ses.floor"));
  mounts(root);
  umask(022);
  give_up(program);
}

/* The default rules as arithmetic, as plan/devices.rs has them: a rule's accesses are multiplied by whether it fits. */
static struct bpf_insn FILTER[512];
static int insns;
static void op(int code, int dst, int src, int off, int imm) { FILTER[insns++] = (struct bpf_insn){code, dst, src, off, imm}; }

static void filter(int cgroup) {
  static const struct {
    int kind, access, major, minor;
  } RULES[] = {{2, 1, -1, -1}, {1, 1, -1, -1}, {2, 7, 1, 3}, {2, 7, 1, 8}, {2, 7, 1, 7}, {2, 7, 5, 0},
               {2, 7, 1, 5}, {2, 7, 1, 9}, {2, 7, 136, -1}, {2, 7, 5, 2}, {2, 7, 10, 200}};
  op(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0), op(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0), op(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
  op(BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0), op(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff), op(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
  op(BPF_ALU64 | BPF_MOV | BPF_K, 6, 0, 0, 0);
  for (unsigned i = 0; i < COUNT(RULES); i++) {
    const int field[][2] = {{2, RULES[i].kind}, {4, RULES[i].major}, {5, RULES[i].minor}};
    op(BPF_ALU64 | BPF_MOV | BPF_K, 7, 0, 0, 0);
    for (int j = 0; j < 3; j++) {
      if (field[j][1] < 0) continue;
      op(BPF_ALU | BPF_MOV | BPF_X, 8, field[j][0], 0, 0), op(BPF_ALU | BPF_XOR | BPF_K, 8, 0, 0, field[j][1]), op(BPF_ALU64 | BPF_OR | BPF_X, 7, 8, 0, 0);
    }
    op(BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, -1), op(BPF_ALU64 | BPF_RSH | BPF_K, 7, 0, 0, 63);
    op(BPF_ALU64 | BPF_MUL | BPF_K, 7, 0, 0, RULES[i].access), op(BPF_ALU64 | BPF_OR | BPF_X, 6, 7, 0, 0);
  }
  op(BPF_ALU64 | BPF_XOR | BPF_K, 6, 0, 0, -1), op(BPF_ALU64 | BPF_AND | BPF_X, 6, 3, 0, 0), op(BPF_ALU64 | BPF_ADD | BPF_K, 6, 0, 0, -1);
  op(BPF_ALU64 | BPF_RSH | BPF_K, 6, 0, 0, 63), op(BPF_ALU64 | BPF_MOV | BPF_X, 0, 6, 0, 0), op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uintptr_t)FILTER, .insn_cnt = insns, .license = (uintptr_t) "Apache-2.0"};
  int program = fd_of(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load), "BPF_PROG_LOAD");
  union bpf_attr to = {.target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
  DO(syscall(SYS_bpf, BPF_PROG_ATTACH, &to, sizeof to));
  close(program);
}

static int end_of(int pidfd) {
  siginfo_t end;
  DO(waitid(P_PIDFD, pidfd, &end, WEXITED));
  return end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
}

/* The process is born by a child that is in all namespaces already, as nobody inside may see one that is not. */
static int enter(int init, const char *place, char **program) {
  int cgroup = fd_of(open(place, O_RDONLY | O_CLOEXEC), place), born[2], pidfd;
  DO(pipe2(born, O_CLOEXEC));
  struct clone_args args = {.flags = CLONE_PIDFD | CLONE_INTO_CGROUP, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = cgroup};
  pid_t pid = syscall(SYS_clone3, &args, sizeof args);
  DO(pid);
  if (pid == 0) {
    DO(prctl(PR_SET_PDEATHSIG, SIGKILL));
    DO(setns(init, CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET));
    pid = syscall(SYS_clone3, &(struct clone_args){.flags = CLONE_PARENT}, sizeof args);
    DO(pid);
    if (pid > 0) {
      DO(write(born[1], &pid, sizeof pid));
      _exit(0);
    }
    DO(setsid());
    DO(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "_ses.floor"));
    umask(022);
    give_up(program);
  }
  close(born[1]);
  if (read(born[0], &pid, sizeof pid) != sizeof pid) errx(1, "nothing was born");
  int process = fd_of(syscall(SYS_pidfd_open, pid, 0), "pidfd_open");
  end_of(pidfd);
  return end_of(process);
}

int main(int argc, char **argv) {
  if (argc < 4) errx(2, "floor ROOTFS CGROUP PROGRAM, floor -e PID CGROUP PROGRAM");
  if (!strcmp(argv[1], "-e")) return enter(fd_of(syscall(SYS_pidfd_open, atoi(argv[2]), 0), "pidfd_open"), argv[3], argv + 4);
  char parent[PATH_MAX], controllers[1024], enabled[1024] = "";
  strcpy(parent, argv[2]), *strrchr(parent, '/') = 0;
  DO(mkdir(parent, 0755));
  DO(mkdir(argv[2], 0755));
  int above = fd_of(open(parent, O_RDONLY | O_CLOEXEC), parent), cgroup = fd_of(open(argv[2], O_RDONLY | O_CLOEXEC), argv[2]);
  int list = fd_of(openat(above, "cgroup.controllers", O_RDONLY | O_CLOEXEC), "cgroup.controllers");
  ssize_t length = read(list, controllers, sizeof controllers - 1);
  close(list);
  controllers[length < 0 ? 0 : length] = 0;
  for (char *name = strtok(controllers, " \n"); name; name = strtok(NULL, " \n")) strcat(strcat(enabled, " +"), name);
  if (*enabled) {
    int control = fd_of(openat(above, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC), "cgroup.subtree_control");
    DO(write(control, enabled + 1, strlen(enabled + 1)));
    close(control);
  }
  filter(cgroup);
  int root = clone_of(AT_FDCWD, argv[1], AT_RECURSIVE), pidfd;
  DO(set(root, AT_RECURSIVE, 0, 1 << 19 /* MS_SLAVE */));
  DO(set(root, 0, 0, 1 << 18 /* MS_PRIVATE */));
  struct clone_args args = {.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET,
                            .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = cgroup};
  pid_t pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) container(root, argv + 3);
  DO(pid);
  int status = end_of(pidfd);
  DO(rmdir(argv[2]));
  DO(rmdir(parent));
  return status;
}
