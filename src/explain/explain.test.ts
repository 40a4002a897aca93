import { expect, test } from 'bun:test'
import { assemble } from '../executor/assemble.ts'
import { buffer, slot, strings } from '../linux/call.ts'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  close,
  mkdirat,
  mknodat,
  O_PATH,
  O_WRONLY,
  openat,
  openInRoot,
  read,
  S_IFCHR,
  unlinkat,
  write,
} from '../linux/files.ts'
import { attach, cloneTree, MNT_DETACH, MOUNT_ATTR_RDONLY, mountSetattr, pivotRoot, umount2 } from '../linux/mount.ts'
import { CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWPID, clone3, setns, unshare } from '../linux/namespaces.ts'
import { execve, getpid, P_PIDFD, waitid } from '../linux/process.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { explainDiff } from './diff.ts'
import { explainJson } from './json.ts'
import { outline } from './outline.ts'
import { explainRun, type TraceEntry } from './run.ts'
import { wrap } from './table.ts'
import { explainText } from './text.ts'
import { explainTimeline } from './timeline.ts'
import { explainTree } from './tree.ts'

const [root, tree, target, tasks] = [slot('root'), slot('tree'), slot('target'), slot('tasks')]
const [init, pidfd] = [slot('init-pid'), slot('init-pidfd')]
const pidfdBytes = buffer('init-pidfd', 4)
const turn = buffer('turn', 1)
const cgroup = '/sys/fs/cgroup/web-1'

/** The same step in three lists: its places can be told apart only by where they are. */
const letGo: Step = {
  call: close(slot('other-end')),
  why: 'notice it when the other side ends',
  see: ['socketpair(2)'],
}

const showHostname: Step = {
  call: openInRoot(root, 'etc/hostname', O_PATH),
  why: 'find /etc/hostname',
  see: ['openat2(2)'],
  into: target,
  tolerate: ['ENOENT'],
  then: [
    {
      call: cloneTree(AT_FDCWD, '/etc/hostname', { recursive: false }),
      why: 'take the file of the host',
      see: ['open_tree(2)'],
      into: tree,
    },
    {
      call: mountSetattr(tree, { set: MOUNT_ATTR_RDONLY }),
      why: 'keep it from being written',
      see: ['mount_setattr(2)'],
    },
    { call: attach(tree, target), why: 'show it', see: ['move_mount(2)'] },
  ],
  otherwise: [
    { call: mkdirat(root, 'etc', 0o755), why: 'have /etc at least', see: ['mkdir(2)'], tolerate: ['EEXIST'] },
  ],
}

const child: readonly Step[] = [
  letGo,
  { call: write(tasks, '0', 1), why: 'join the cgroup of web-1', see: ['cgroups(7)'] },
  { call: unshare(CLONE_NEWCGROUP), why: 'see its cgroup as the root of all', see: ['cgroup_namespaces(7)'] },
  showHostname,
  {
    call: mknodat(root, 'dev/null', S_IFCHR | 0o666, 0x103),
    why: 'have /dev/null',
    see: ['null(4)'],
    tolerate: ['EPERM'],
  },
  { call: pivotRoot('.', '.'), why: 'make it the root', see: ['pivot_root(2)'] },
  { call: umount2('.', MNT_DETACH), why: 'let go of the old root', see: ['pivot_root(2)'] },
  {
    call: execve('/bin/sh', strings(['sh']), strings(['PATH=/bin'])),
    why: 'become the program of web-1',
    see: ['execve(2)'],
  },
]

