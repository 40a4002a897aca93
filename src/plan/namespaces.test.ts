import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER } from '../linux/namespaces.ts'
import type { Namespace, NamespaceType, TimeOffsets } from '../oci/namespaces.ts'
import { type NamespacePlan, planNamespaces } from './namespaces.ts'

const planned = (
  words: string,
  options: { readonly timeOffsets?: TimeOffsets; readonly own?: string } = {},
): NamespacePlan =>
  planNamespaces({
    namespaces: words.split(' ').map((word): Namespace => {
      const [type = '', path] = word.split('=')
      return { type: type as NamespaceType, path }
    }),
    timeOffsets: options.timeOffsets,
    isHosts: (type) => (options.own ?? '').split(' ').includes(type),
  })

test('new namespaces alone are flags of one clone3', () => {
  const { cloneFlags, needsStage, open, join } = planned('user mount pid time')
  expect(cloneFlags).toBe(CLONE_NEWUSER + CLONE_NEWNS + CLONE_NEWPID + CLONE_NEWTIME)
  expect([needsStage, open, join]).toEqual([false, [], []])
})

test('a cgroup namespace is left to init, which is in its cgroup by then', () => {
  expect(planned('cgroup mount').cloneFlags).toBe(CLONE_NEWNS)
})

test('clocks are set by a process that is not in the namespace, through a file that it opened before', () => {
  const timeOffsets = { boottime: { secs: 5, nanosecs: 0 }, monotonic: { secs: -2, nanosecs: 7 } }
  const { cloneFlags, needsStage, openOffsets, setOffsets } = planned('mount time', { timeOffsets })
  expect([cloneFlags, needsStage]).toEqual([CLONE_NEWNS, true])
  expect(linesOf(openOffsets)).toBe('timens_offsets = openat(host-proc, "self/timens_offsets", O_WRONLY)')
  expect(linesOf(setOffsets)).toBe(`unshare(CLONE_NEWTIME)
write(timens_offsets, "boottime 5 0\\nmonotonic -2 7\\n")
close(timens_offsets)`)
  expect(planned('time', { timeOffsets: { boottime: { secs: 0, nanosecs: 0 } } }).needsStage).toBe(false)
})

test('a path is opened only when it is known to be of a namespace of that type (S110)', () => {
  expect(linesOf(planned('network=/run/netns/blue').open)).toBe(`namespace-path = openat("/run/netns/blue", O_PATH)
fstatfs(namespace-path, &namespace-statfs) if namespace-statfs[0:4] == 0x6e736673 else EINVAL
network namespace = openat(host-proc, "self/fd/<namespace-path>", O_RDONLY)
ioctl(network namespace, NS_GET_NSTYPE, 0) == 1073741824 else EINVAL
close(namespace-path)`)
})

test('with a user namespace to join, the others are tried on both sides of it, and each has to succeed on one', () => {
  expect(linesOf(planned('mount=/m user=/u uts=/h').join)).toBe(`setns(uts namespace, CLONE_NEWUTS) or EPERM
 then:
  close(uts namespace)
setns(mount namespace, CLONE_NEWNS) or EPERM
 then:
  close(mount namespace)
setgroups([]) or EPERM
setns(user namespace, CLONE_NEWUSER)
setns(uts namespace, CLONE_NEWUTS) or EBADF
setns(mount namespace, CLONE_NEWNS) or EBADF`)
})

test('without one, nothing is tolerated', () => {
  expect(linesOf(planned('uts=/h mount=/m pid').join)).toBe(`setns(uts namespace, CLONE_NEWUTS)
setns(mount namespace, CLONE_NEWNS)`)
})

test('the namespace that coffer is in need not be entered, but a mount namespace gives its root', () => {
  const { open, needsStage, isJoined } = planned('user=/proc/self/ns/user network=/n', { own: 'user network' })
  expect([open, needsStage, isJoined('user')]).toEqual([[], false, false])
  expect(planned('mount=/proc/self/ns/mnt', { own: 'mount' }).isJoined('mount')).toBe(true)
})
