import { expect, test } from 'bun:test'
import { packU32 } from '../linux/bytes.ts'
import { buffer, slot, strings, text } from '../linux/call.ts'
import * as files from '../linux/files.ts'
import * as mounts from '../linux/mount.ts'
import * as namespaces from '../linux/namespaces.ts'
import * as processes from '../linux/process.ts'
import { prlimit } from '../linux/rlimits.ts'
import * as sockets from '../linux/sockets.ts'
import type { Step } from '../plan/plan.ts'
import { explainScript } from './script.ts'

const { AT_FDCWD } = files
const [root, tree, target, fs] = [slot('root'), slot('tree'), slot('target'), slot('fs')]

const step = (call: Step['call'], why: string, rest: Partial<Step> = {}): Step => ({ call, why, see: [], ...rest })

/** The script of some steps without its header. */
function body(...steps: readonly Step[]): string {
  const script = explainScript({ operation: 'try it', steps })
  return script.slice(script.indexOf('set -aeu\n\n') + 10)
}

const openRoot = step(files.openat(AT_FDCWD, '/srv/web', files.O_PATH), 'find the root', { into: root })

test('a new file system becomes one mount command', () => {
  const attributes = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV
  expect(
    body(
      openRoot,
      step(mounts.fsopen('tmpfs'), 'make /dev', { into: fs }),
      step(mounts.fsconfigString(fs, 'size', '64m'), 'limit it'),
      step(mounts.fsconfigFlag(fs, 'noswap'), 'keep it in memory'),
      step(mounts.fsconfigCreate(fs), 'make it'),
      step(mounts.fsmount(fs, attributes), 'make it', { into: tree }),
      step(files.openInRoot(root, '/dev', files.O_PATH), 'find /dev', { into: target }),
      step(mounts.attach(tree, target), 'show it at /dev'),
    ),
  ).toBe(`\
# 2-8. show it at /dev
mount -t tmpfs -o nosuid,nodev,size=64m,noswap tmpfs /srv/web/dev
`)
})

test('an unmount that has to fail is left out', () => {
  const takeOff = mounts.umount2('.', mounts.MNT_DETACH)
  expect(
    body(
      step(takeOff, 'take it away'),
      step(takeOff, 'be sure', { check: { result: 1, errno: 'EBUSY' }, tolerate: ['EINVAL'] }),
    ),
  ).toBe('# 1. take it away\numount -l .\n')
})

test('a cloned tree becomes a bind mount, its attributes a remount', () => {
  expect(
    body(
      openRoot,
      step(mounts.cloneTree(AT_FDCWD, '/etc/$x y', { recursive: true }), 'take it', { into: tree }),
      step(mounts.mountSetattr(tree, { set: mounts.MOUNT_ATTR_RDONLY, clear: mounts.MOUNT_ATTR_NOEXEC }), 'keep it'),
      step(mounts.mountSetattr(tree, { set: 0, propagation: mounts.MS_SLAVE, recursive: true }), 'hear of mounts'),
      step(files.openInRoot(root, 'etc', files.O_PATH), 'find /etc', { into: target }),
      step(mounts.attach(tree, target), 'show it at /etc'),
    ),
  ).toBe(`\
# 2-6. show it at /etc
mount --rbind "/etc/\\$x y" /srv/web/etc
mount -o remount,bind,ro,exec /srv/web/etc
mount --make-rslave /srv/web/etc
`)
})

test('a write becomes echo, or printf where echo would add a newline that matters', () => {
  const limit = slot('limit')
  expect(
    body(
      step(files.openat(AT_FDCWD, '/sys/fs/cgroup/web/pids.max', files.O_WRONLY), 'open', { into: limit }),
      step(files.write(limit, '64', 2), 'allow 64 processes'),
      step(files.openat(AT_FDCWD, '/run/a', files.O_WRONLY | files.O_CREAT | files.O_APPEND, 0o600), 'begin a', {
        into: limit,
      }),
      step(files.write(limit, 'a "b"\n', 6), 'fill it'),
      step(files.write(limit, new Uint8Array([99]), 1), 'fill it'),
    ),
  ).toBe(`\
# 2. allow 64 processes
echo 64 > /sys/fs/cgroup/web/pids.max

# 3. begin a
: >> /run/a

# 4. fill it
echo "a \\"b\\"" >> /run/a

# 5. fill it
printf %s c >> /run/a
`)
})

