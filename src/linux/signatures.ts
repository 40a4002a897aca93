/**
 * What the arguments of each system call are: their names, in the words of its manual page, and how their numbers read.
 *
 * For every call of numbers.ts. A line is a call and its parameters, or a structure and its fields; a parameter is `name` or `name:kind`:
 *
 * | written           | means                                                                                        |
 * |-------------------|----------------------------------------------------------------------------------------------|
 * | `name:kind`       | a kind of signatures-show.ts, a set of signatures-words.ts, a structure below, else a number  |
 * | `name:kind?`      | a reader can do without it while it is 0, NULL or empty                                       |
 * | `name:kind!`      | the other parameters depend on it: `prctl.PR_SET_NAME` has its own line                       |
 * | `struct name`     | a structure; `struct name flat` reads better with its fields among the arguments of the call  |
 * | `name:8:kind`     | a field of 8 bytes, aligned to them as C does; `label=name:8:kind` is shown with that label   |
 */

export interface Parameter {
  readonly name: string
  readonly kind: string
  readonly isOptional: boolean
  readonly isSelector: boolean
}

export interface Field {
  readonly name: string
  /** Shown in front of the value among the arguments of a call. */
  readonly label: string | undefined
  readonly kind: string
  readonly isOptional: boolean
  readonly offset: number
  readonly sizeBytes: number
}

export interface Structure {
  readonly isFlat: boolean
  readonly fields: readonly Field[]
}

const cache = { lines: undefined as ReadonlyMap<string, string> | undefined }

/** The parameters of a call, or of its variant, e.g. `prctl.PR_SET_NAME`; undefined for one that is not in the table. */
export function signatureOf(name: string): readonly Parameter[] | undefined {
  const line = lines().get(name)
  return line === undefined ? undefined : line.split(' ').filter(Boolean).map(parseParameter)
}

/** The fields of a C structure; undefined for one that is not in the table. */
export function structureOf(name: string): Structure | undefined {
  const line = lines().get(`struct ${name}`)
  if (line === undefined) return undefined
  const isFlat = line.startsWith('flat ')
  return { isFlat, fields: parseFields(isFlat ? line.slice(5) : line) }
}

function lines(): ReadonlyMap<string, string> {
  cache.lines ??= new Map(TABLE.trim().split('\n').map(splitLine))
  return cache.lines
}

function splitLine(line: string): [string, string] {
  const end = line.indexOf(' ', line.startsWith('struct ') ? 7 : 0)
  return end < 0 ? [line, ''] : [line.slice(0, end), line.slice(end + 1)]
}

function parseParameter(written: string): Parameter {
  const mark = written.slice(-1)
  const isOptional = mark === '?'
  const isSelector = mark === '!'
  const [name = '', kind = 'int'] = (isOptional || isSelector ? written.slice(0, -1) : written).split(':')
  return { name, kind, isOptional, isSelector }
}

function parseFields(line: string): readonly Field[] {
  let end = 0
  return line.split(' ').map((written) => {
    const isOptional = written.endsWith('?')
    const [names = '', size, kind = 'int'] = (isOptional ? written.slice(0, -1) : written).split(':')
    const equals = names.indexOf('=')
    const sizeBytes = Number(size)
    const alignment = sizeBytes > 8 ? 1 : sizeBytes
    const offset = Math.ceil(end / alignment) * alignment
    end = offset + sizeBytes
    return {
      name: names.slice(equals + 1),
      label: equals < 0 ? undefined : names.slice(0, equals),
      kind,
      isOptional,
      offset,
      sizeBytes,
    }
  })
}

