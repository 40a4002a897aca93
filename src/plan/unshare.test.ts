import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { planUnshare, type UnshareRequest } from './unshare.ts'

const plan = (request: Partial<UnshareRequest>): string =>
  linesOf(
    planUnshare({ namespaces: [], forks: false, command: { args: ['sh'], path: '/bin:/usr/bin' }, ...request }).steps,
  )

test('without a flag there is nothing but the program, looked for in $PATH', () => {
  expect(plan({})).toMatchInlineSnapshot(`
    "execve("/bin/sh", ["sh"], environment) or ENOENT or ENOTDIR or EACCES or ELOOP
    execve("/usr/bin/sh", ["sh"], environment)"
  `)
})

test('one’s own id is mapped by the process itself, groups only once nobody can leave them', () => {
  const own = { containerID: 0, hostID: 1000, size: 1 }
  const maps = { uid: [own], gid: [own], by: { uid: 'own', gid: 'own' } } as const
  expect(plan({ namespaces: [{ type: 'user' }], maps })).toMatchInlineSnapshot(`
    "host-proc = openat("/proc", O_PATH)
    fstatfs(host-proc, &host-proc-statfs) if host-proc-statfs[0:4] == 0x9fa0 else ENODEV
    own-pid = getpid()
    unshare(CLONE_NEWUSER)
    uid_map = openat2(host-proc, "<own-pid>/uid_map", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
    write(uid_map, "0 1000 1\\n")
    setgroups = openat2(host-proc, "<own-pid>/setgroups", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
    write(setgroups, "deny")
    gid_map = openat2(host-proc, "<own-pid>/gid_map", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
    write(gid_map, "0 1000 1\\n")
    execve("/bin/sh", ["sh"], environment) or ENOENT or ENOTDIR or EACCES or ELOOP
    execve("/usr/bin/sh", ["sh"], environment)"
  `)
})

test('a child that stays outside keeps namespaces in files, and is waited for before the program', () => {
  expect(plan({ namespaces: [{ type: 'network', file: '/run/a' }] })).toMatchInlineSnapshot(`
    "own-pid = getpid()
    outside-read, outside-write = pipe2(&outside pipe)
    outside-pidfd = clone3(pidfd=&outside pidfd, SIGCHLD)
     the child:
      close(outside-write)
      read(outside-read, &outside turn) == 1 else ECHILD
      file of the network namespace = openat("/run/a", O_RDONLY|O_CREAT, 0444)
      close(file of the network namespace)
      mount("/proc/<own-pid>/ns/net", "/run/a", MS_BIND)
    unshare(CLONE_NEWNET)
    write(outside-write, "g")
    waitid(P_PIDFD, outside-pidfd, &outside exit, WEXITED) if outside exit[24:28] == 0 else ECHILD
    execve("/bin/sh", ["sh"], environment) or ENOENT or ENOTDIR or EACCES or ELOOP
    execve("/usr/bin/sh", ["sh"], environment)"
  `)
})

test('with --fork the child is what goes into the pid namespace, and its parent waits', () => {
  expect(plan({ namespaces: [{ type: 'pid' }], forks: true, proc: '/proc' })).toMatchInlineSnapshot(`
    "unshare(CLONE_NEWPID)
    rt_sigprocmask(SIG_BLOCK, [SIGINT SIGTERM], &signal mask)
    child, child-pidfd = clone3(pidfd=&child pidfd, SIGCHLD)
     the child:
      rt_sigprocmask(SIG_SETMASK, &signal mask)
      mount("/proc", MS_REC|MS_PRIVATE)
      mount("proc", "/proc", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC)
      execve("/bin/sh", ["sh"], environment) or ENOENT or ENOTDIR or EACCES or ELOOP
      execve("/usr/bin/sh", ["sh"], environment)
    waitid(P_PIDFD, child-pidfd, &child exit, WSTOPPED|WEXITED)"
  `)
})

test('a pid namespace in a file needs a child', () => {
  expect(() => plan({ namespaces: [{ type: 'pid', file: '/run/p' }] })).toThrow('only a child can be that')
})