test('a child is a function run by unshare, and its pid a variable', () => {
  const [pid, pidfd, map] = [slot('init-pid'), slot('init-pidfd'), slot('uid_map')]
  const pidfdBytes = buffer('pidfd', 4)
  const flags = namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWNS
  expect(
    body(
      step(files.openat(AT_FDCWD, '/sys/fs/cgroup/web', files.O_PATH), 'find', { into: slot('cgroup') }),
      step(namespaces.clone3({ flags, pidfd: pidfdBytes, cgroup: slot('cgroup') }), 'make init', {
        into: pid,
        keep: [{ slot: pidfd, in: pidfdBytes, offset: 0, sizeBytes: 4 }],
        child: [
          step(processes.setresgid(0, 0, 0), 'be the root group'),
          step(processes.setresuid(0, 0, 0), 'be root'),
          step(mounts.setPropagation('/', mounts.MS_REC | mounts.MS_PRIVATE), 'keep its mounts to itself'),
        ],
      }),
      step(files.openat(AT_FDCWD, text('/proc/', pid, '/uid_map'), files.O_WRONLY), 'map', { into: map }),
      step(files.write(map, '0 1000 1\n', 9), 'map one user'),
      step(processes.waitid(processes.P_PIDFD, pidfd, buffer('exit', 128)), 'wait for it'),
    ),
  ).toBe(`\
# The first process of a pid namespace is not unshare(1), but its child.
child_of() { while kill -0 "$1" && ! pgrep -P "$1"; do sleep 0.01; done; }

child_2() {
  # 3. be the root group
  # 4. be root
  exec setpriv --regid=0 --keep-groups --reuid=0 bash -euc from_5
}

from_5() {
  # 5. keep its mounts to itself
  mount --make-rprivate /
}

# 2. make init
( echo "$BASHPID" > /sys/fs/cgroup/web/cgroup.procs; exec unshare --user --mount --pid --keep-caps --propagation unchanged --fork bash -euc child_2 ) <&0 &
init_pid_job=$!
init_pid=$(child_of "$init_pid_job")

# 7. map one user
echo "0 1000 1" > "/proc/$init_pid/uid_map"

# 8. wait for it
wait "$init_pid_job"

wait
`)
})

test('what changes the process stands in front of its program, each option once', () => {
  expect(
    body(
      step(processes.setsid(), 'lead a session'),
      step(prlimit(0, 'RLIMIT_NOFILE', { soft: 1024, hard: -1 }), 'limit its files'),
      step(processes.prctl(processes.PR_CAPBSET_DROP, 21), 'lose CAP_SYS_ADMIN'),
      step(processes.prctl(processes.PR_CAPBSET_DROP, 22), 'lose CAP_SYS_BOOT'),
      step(files.chdir('/srv'), 'be in its directory'),
      step(processes.setgroups(2, packU32([5, 10])), 'have its groups'),
      step(processes.setresgid(7, 7, 7), 'have its group'),
      step(processes.setresuid(7, 7, 7), 'be its user'),
      step({ name: 'seccomp', args: [1, 0, new Uint8Array(16)] }, 'allow it few calls'),
      step(processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1), 'gain nothing'),
      step(processes.execve('/bin/sh', strings(['sh', '-c', 'echo $HOME']), strings(['HOME=/ x'])), 'become it'),
    ),
  ).toBe(`\
# 5. be in its directory
cd /srv

# 1. lead a session
# 2. limit its files
# 3. lose CAP_SYS_ADMIN
# 4. lose CAP_SYS_BOOT
# 6. have its groups
# 7. have its group
# 8. be its user
# 9. allow it few calls
# no command for seccomp(SECCOMP_SET_MODE_FILTER, {len=0})
# 10. gain nothing

# 11. become it
exec setsid prlimit --nofile=1024:unlimited setpriv --bounding-set=-sys_admin,-sys_boot --groups=5,10 --regid=7 --reuid=7 --no-new-privs env -i "HOME=/ x" /bin/sh -c "echo \\$HOME"
`)
})

test('a program that is not at one place of the path is looked for at the next', () => {
  const places = ['/usr/bin/app', '/bin/app'].map((path) => processes.execve(path, strings(['app']), strings([])))
  const [first, last] = places as [Step['call'], Step['call']]
  expect(body(step(first, 'run app', { tolerate: ['ENOENT', 'EACCES'] }), step(last, 'run app'))).toBe(`\
# 1. run app
[ -x /usr/bin/app ] && exec env -i /usr/bin/app || true # ENOENT, EACCES

# 2. run app
exec env -i /bin/app
`)
})