const TABLE = `
read fd:fd bytes:out size:size
write fd:fd bytes:bytes size:size
close fd:fd
lseek fd:fd offset whence:seek
mmap address:pointer? length protection:prot? flags:map fd:fd offset?
mprotect address:pointer length protection:prot
munmap address:pointer length
rt_sigaction signal:signal action:sigaction old:out? size:size
rt_sigprocmask how:sigmask set:sigset old:out? size:size
ioctl fd:fd request:ioctl! argument
ioctl.TCSETS fd:fd request:ioctl termios:bytes
ioctl.TCGETS fd:fd request:ioctl termios:out
ioctl.TIOCGWINSZ fd:fd request:ioctl size:out
ioctl.TIOCSWINSZ fd:fd request:ioctl size:winsize
ioctl.TIOCSCTTY fd:fd request:ioctl steal?
ioctl.TIOCGPTN fd:fd request:ioctl number:out
ioctl.TIOCGPTPEER fd:fd request:ioctl flags:open
ioctl.TIOCSPTLCK fd:fd request:ioctl locked:bytes
ioctl.SIOCGIFFLAGS fd:fd request:ioctl interface:ifreq
ioctl.SIOCSIFFLAGS fd:fd request:ioctl interface:ifreq
pwrite64 fd:fd bytes:bytes size:size offset
pread64 fd:fd bytes:out size:size offset
nanosleep time:timespec rest:out?
getpid
getppid
syslog action:int buffer:out size:size
gettid
getuid
getgid
geteuid
getegid
sendfile to:fd from:fd offset:out? size
splice from:fd from_offset:out? to:fd to_offset:out? length flags
socket family:family! type:socket protocol?
socket.AF_NETLINK family:family type:socket protocol:netlink
socketpair family:family type:socket protocol? pair:out
connect fd:fd address:sockaddr length:size
bind fd:fd address:sockaddr length:size
listen fd:fd backlog
accept4 fd:fd address:out? length:out? flags:socket
getsockname fd:fd address:out length:out
sendto fd:fd bytes:bytes size:size flags:message? address:sockaddr? length:size
recvfrom fd:fd bytes:out size:size flags:message? address:out? length:out?
sendmsg fd:fd message:msghdr flags:message?
recvmsg fd:fd message:msghdr flags:message?
shutdown fd:fd how:shutdown
setsockopt fd:fd level:socket_level! option value:bytes size:size
setsockopt.SOL_SOCKET fd:fd level:socket_level option:socket_option value:bytes size:size
setsockopt.SOL_IPV6 fd:fd level:socket_level option:ipv6_option value:bytes size:size
setsockopt.SOL_NETLINK fd:fd level:socket_level option:netlink_option value:bytes size:size
getsockopt fd:fd level:socket_level! option value:out size:out
getsockopt.SOL_SOCKET fd:fd level:socket_level option:socket_option value:out size:out
exit status
exit_group status
kill pid signal:signal
tgkill group thread signal:signal
uname into:out
fcntl fd:fd command:fcntl! argument
fcntl.F_GETFD fd:fd command:fcntl unused?
fcntl.F_GETFL fd:fd command:fcntl unused?
fcntl.F_GET_SEALS fd:fd command:fcntl unused?
fcntl.F_SETFD fd:fd command:fcntl flags:fd_flags
fcntl.F_SETFL fd:fd command:fcntl flags:status
fcntl.F_ADD_SEALS fd:fd command:fcntl seals:seals
flock fd:fd operation:lock
fsync fd:fd
ftruncate fd:fd size
getcwd path:out size:size
chdir path:path
fchdir fd:fd
chroot path:path
fchmod fd:fd mode:mode
fchown fd:fd uid gid
fchmodat directory:dirfd path:path mode:mode
fchmodat2 directory:dirfd path:path mode:mode flags:at?
fchownat directory:dirfd path:path uid gid flags:at?
umask mask:mode
setpgid pid pgid
setsid
setgroups count:size gids:ids
setresuid real effective saved
setresgid real effective saved
capget header:cap_header data:out
capset header:cap_header sets:capabilities
personality persona:personality
fstatfs fd:fd into:out
sched_setscheduler pid? policy:sched parameters:sched_param
sched_setparam pid? parameters:sched_param
sched_setaffinity pid? size:size mask:cpus
sched_setattr pid? attributes:sched_attr flags?
mlockall flags:mlockall
pivot_root new_root:path put_old:path
prctl option:prctl! a? b? c? d?
prctl.PR_SET_PDEATHSIG option:prctl signal:signal a? b? c?
prctl.PR_SET_NAME option:prctl name:text a? b? c?
prctl.PR_SET_DUMPABLE option:prctl on a? b? c?
prctl.PR_SET_KEEPCAPS option:prctl on a? b? c?
prctl.PR_SET_SECUREBITS option:prctl bits:securebits a? b? c?
prctl.PR_SET_SECCOMP option:prctl mode filter:sock_fprog a? b?
prctl.PR_CAPBSET_READ option:prctl capability:capability a? b? c?
prctl.PR_CAPBSET_DROP option:prctl capability:capability a? b? c?
prctl.PR_CAP_AMBIENT option:prctl change:ambient! capability a? b?
prctl.PR_CAP_AMBIENT.PR_CAP_AMBIENT_IS_SET option:prctl change:ambient capability:capability a? b?
prctl.PR_CAP_AMBIENT.PR_CAP_AMBIENT_RAISE option:prctl change:ambient capability:capability a? b?
prctl.PR_CAP_AMBIENT.PR_CAP_AMBIENT_LOWER option:prctl change:ambient capability:capability a? b?
prctl.PR_CAP_AMBIENT.PR_CAP_AMBIENT_CLEAR_ALL option:prctl change:ambient unused? a? b?
sync
mount source:path? target:path type:text? flags:mount? options:text?
umount2 target:path flags:umount?
sethostname name:text length:size
setdomainname name:text length:size
setxattr path:path name:text value:bytes size:size flags:xattr?
lsetxattr path:path name:text value:bytes size:size flags:xattr?
lgetxattr path:path name:text into:out size:size
fsetxattr fd:fd name:text value:bytes size:size flags:xattr?
fgetxattr fd:fd name:text value:out size:size
flistxattr fd:fd names:out size:size
mbind address:pointer length mode:mempolicy nodes:cpus count:size flags?
set_mempolicy mode:mempolicy? nodes:cpus? count:size
set_mempolicy_home_node address:pointer length node flags?
waitid type:wait_id id:fd into:out options:wait usage:out?
add_key type:text description:text payload:bytes? size:size keyring:key
request_key type:text description:text callout:text? keyring:key
keyctl operation:keyctl! a? b? c? d?
keyctl.KEYCTL_GET_KEYRING_ID operation:keyctl keyring:key create? a? b?
keyctl.KEYCTL_JOIN_SESSION_KEYRING operation:keyctl name:text? a? b? c?
keyctl.KEYCTL_CHOWN operation:keyctl key:key uid gid a?
keyctl.KEYCTL_SETPERM operation:keyctl key:key permissions:hex a? b?
keyctl.KEYCTL_DESCRIBE operation:keyctl key:key into:out? size:size a?
ioprio_set which:ioprio_who id? priority:ioprio
getpriority which:priority id
setpriority which:priority id? nice
setrlimit resource:rlimit limits:rlimit64
prlimit64 pid? resource:rlimit limits:rlimit64? old:out?
inotify_init1 flags:inotify_init?
inotify_add_watch fd:fd path:path events:inotify
openat directory:dirfd path:path flags:open mode:mode?
openat2 directory:dirfd path:path how:open_how size:size
mkdirat directory:dirfd path:path mode:mode
mknodat directory:dirfd path:path mode:filemode device:device?
linkat from_directory:dirfd from:path to_directory:dirfd to:path flags:at?
unlinkat directory:dirfd path:path flags:at_unlink?
symlinkat target:path directory:dirfd path:path
readlinkat directory:dirfd path:path into:out size:size
renameat2 from_directory:dirfd from:path to_directory:dirfd to:path flags:rename?
faccessat2 directory:dirfd path:path mode:access flags:at_access?
utimensat directory:dirfd path:path times:pointer? flags:at?
statx directory:dirfd path:path flags:at? mask:statx into:out
getdents64 fd:fd into:out size:size
copy_file_range from:fd from_offset:out? to:fd to_offset:out? length flags?
ppoll fds:pollfd count:size time:timespec? mask:sigset? size:size
epoll_create1 flags:epoll_create?
epoll_pwait2 fd:fd events:out count time:timespec? mask:sigset? size:size
signalfd4 fd:fd mask:sigset size:size flags:signalfd?
eventfd2 start flags:eventfd?
dup3 from:fd to:fd flags:status?
pipe2 pair:out flags:status?
unshare flags:clone
setns fd:fd flags:clone?
seccomp operation:seccomp! flags:seccomp_flags? filter:pointer?
seccomp.SECCOMP_SET_MODE_FILTER operation:seccomp flags:seccomp_flags? filter:sock_fprog
getrandom into:out size:size flags:random?
memfd_create name:text flags:memfd?
bpf command:bpf! attributes:pointer size:size
bpf.BPF_PROG_LOAD command:bpf attributes:bpf_load size:size
bpf.BPF_PROG_ATTACH command:bpf attributes:bpf_attachment size:size
bpf.BPF_PROG_DETACH command:bpf attributes:bpf_attachment size:size
bpf.BPF_PROG_QUERY command:bpf attributes:bpf_query size:size
bpf.BPF_PROG_GET_FD_BY_ID command:bpf attributes:bpf_id size:size
execve path:path arguments:strings environment:environment
execveat directory:dirfd path:path arguments:strings environment:environment flags:at?
clock_gettime clock:clock into:out
pidfd_open pid flags:pidfd?
pidfd_send_signal pidfd:fd signal:signal siginfo:pointer? flags?
pidfd_getfd pidfd:fd fd:fd flags?
clone flags:clone stack:pointer? pidfd:pointer? tls:pointer? child_tid:pointer?
clone3 arguments:clone_args size:size
open_tree directory:dirfd path:path flags:open_tree?
move_mount from_directory:dirfd from:path to_directory:dirfd to:path flags:move_mount?
fsopen type:text flags:fsopen?
fsconfig fs:fd command:fsconfig! key:text? value:text? aux?
fsconfig.FSCONFIG_SET_FD fs:fd command:fsconfig key:text value:text? fd:fd
fsconfig.FSCONFIG_SET_PATH fs:fd command:fsconfig key:text path:path directory:dirfd
fsconfig.FSCONFIG_SET_BINARY fs:fd command:fsconfig key:text value:bytes size:size
fsmount fs:fd flags:fsmount? attributes:mount_attr?
fspick directory:dirfd path:path flags:fspick?
mount_setattr directory:dirfd path:path flags:at? attributes:mount_change size:size
close_range first:fd last:fd flags:close_range?
landlock_create_ruleset attributes:landlock_ruleset? size:size flags:landlock_create?
landlock_add_rule ruleset:fd type:landlock_rule! rule:pointer flags?
landlock_add_rule.LANDLOCK_RULE_PATH_BENEATH ruleset:fd type:landlock_rule rule:landlock_path flags?
landlock_restrict_self ruleset:fd flags?
statmount request:pointer into:out size:size flags?
listmount request:pointer into:out count:size flags?
struct open_how flat flags:8:open mode:8:mode? resolve:8:resolve?
struct mount_change flat attr_set:8:mount_attr? clear=attr_clr:8:mount_attr? propagation:8:mount? userns=userns_fd:8:fd?
struct clone_args flat flags:8:clone? pidfd=pidfd:8:pointer? child_tid=child_tid:8:pointer? parent_tid=parent_tid:8:pointer? exit_signal:8:signal? stack=stack:8:pointer? stack_size=stack_size:8? tls=tls:8:pointer? set_tid=set_tid:8:pointer? set_tid_size=set_tid_size:8? cgroup=cgroup:8:fd?
struct rlimit64 flat rlim_cur:8:limit rlim_max:8:limit
struct sched_attr size:4:size sched_policy:4:sched sched_flags:8:sched_flags? sched_nice:4? sched_priority:4? sched_runtime:8? sched_deadline:8? sched_period:8? sched_util_min:4? sched_util_max:4?
struct sched_param sched_priority:4
struct sock_fprog len:2 filter:8:size
struct iovec base:8:bytes len:8:size
struct msghdr name:8:sockaddr? namelen:4:size? iov:8:iovec iovlen:8:size control:8:control_message? controllen:8:size flags:4:message?
struct control_message len:8:size level:4:socket_level type:4:control data:4:fd
struct timespec tv_sec:8 tv_nsec:8?
struct ifreq name:16:characters flags:2:interface?
struct winsize rows:2 columns:2
struct sigaction handler:8:pointer flags:8:hex? restorer:8:pointer? mask:8:sigset?
struct pollfd fd:4:fd events:2:poll
struct cap_header flat version:4:size pid:4?
struct bpf_load prog_type:4:bpf_program insn_cnt:4 insns:8:size license:8:text log_level:4? log_size:4? log_buf:8:pointer? kern_version:4? prog_flags:4? prog_name:16:characters?
struct bpf_attachment target_fd:4:fd attach_bpf_fd:4:fd attach_type:4:bpf_attach attach_flags:4:bpf_attach_flags? replace_bpf_fd:4:fd?
struct bpf_query target_fd:4:fd attach_type:4:bpf_attach query_flags:4? attach_flags:4? prog_ids:8:pointer prog_cnt:4
struct bpf_id id:4
struct landlock_ruleset handled_access_fs:8:landlock_fs? handled_access_net:8:landlock_net? scoped:8:landlock_scope?
struct landlock_path allowed_access:8:landlock_fs parent_fd:4:fd
`