const plan: Plan = {
  operation: 'run web-1',
  steps: [
    {
      call: mkdirat(AT_FDCWD, cgroup, 0o755),
      why: 'make the cgroup of web-1',
      see: ['cgroups(7)'],
      undo: [
        letGo,
        { call: unlinkat(AT_FDCWD, cgroup, AT_REMOVEDIR), why: 'remove the cgroup of web-1', see: ['cgroups(7)'] },
      ],
    },
    { call: openat(AT_FDCWD, `${cgroup}/tasks`, O_WRONLY), why: 'let init join', see: ['cgroups(7)'], into: tasks },
    {
      call: clone3({ flags: CLONE_NEWNS | CLONE_NEWPID, pidfd: pidfdBytes }),
      why: 'make the first process of web-1',
      see: ['clone(2)', 'namespaces(7)'],
      into: init,
      keep: [{ slot: pidfd, in: pidfdBytes, offset: 0, sizeBytes: 4 }],
      child,
    },
    letGo,
    {
      call: read(slot('end'), turn),
      why: 'hear from it',
      see: ['socketpair(2)'],
      check: { in: turn, offset: 0, sizeBytes: 1, equals: 99, errno: 'ECONNRESET' },
      retry: ['EINTR'],
    },
    { call: waitid(P_PIDFD, pidfd, buffer('exit', 128)), why: 'wait until web-1 ends', see: ['waitid(2)'] },
  ],
  returns: [init],
  reads: [buffer('exit', 128)],
}

const trace: readonly TraceEntry[] = [
  { step: 0, pid: 100, result: 0, beginNs: 5_000_000, endNs: 5_020_000 },
  { step: 1, pid: 100, result: 7, beginNs: 5_021_000, endNs: 5_030_000 },
  { step: 2, pid: 100, result: 101, beginNs: 5_030_000, endNs: 5_330_000 },
  { step: 8, pid: 1, result: 0, beginNs: 5_340_000, endNs: 5_341_000 },
  { step: 9, pid: 1, result: 1, beginNs: 5_341_000, endNs: 5_441_500 },
  { step: 17, pid: 1, result: -1, beginNs: 5_450_000, endNs: 5_452_000 },
  { step: 18, pid: 1, result: -22, beginNs: 5_452_000, endNs: 5_455_000 },
  { step: 6, pid: 100, result: -9, beginNs: 5_500_000, endNs: 5_501_000 },
]

/** The lines of a text that hold one of the words. */
const linesWith = (text: string, ...words: readonly string[]): readonly string[] =>
  text.split('\n').filter((line) => words.some((word) => line.includes(word)))

test('the text has a line for each step, and children and branches below their step', () => {
  expect(explainText(plan)).toBe(`\
 1  mkdirat("/sys/fs/cgroup/web-1", 0755)                                                    make the cgroup of web-1            cgroups(7)
 2  tasks = openat("/sys/fs/cgroup/web-1/tasks", O_WRONLY)                                   let init join                       cgroups(7)
 3  init-pid, init-pidfd = clone3(CLONE_NEWNS|CLONE_NEWPID, pidfd=&init-pidfd, SIGCHLD)      make the first process of web-1     clone(2), namespaces(7)
     the child:
 4    close(other-end)                                                                       notice it when the other side ends  socketpair(2)
 5    write(tasks, "0")                                                                      join the cgroup of web-1            cgroups(7)
 6    unshare(CLONE_NEWCGROUP)                                                               see its cgroup as the root of all   cgroup_namespaces(7)
 7    target = openat2(root, "etc/hostname", O_PATH, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)  find /etc/hostname                  openat2(2)
       then:
 8      tree = open_tree("/etc/hostname", OPEN_TREE_CLONE)                                   take the file of the host           open_tree(2)
 9      mount_setattr(tree, MOUNT_ATTR_RDONLY)                                               keep it from being written          mount_setattr(2)
10      move_mount(tree, target)                                                             show it                             move_mount(2)
       or, if ENOENT:
11      mkdirat(root, "etc", 0755) or EEXIST                                                 have /etc at least                  mkdir(2)
12    mknodat(root, "dev/null", S_IFCHR|0666, 1:3) or EPERM                                  have /dev/null                      null(4)
13    pivot_root(".", ".")                                                                   make it the root                    pivot_root(2)
14    umount2(".", MNT_DETACH)                                                               let go of the old root              pivot_root(2)
15    execve("/bin/sh", ["sh"], 1 variable)                                                  become the program of web-1         execve(2)
16  close(other-end)                                                                         notice it when the other side ends  socketpair(2)
17  read(end, &turn) if turn[0:1] == 99 else ECONNRESET, again while EINTR                   hear from it                        socketpair(2)
18  waitid(P_PIDFD, init-pidfd, &exit, WEXITED)                                              wait until web-1 ends               waitid(2)
`)
})

