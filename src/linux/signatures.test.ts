import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { packU32, structOf64 } from './bytes.ts'
import { buffer, type Call, slot, strings, text } from './call.ts'
import * as files from './files.ts'
import * as mounts from './mount.ts'
import * as namespaces from './namespaces.ts'
import * as processes from './process.ts'
import { prlimit } from './rlimits.ts'
import { type NumberRange, schedSetaffinity } from './scheduling.ts'
import { signatureOf, structureOf } from './signatures.ts'
import { argumentTexts, callText } from './signatures-show.ts'
import { wordSet, wordSetNames } from './signatures-words.ts'
import * as sockets from './sockets.ts'

const root = slot('root')
const tree = slot('tree')

const shown = (call: Call): string => callText(call)

test('every call that has a number has a signature', () => {
  const source = readFileSync(new URL('./numbers.ts', import.meta.url), 'utf8')
  const named = [...source.matchAll(/(\w+) \d+ \d+(?=[,'])/g)].map(([, name]) => name ?? '')
  expect(named.length).toBeGreaterThan(100)
  expect(named.filter((name) => signatureOf(name) === undefined)).toEqual([])
})

test('every kind in the table is a set of words, a structure or a value', () => {
  const values =
    'int size fd dirfd hex mode filemode device signal capability limit ioprio pointer out bytes text path strings environment characters sigset cpus ids capabilities sockaddr count'.split(
      ' ',
    )
  const source = readFileSync(new URL('./signatures.ts', import.meta.url), 'utf8').split('const TABLE')[1] ?? ''
  const kinds = [...source.matchAll(/:([a-z]\w+)[!?]?(?=[ \n])/g)].map(([, kind]) => kind ?? '')
  const known = (kind: string): boolean =>
    values.includes(kind) || wordSet(kind, 'x86_64') !== undefined || structureOf(kind) !== undefined
  expect(kinds.length).toBeGreaterThan(200)
  expect(kinds.filter((kind) => !known(kind))).toEqual([])
})

test('every set of words is used', () => {
  const read = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8')
  const uses = read('./signatures.ts') + read('./signatures-values.ts')
  expect(wordSetNames().filter((name) => !uses.includes(`:${name}`) && !uses.includes(`'${name}'`))).toEqual([])
})

test('a name has the value that the constructors of calls give it', () => {
  const values = new Map<string, bigint>()
  for (const name of wordSetNames())
    for (const word of wordSet(name, 'x86_64')?.words ?? []) values.set(word.name, word.value)
  const constants = Object.entries({ ...files, ...mounts, ...namespaces, ...processes, ...sockets })
  const compared = constants.flatMap(([name, value]) => {
    const known = values.get(name)
    return known === undefined || typeof value !== 'number' ? [] : [[name, BigInt(value), known] as const]
  })
  expect(compared.length).toBeGreaterThan(50)
  expect(compared.filter(([, value, known]) => value !== known)).toEqual([])
})

test('openat2 shows what its structure holds, and leaves out what is set everywhere', () => {
  expect(shown(files.openInRoot(root, 'dev/pts', files.O_PATH | files.O_DIRECTORY.x86_64))).toBe(
    'openat2(root, "dev/pts", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)',
  )
  expect(shown(files.openat(files.AT_FDCWD, '/etc/passwd', files.O_RDONLY))).toBe('openat("/etc/passwd", O_RDONLY)')
  expect(shown(files.openat(root, 'log', files.O_WRONLY | files.O_CREAT, 0o600))).toBe(
    'openat(root, "log", O_WRONLY|O_CREAT, 0600)',
  )
})

test('flags of open are read with the values of the architecture', () => {
  const call = files.openat(root, 'x', files.O_PATH | files.O_NOFOLLOW.aarch64)
  expect(callText(call, { architecture: 'aarch64' })).toBe('openat(root, "x", O_PATH|O_NOFOLLOW)')
  expect(callText(call)).toBe('openat(root, "x", O_PATH|O_LARGEFILE)')
})

test('mounts are shown by their trees and targets', () => {
  expect(shown(mounts.cloneTree(files.AT_FDCWD, '/srv', { recursive: true }))).toBe(
    'open_tree("/srv", OPEN_TREE_CLONE|AT_RECURSIVE)',
  )
  expect(shown(mounts.attach(tree, slot('target')))).toBe('move_mount(tree, target)')
  expect(
    shown(
      mounts.mountSetattr(tree, {
        set: mounts.MOUNT_ATTR_RDONLY | mounts.MOUNT_ATTR_NOATIME,
        clear: mounts.MOUNT_ATTR__ATIME,
        propagation: mounts.MS_PRIVATE,
        userNamespace: slot('userns'),
        recursive: true,
      }),
    ),
  ).toBe(
    'mount_setattr(tree, AT_RECURSIVE, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOATIME, clear=MOUNT_ATTR__ATIME, MS_PRIVATE, userns=userns)',
  )
  expect(shown(mounts.fsopen('tmpfs'))).toBe('fsopen("tmpfs")')
  expect(shown(mounts.fsconfigString(slot('fs'), 'size', '64m'))).toBe(
    'fsconfig(fs, FSCONFIG_SET_STRING, "size", "64m")',
  )
  expect(shown(mounts.fsconfigFd(slot('fs'), 'lowerdir+', slot('layer')))).toBe(
    'fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", layer)',
  )
  expect(shown(mounts.fsconfigCreate(slot('fs')))).toBe('fsconfig(fs, FSCONFIG_CMD_CREATE)')
  expect(shown(mounts.fsmount(slot('fs'), 0))).toBe('fsmount(fs)')
  expect(shown(mounts.setPropagation('/', mounts.MS_REC | mounts.MS_PRIVATE))).toBe('mount("/", MS_REC|MS_PRIVATE)')
  expect(shown(mounts.umount2('.', mounts.MNT_DETACH))).toBe('umount2(".", MNT_DETACH)')
})

test('clone3 shows namespaces, the cgroup of birth and where the pidfd goes', () => {
  const call = namespaces.clone3({
    flags: namespaces.CLONE_NEWPID | namespaces.CLONE_NEWNET,
    pidfd: buffer('init-pidfd', 4),
    cgroup: slot('cgroup'),
  })
  expect(shown(call)).toBe('clone3(CLONE_NEWPID|CLONE_NEWNET, pidfd=&init-pidfd, SIGCHLD, cgroup=cgroup)')
  expect(argumentTexts(call)[0]?.text).toBe(
    '{flags=CLONE_PIDFD|CLONE_NEWPID|CLONE_NEWNET|CLONE_INTO_CGROUP, pidfd=&init-pidfd, child_tid=NULL, parent_tid=NULL, exit_signal=SIGCHLD, stack=NULL, stack_size=0, tls=NULL, set_tid=NULL, set_tid_size=0, cgroup=cgroup}',
  )
})

test('clone, the older call, shows the signal and the flags that share one argument', () => {
  expect(shown(processes.fork(buffer('hook-pidfd', 4)))).toBe('clone(SIGCHLD, &hook-pidfd)')
})

test('processors and nodes are shown as ranges, however many there are', () => {
  const affinity = (...ranges: readonly NumberRange[]): string => shown(schedSetaffinity(0, ranges))
  expect(affinity({ first: 0, last: 8191 })).toBe('sched_setaffinity([0-8191])')
  expect(affinity({ first: 0, last: 0 }, { first: 2, last: 3 }, { first: 70, last: 70 })).toBe(
    'sched_setaffinity([0,2-3,70])',
  )
})

test('the meaning of an argument follows from the option before it', () => {
  expect(shown(processes.prctl(processes.PR_SET_PDEATHSIG, 9))).toBe('prctl(PR_SET_PDEATHSIG, SIGKILL)')
  expect(shown(processes.prctl(processes.PR_CAPBSET_DROP, 21))).toBe('prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)')
  expect(shown(processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_RAISE, 0))).toBe(
    'prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN)',
  )
  expect(shown(processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_CLEAR_ALL))).toBe(
    'prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)',
  )
  expect(shown(processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1))).toBe('prctl(PR_SET_NO_NEW_PRIVS, 1)')
  expect(shown(files.fcntl(slot('fd'), files.F_SETFL, files.O_NONBLOCK))).toBe('fcntl(fd, F_SETFL, O_NONBLOCK)')
  expect(shown(files.ioctl(slot('tty'), 0x5414, new Uint8Array([24, 0, 80, 0, 0, 0, 0, 0])))).toBe(
    'ioctl(tty, TIOCSWINSZ, {rows=24, columns=80})',
  )
})

test('numbers read as what they are', () => {
  expect(shown(files.mknodat(root, 'null', files.S_IFCHR | 0o666, files.deviceNumber(1, 3)))).toBe(
    'mknodat(root, "null", S_IFCHR|0666, 1:3)',
  )
  expect(shown(files.mknodat(root, 'x', files.S_IFBLK | 0o600, files.deviceNumber(259, 1025)))).toBe(
    'mknodat(root, "x", S_IFBLK|0600, 259:1025)',
  )
  expect(shown(prlimit(0, 'RLIMIT_NOFILE', { soft: 1024, hard: -1 }))).toBe(
    'prlimit64(RLIMIT_NOFILE, 1024, RLIM_INFINITY)',
  )
  expect(shown(files.closeRange(3, files.LAST_FD, files.CLOSE_RANGE_CLOEXEC))).toBe(
    'close_range(3, ~0, CLOSE_RANGE_CLOEXEC)',
  )
  expect(shown({ name: 'ioprio_set', args: [1, 0, (2 << 13) | 4] })).toBe(
    'ioprio_set(IOPRIO_WHO_PROCESS, IOPRIO_CLASS_BE|4)',
  )
  expect(shown(processes.setSignalMask(new Uint8Array(8)))).toBe('rt_sigprocmask(SIG_SETMASK, [])')
  expect(shown(processes.setSignalMask(new Uint8Array(8).fill(255)))).toBe('rt_sigprocmask(SIG_SETMASK, ~[])')
  expect(shown(processes.setgroups(2, packU32([10, 1000])))).toBe('setgroups([10, 1000])')
  expect(shown(processes.setgroups(0, new Uint8Array(0)))).toBe('setgroups([])')
  expect(shown(files.dup3(slot('tty'), 1))).toBe('dup3(tty, 1)')
})

test('capabilities are named, once where two sets are equal', () => {
  const sets = packU32([1, 1, 0, 1 << 8, 1 << 8, 0])
  expect(shown({ name: 'capset', args: [packU32([0x20080522, 0]), sets] })).toBe(
    'capset({effective=permitted=CAP_CHOWN|CAP_CHECKPOINT_RESTORE, inheritable=0})',
  )
})

test('texts, lists and buffers are shown short, and in full when asked', () => {
  const uidMap = text('/proc/', slot('init-pid'), '/uid_map')
  expect(shown(files.openat(files.AT_FDCWD, uidMap, files.O_WRONLY))).toBe(
    'openat("/proc/<init-pid>/uid_map", O_WRONLY)',
  )
  const exec = processes.execve('/bin/sh', strings(['sh', '-c', 'x'.repeat(99), 'y']), strings(['A=secret']))
  expect(shown(exec)).toBe('execve("/bin/sh", ["sh", "-c", …], 1 variable)')
  expect(callText(exec, { isComplete: true })).toContain('"A=secret"')
  expect(shown(files.write(slot('fd'), '0 1000 1\n', 9))).toBe('write(fd, "0 1000 1\\n")')
  expect(shown(files.write(slot('fd'), new Uint8Array(300), 300))).toBe('write(fd, <300 bytes>)')
  expect(shown(files.read(slot('fd'), buffer('answer', 64)))).toBe('read(fd, &answer)')
})

test('a message shows its bytes and the descriptor it carries', () => {
  const call = sockets.sendDescriptor(slot('console'), slot('master'), new Uint8Array([0]))
  expect(shown(call)).toBe(
    'sendmsg(console, {iov={base="\\0"}, control={level=SOL_SOCKET, type=SCM_RIGHTS, data=master}}, MSG_NOSIGNAL)',
  )
  expect(shown(sockets.connect(slot('s'), sockets.unixAddress('/run/notify')))).toBe('connect(s, "/run/notify")')
})

test('netlink messages are named', () => {
  const message = packU32([32, 16 | (0x605 << 16), 1, 0, 0, 0, 1, 1])
  expect(shown(sockets.sendto(slot('netlink'), message, 32))).toBe(
    'sendto(netlink, {RTM_NEWLINK, NLM_F_EXCL|NLM_F_CREATE}, MSG_NOSIGNAL)',
  )
})

test('a cgroup device program shows where it is attached', () => {
  const attach = structOf64([0, 6])
  const call: Call = {
    name: 'bpf',
    args: [
      8,
      {
        ...attach,
        fields: [
          { offset: 0, sizeBytes: 4, value: slot('cgroup') },
          { offset: 4, sizeBytes: 4, value: slot('program') },
        ],
      },
      16,
    ],
  }
  expect(shown(call)).toBe(
    'bpf(BPF_PROG_ATTACH, {target_fd=cgroup, attach_bpf_fd=program, attach_type=BPF_CGROUP_DEVICE})',
  )
})

test('what no table knows is shown as numbers', () => {
  expect(shown({ name: 'frobnicate', args: [1, -2, 0x1_0000_0000, 5n, 'x', slot('y')] })).toBe(
    'frobnicate(1, -2, 4294967296, 5, "x", y)',
  )
  expect(shown({ name: 'umount2', args: ['/x', 0x42] })).toBe('umount2("/x", MNT_DETACH|0x40)')
  expect(shown({ name: 'prctl', args: [9999, 1, 0, 0, 0] })).toBe('prctl(9999, 1)')
  expect(shown({ name: 'nanosleep', args: [0.5] })).toBe('nanosleep(0.5)')
})