test('branches become if, tolerated errnos || true', () => {
  const open = files.openInRoot(root, 'etc/hosts', files.O_PATH)
  expect(
    body(
      openRoot,
      step(files.mkdirat(root, 'etc', 0o755), 'have /etc', { tolerate: ['EEXIST'] }),
      step(files.unlinkat(root, 'etc/old'), 'remove what is old', { tolerate: ['ENOENT'] }),
      step(open, 'find /etc/hosts', {
        into: target,
        tolerate: ['ENOENT'],
        then: [step(files.fchmodat(root, 'etc/hosts', 0o644), 'let all read it')],
        otherwise: [step(files.symlinkat('/run/hosts', root, 'etc/hosts'), 'have one')],
      }),
      step(files.unlinkat(root, 'etc/dir', files.AT_REMOVEDIR), 'remove a directory', {
        tolerate: ['ENOENT', 'ENOTEMPTY'],
      }),
      step(files.mknodat(root, 'null', files.S_IFCHR | 0o666, files.deviceNumber(1, 3)), 'have null', {
        tolerate: ['EPERM'],
        otherwise: [step(files.close(target), 'go without')],
      }),
    ),
  ).toBe(`\
# 2. have /etc
mkdir -p /srv/web/etc

# 3. remove what is old
rm -f /srv/web/etc/old
if [ -e /srv/web/etc/hosts ]; then
  # 5. let all read it
  chmod 0644 /srv/web/etc/hosts
else # ENOENT
  # 6. have one
  ln -s /run/hosts /srv/web/etc/hosts
fi

# 7. remove a directory
rmdir /srv/web/etc/dir || true # ENOENT, ENOTEMPTY

# 8. have null
{ mknod -m 0666 /srv/web/null c 1 3; } || true # EPERM
`)
})

test('namespaces are joined by nsenter, and the rest is run there', () => {
  const net = slot('network namespace')
  expect(
    body(
      step(files.openat(AT_FDCWD, '/run/netns/web', files.O_RDONLY), 'find the network', { into: net }),
      step(namespaces.setns(net, namespaces.CLONE_NEWNET), 'join it'),
      step(
        files.ioctl(
          slot('udp'),
          0x8914,
          Uint8Array.from({ length: 40 }, (_, at) => [108, 111][at] ?? Number(at === 16)),
        ),
        'switch lo on',
      ),
    ),
  ).toBe(`\
from_3() {
  # 3. switch lo on
  ip link set lo up
}

# 2. join it
exec nsenter --net=/run/netns/web bash -euc from_3

wait
`)
})

test('turns are taken by way of fifos, and an end of file is not waited for', () => {
  const [parent, child, ends, turn] = [slot('parent-end'), slot('child-end'), buffer('ends', 8), buffer('turn', 1)]
  expect(
    body(
      step(sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_STREAM, ends), 'take turns', {
        keep: [
          { slot: parent, in: ends, offset: 0, sizeBytes: 4 },
          { slot: child, in: ends, offset: 4, sizeBytes: 4 },
        ],
      }),
      step(sockets.sendto(parent, 's', 1), 'say start'),
      step(files.read(child, turn), 'hear start'),
      step(files.read(parent, turn), 'see it go', { check: { result: 0, errno: 'ENOEXEC' } }),
    ),
  ).toBe(`\
# 1. take turns
fifos=$(mktemp -d)
mkfifo "$fifos/1" "$fifos/2"
exec {parent_end}<>"$fifos/1" {child_end}<>"$fifos/2"
rm -r "$fifos"

# 2. say start
printf %s s >&"$child_end"

# 3. hear start
read -r -N 1 turn <&"$child_end"

# 4. see it go
# no command for read(parent-end, &turn)
`)
})

test('behind pivot_root the paths below the new root begin there', () => {
  expect(
    body(
      openRoot,
      step(files.fchdir(root), 'go there'),
      step(mounts.pivotRoot('.', '.'), 'make it the root'),
      step(mounts.umount2('.', mounts.MNT_DETACH), 'let go of the old one'),
      step(files.mkdirat(root, 'tmp', 0o700), 'have /tmp'),
    ),
  ).toBe(`\
# 2. go there
cd /srv/web

# 3. make it the root
pivot_root . .
hash -r

# 4. let go of the old one
umount -l .

# 5. have /tmp
mkdir -m 0700 /tmp
`)
})