test('undo steps are shown when asked for, and change no number', () => {
  const [without, withUndo] = [explainText(plan), explainText(plan, { undo: true })]
  expect(linesWith(withUndo, 'to undo', 'unlinkat')).toHaveLength(2)
  expect(linesWith(without, 'to undo', 'unlinkat')).toEqual([])
  expect(linesWith(withUndo, 'waitid')).toEqual(linesWith(without, 'waitid'))
})

test('a text of a given width has no longer line, and loses nothing', () => {
  const letters = (text: string): string => text.replace(/\s/g, '')
  const wide = explainText(plan, { numbers: false })
  for (const width of [80, 100, 140]) {
    const lines = explainText(plan, { width }).split('\n')
    expect(lines.filter((line) => line.length > width)).toEqual([])
  }
  const calls = [...wide.matchAll(/^ *(\S.*?) {2,}/gm)].map(([, call]) => letters(call ?? ''))
  const narrow = explainText(plan, { width: 90, numbers: false })
    .split('\n')
    .map((line) => line.slice(0, 32))
    .join('')
  expect(calls.filter((call) => !letters(narrow).includes(call))).toEqual([])
})

test('a wrapped text continues two signs further in, and is cut only where it has no blank', () => {
  expect(wrap('  open("x", A|B|C)', 12)).toEqual(['  open("x",', '    A|B|C)'])
  expect(wrap('abcdefghij', 4)).toEqual(['abcd', '  ef', '  gh', '  ij'])
  expect(wrap('a b', 80)).toEqual(['a b'])
})

test('the tree shows what each process sees and becomes', () => {
  const joining: Plan = {
    ...plan,
    steps: [{ call: setns(slot('pid namespace'), CLONE_NEWPID), why: 'join', see: [] }, ...plan.steps],
  }
  expect(explainTree(joining)).toBe(`\
run web-1
├─ 1  joins pid namespace: setns(pid namespace, CLONE_NEWPID)
└─ 4  init-pid: make the first process of web-1, with its own mount, pid namespaces
   ├─ 7  gets its own cgroup namespace
   ├─ 14  changes its root: pivot_root(".", ".")
   └─ 16  becomes execve("/bin/sh", ["sh"], 1 variable)
`)
})

test('steps have the index by which the executor reports them, also one that stands in several lists', () => {
  const setting = ['other-end', 'root', 'end'].map((name) => ({
    call: getpid(),
    why: `set ${name}, which this plan takes as given`,
    see: [],
    into: slot(name),
  }))
  const whole = { ...plan, steps: [...plan.steps, ...setting] }
  const { steps } = assemble(whole, { architecture: 'x86_64', encode: (text) => new TextEncoder().encode(text) })
  const entries = outline(whole)
  expect(entries.filter(({ step, index }) => steps[index] !== step)).toEqual([])
  expect(new Set(entries.map(({ index }) => index)).size).toBe(entries.length)
  expect(entries.length).toBe(steps.filter((step) => step !== undefined).length)
})

test('JSON has decoded and raw arguments, and every list', () => {
  const explained = explainJson(plan)
  expect(JSON.parse(JSON.stringify(explained))).toEqual(explained)
  const [mkdir, open, clone, , hear] = explained.steps
  expect(mkdir?.undo.map(({ number, index, call }) => [number, index, call.name])).toEqual([
    [null, 6, 'close'],
    [null, 7, 'unlinkat'],
  ])
  expect(open?.call).toEqual({
    name: 'openat',
    text: 'openat("/sys/fs/cgroup/web-1/tasks", O_WRONLY)',
    args: [
      { name: 'directory', kind: 'dirfd', text: 'AT_FDCWD', raw: -100 },
      { name: 'path', kind: 'path', text: '"/sys/fs/cgroup/web-1/tasks"', raw: '/sys/fs/cgroup/web-1/tasks' },
      { name: 'flags', kind: 'open', text: 'O_WRONLY|O_CLOEXEC', raw: 0o2000001 },
      { name: 'mode', kind: 'mode', text: '0000', raw: 0 },
    ],
  })
  expect(clone?.child[3]).toMatchObject({ number: 7, index: 11, into: 'target', tolerate: ['ENOENT'] })
  expect(clone?.call.args[0]?.raw).toEqual({
    struct: `${'0010022000000000'}${'00'.repeat(24)}11${'00'.repeat(55)}`,
    fields: [{ offset: 8, sizeBytes: 8, value: { buffer: 'init-pidfd', sizeBytes: 4 } }],
  })
  expect(hear?.check).toEqual({
    in: { buffer: 'turn', sizeBytes: 1 },
    offset: 0,
    sizeBytes: 1,
    equals: 99,
    errno: 'ECONNRESET',
  })
  expect(explained.returns).toEqual(['init-pid'])
})

test('a diff shows the steps that differ, with those around them', () => {
  const writable: Step = {
    ...showHostname,
    then: (showHostname.then ?? []).filter(({ call }) => call.name !== 'mount_setattr'),
  }
  const steps = plan.steps.map((step) =>
    step.child === undefined
      ? step
      : { ...step, child: step.child.map((one) => (one === showHostname ? writable : one)) },
  )
  expect(explainDiff(plan, { operation: 'run web-2', steps }, { contextSteps: 1 })).toBe(`\
--- run web-1
+++ run web-2
@@ -10,3 +10,2 @@
     then: tree = open_tree("/etc/hostname", OPEN_TREE_CLONE)  # take the file of the host
-    mount_setattr(tree, MOUNT_ATTR_RDONLY)  # keep it from being written
     move_mount(tree, target)  # show it
`)
  expect(explainDiff(plan, plan)).toBe('')
})

test('a run shows result and time of each step, and what was not reached', () => {
  const table = explainRun(plan, trace)
  const narrow = table.split('\n').map((line) => line.replace(/ +/g, ' ').trim())
  expect(narrow.slice(0, 6)).toEqual([
    'step µs result call why',
    '1 20.0 0 mkdirat("/sys/fs/cgroup/web-1", 0755) make the cgroup of web-1',
    'to undo this:',
    '1.0 -EBADF close(other-end) notice it when the other side ends',
    '2 9.0 7 tasks = openat("/sys/fs/cgroup/web-1/tasks", O_WRONLY) let init join',
    '3 300.0 101 init-pid, init-pidfd = clone3(CLONE_NEWNS|CLONE_NEWPID, pidfd=&init-pidfd, SIGCHLD) make the first process of web-1',
  ])
  expect(linesWith(table, 'pivot_root')[0]).toMatch(/^ *13 +3\.0 +-EINVAL /)
  expect(linesWith(table, 'waitid')[0]).toMatch(/^ *18 +- +- /)
  expect(linesWith(table, 'from begin to end')[0]).toMatch(/^ *501\.0 +8 calls from begin to end$/)
  expect(explainRun(plan, [])).not.toContain('NaN')
})

test('the timeline has a lane for each process and a bar for each call', () => {
  const svg = explainTimeline([{ plan, trace }])
  expect(svg.match(/<rect /g)).toHaveLength(trace.length)
  expect(linesWith(svg, '>executor<', '>init-pid: ')).toHaveLength(2)
  // mknodat tolerates its EPERM, pivot_root its EINVAL not.
  expect(linesWith(svg, 'class="tolerated"')[0]).toContain('mknodat')
  expect(linesWith(svg, 'class="failed"').join()).toContain('-EINVAL')
  expect(svg).toContain('&quot;/sys/fs/cgroup/web-1&quot;')
  expect(explainTimeline([{ plan, trace: [] }])).not.toMatch(/NaN|Infinity/)
})
