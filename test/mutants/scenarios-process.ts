/** Scenarios about the process: users, waiting, terminals, limits, exec, and starts that fail. */

import { copyFileSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pidfdOpen } from '../../src/linux/process.ts'
import { bind, type Changes } from '../kernel/bundle.ts'
import { installInside } from '../kernel/programs.ts'
import { receive } from '../kernel/receive.ts'
import { makeSite, type Site } from '../kernel/site.ts'
import { execPlanOf, planOf, runTwin } from '../twin.ts'
import { is } from './facts.ts'
import { ALONE, factsOf, play, type Scenario } from './scenario.ts'
import { furnish } from './usual.ts'

const STARTS = is('start', 'the program runs to its end', 'exit', '0')
const CLEAN = [is('undo', 'nothing is left on the host', 'leaks', ''), is('undo', 'no record is left', 'records', '')]
const STATUS = `grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status`
const SETS = ['bounding', 'permitted', 'effective']
const setsOf = (...names: readonly string[]): object => Object.fromEntries(SETS.map((set) => [set, names]))

export const user: Scenario = play({
  name: 'a user, called by one with other groups, keys and capabilities',
  prepare: (site) => {
    furnish(site)
    return {
      'process.user': { uid: 1000, gid: 1000, additionalGids: [50] },
      'process.capabilities': setsOf('CAP_KILL', 'CAP_SETUID'),
      'process.noNewPrivileges': true,
    }
  },
  run: () => ({
    through: ['setpriv', '--groups', '27,999', '--inh-caps', '+net_raw,+kill', '--ambient-caps', '+kill', ...ALONE],
  }),
  script: `${STATUS}; echo "setuid $(/bin/as-root ids)"; echo "keyring $(inside keyring)"`,
  look: (site) => ({ id: site.id }),
  checks: [
    STARTS,
    ...CLEAN,
    is('S15', 'a set-user-ID program gives nothing', 'setuid', '1000 1000 1000'),
    is('S56', 'nothing is inheritable', 'CapInh:', '0000000000000000'),
    is('S56', 'nothing is ambient', 'CapAmb:', '0000000000000000'),
    is('S57', 'a user has no capability', 'CapPrm:', '0000000000000000'),
    is('S59', 'the bounding set is the one that was asked for', 'CapBnd:', '00000000000000a0'),
    is('S61', 'the groups are those of the document', 'Groups:', '50'),
    is('S61', 'the user is', 'Uid:', /^1000\s+1000\s+1000\s+1000$/),
    is('S61', 'the group is', 'Gid:', /^1000\s+1000\s+1000\s+1000$/),
    {
      number: 'S81',
      claim: 'the session keyring is its own',
      holds: (fact) => fact('keyring').includes(fact('id')),
    },
  ],
})

/** A privileged helper loads the filter, and gives the privilege back behind it. */
export const filtered: Scenario = play({
  name: 'a user with a filter and without no_new_privs',
  prepare: (site) => {
    furnish(site)
    return {
      'process.user': { uid: 1000, gid: 1000 },
      'process.capabilities': {
        ...setsOf('CAP_KILL', 'CAP_SYS_ADMIN'),
        permitted: ['CAP_KILL'],
        effective: ['CAP_KILL'],
        inheritable: ['CAP_KILL'],
        ambient: ['CAP_KILL'],
      },
      'process.noNewPrivileges': false,
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['unshare'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
      },
    }
  },
  script: `${STATUS}; echo "unshare $(inside call ${process.arch === 'x64' ? 272 : 97} 0x10000000)"`,
  checks: [
    STARTS,
    is('S57', 'a user has the capabilities that are ambient', 'CapPrm:', '0000000000000020'),
    is('S73', 'the filter answers', 'unshare', '-13'),
    is('S73', 'a filter is in force', 'Seccomp:', '2'),
  ],
})

const MAPS = [{ containerID: 0, hostID: 200_000, size: 65_536 }]

export const userNamespace: Scenario = play({
  name: 'a container with users of its own',
  prepare: (site) => {
    installInside(site)
    const secret = join(site.directory, 'secret')
    writeFileSync(secret, 'of the host', { mode: 0o600 })
    Bun.spawnSync(['chown', '-R', '200000:200000', site.rootfs])
    return {
      'linux.namespaces': ['mount', 'pid', 'network', 'uts', 'ipc', 'user'].map((type) => ({ type })),
      'linux.uidMappings': MAPS,
      'linux.gidMappings': MAPS,
      'process.capabilities': setsOf('CAP_DAC_OVERRIDE', 'CAP_SETUID'),
      '+mounts': [bind(secret, '/tmp/secret')],
    }
  },
  run: () => ({ through: ['setpriv', '--groups', '27,999', ...ALONE] }),
  script: `${STATUS}; echo "map $(tr -s ' ' </proc/self/uid_map)"; echo "gids $(tr -s ' ' </proc/self/gid_map)"
    echo "ns $(readlink /proc/self/ns/user)"; echo "secret $(cat /tmp/secret 2>/dev/null)"; exit 0`,
  look: () => ({ own: readlinkSync('/proc/self/ns/user') }),
  checks: [
    STARTS,
    ...CLEAN,
    is('S61', 'no group of the caller is left', 'Groups:', ''),
    is('S61', 'it is root inside', 'Uid:', /^0\s+0\s+0\s+0$/),
    is('S65', 'the users are those of the document', 'map', '0 200000 65536'),
    is('S65', 'the groups are', 'gids', '0 200000 65536'),
    is('S67', 'a file of the root of the host cannot be read', 'secret', ''),
    { number: 'S109', claim: 'the user namespace is its own', holds: (fact) => fact('ns') !== fact('own') },
  ],
})

export const created: Scenario = play({
  name: 'a container that waits for start',
  prepare: () => ({ 'process.user': { uid: 1000, gid: 1000 }, 'process.args': ['sleep', '100'] }),
  twin: { ending: 'create' },
  run: () => ({ through: ['sh', '-c', 'exec 7</etc 8</; exec "$@"', 'sh'] }),
  look: (site) => {
    const { pid } = site.state()
    const fds = `/proc/${pid}/fd`
    const open = readdirSync(fds).map((fd) => readlinkSync(join(fds, fd)))
    const directory = join(site.root(), site.id)
    const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)
    const own = ['/dev/null', join(directory, 'exec.fifo'), ...open.filter((path) => /\/twin-(out|err)-/.test(path))]
    const facts = {
      status: `${site.state().status}`,
      held: open.filter((path) => !own.includes(path)).join(' '),
      owner: `${statSync(`/proc/${pid}/fd`).uid}`,
      directory: mode(directory),
      record: mode(join(directory, 'state.json')),
      fifo: mode(join(directory, 'exec.fifo')),
      root: mode(site.root()),
    }
    site.call(['delete', '--force', site.id])
    return facts
  },
  checks: [
    is('start', 'it is created', 'status', 'created'),
    is('S4', 'it holds nothing of the host', 'held', ''),
    is('S9', "its descriptors are nobody else's to look at", 'owner', '0'),
    is('S255', 'its record is for its owner alone', 'directory', '700'),
    is('S255', 'its state is', 'record', '600'),
    is('S255', 'nobody else can start it', 'fifo', '600'),
    is('S255', 'the run root is not to be listed', 'root', '711'),
    ...CLEAN,
  ],
})

const EXEC: Changes = {
  'process.capabilities': setsOf('CAP_KILL'),
  'process.noNewPrivileges': true,
  'linux.seccomp': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['unshare'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
  },
}
const NAMESPACES = ['mnt', 'pid', 'net', 'uts', 'ipc'] as const

export const exec: Scenario = {
  name: 'a process of exec',
  facts: (edit) => {
    const site = makeSite()
    try {
      installInside(site)
      const pid = site.up({ ...EXEC, 'process.args': ['sleep', '100'] })
      const script = `${STATUS}; echo "fds $(inside fds)"; echo "tty $(inside tty)"; echo "keyring $(inside keyring)"
        ${NAMESPACES.map((name) => `echo "ns-${name} $(readlink /proc/self/ns/${name})"`).join('; ')}
        echo "cgroup $(grep -E ':(memory|pids|devices):' /proc/self/cgroup | cut -d: -f3 | sort -u | tr '\\n' ' ')"; ls / | tr '\\n' ' ' | sed 's/^/root /'; exit 0`
      const made = execPlanOf(site, { ...EXEC, 'process.args': ['sh', '-c', script] }, pid)
      const edited = edit(made)
      // The lowest free descriptor of the executor is the one at which planExec expects the pidfd.
      const open = { call: pidfdOpen(pid), why: 'hold on to init', see: [] }
      const run = runTwin(
        site,
        { plan: { ...edited, steps: [open, ...edited.steps] }, record: undefined },
        { through: ['setpriv', '--groups', '27,999', '--inh-caps', '+net_raw', ...ALONE] },
      )
      return factsOf(site, run, () => {
        const own = NAMESPACES.map((name) => [`init-${name}`, readlinkSync(`/proc/${pid}/ns/${name}`)])
        site.call(['delete', '--force', site.id])
        return { ...Object.fromEntries(own), id: site.id, cgroupOf: site.cgroup }
      })
    } finally {
      site[Symbol.dispose]()
    }
  },
  checks: [
    STARTS,
    is('S4', 'it has no descriptor but 0, 1 and 2', 'fds', '0 1 2'),
    is('S15', 'no_new_privs is set', 'NoNewPrivs:', '1'),
    is('S56', 'nothing is inheritable', 'CapInh:', '0000000000000000'),
    is('S59', 'the bounding set is that of init', 'CapBnd:', '0000000000000020'),
    is('S57', 'so are the permitted capabilities', 'CapPrm:', '0000000000000020'),
    is('S61', 'no group of the caller is left', 'Groups:', ''),
    is('S69', 'the filter is in force', 'Seccomp:', '2'),
    {
      number: 'S69',
      claim: 'it is in the cgroups of the container',
      holds: (fact) => fact('cgroup') === fact('cgroupOf'),
    },
    {
      number: 'S81',
      claim: 'it has the keyring of the container',
      holds: (fact) => fact('keyring').includes(fact('id')),
    },
    is('S96', 'it has no terminal of the caller', 'tty', /no controlling terminal/),
    is('S30', 'it sees the root of the container', 'root', 'bin dev etc mnt proc root sys tmp'),
    ...NAMESPACES.map((name) => ({
      number: 'S109',
      claim: `it is in the ${name} namespace of init`,
      holds: (fact: (name: string) => string) => fact(`ns-${name}`) === fact(`init-${name}`),
    })),
  ],
}

export const terminal: Scenario = {
  name: 'a terminal',
  facts: async (edit) => {
    const site: Site = makeSite()
    try {
      installInside(site)
      const script = `sleep 0.05; printf 'tty '; inside tty; echo "fds $(inside fds)"
        echo "console $(stat -c %t /dev/console) $(grep -c ' /dev/console .* - devpts ' /proc/self/mountinfo)"
        echo "name $(tty)"`
      using agent = receive(site, 'terminal')
      const changes = { 'process.terminal': true, 'process.args': ['sh', '-c', script] }
      const twin = planOf(site, changes, { consoleSocket: agent.socket })
      const run = runTwin(site, { ...twin, plan: edit(twin.plan) }, { through: ALONE, timeoutMs: 5000 })
      if (run.failures.length === 0) await agent.exited
      return factsOf(site, { ...run, stdout: agent.output().replaceAll('\r', '') })
    } finally {
      site[Symbol.dispose]()
    }
  },
  checks: [
    STARTS,
    is('S4', 'it has no descriptor but 0, 1 and 2', 'fds', '0 1 2'),
    is('S23', '/dev/console is the terminal, of devpts', 'console', '88 1'),
    is('S95', 'its terminal is the first of its own devpts', 'name', '/dev/pts/0'),
    is(
      'S96',
      'it is the controlling terminal, and that of all three streams',
      'tty',
      /^session 1, controlling terminal, 0 is .*, 1 is 136:0 of user 0, 2 is 136:0 of user 0/,
    ),
    ...CLEAN,
  ],
}

export const limits: Scenario = play({
  name: 'a container that takes what it can get',
  prepare: () => ({
    'linux.resources': {
      devices: [{ allow: false, access: 'rwm' }],
      pids: { limit: 12 },
      memory: { limit: 24 << 20, swap: 24 << 20 },
    },
    '+mounts': [{ destination: '/mnt', type: 'tmpfs', source: 'tmpfs', options: ['size=64m'] }],
  }),
  // Each has a limit of its own in case that of the container is not there: 40 processes, 60 MiB.
  script: `(dd if=/dev/zero of=/mnt/x bs=1M count=60) >/dev/null 2>&1 && echo "memory taken" || echo "memory refused"
    rm -f /mnt/x; (i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done) 2>/dev/null && echo "forks done" || echo "forks refused"
    (: >>/sys/fs/cgroup/memory/tasks) 2>/dev/null && echo "join yes" || echo "join no"; mkdir /sys/fs/cgroup/pids/x 2>/dev/null && echo "make yes" || echo "make no"`,
  checks: [
    is('S120', 'the limit of tasks is met', 'forks', 'refused'),
    is('S122', 'the limit of memory is met', 'memory', 'refused'),
    is('S53', 'no cgroup can be joined', 'join', 'no'),
    is('S53', 'no cgroup can be made', 'make', 'no'),
    ...CLEAN,
  ],
})

/** What is close-on-exec is still there while execve(2) looks for the program. */
export const program: Scenario = play({
  name: 'a program behind a descriptor of the caller',
  prepare: (site) => {
    copyFileSync(join(site.rootfs, 'bin', 'busybox'), join(site.directory, 'cat'))
    return { 'process.args': ['/proc/self/fd/7/cat', '/proc/self/status'] }
  },
  run: (site) => ({ through: [...ALONE, 'sh', '-c', `exec 7<${site.directory}; exec "$@"`, 'sh'] }),
  checks: [is('S4', 'it is not found', 'failures', /ENOENT/), ...CLEAN],
})

/** Whoever may mount and change namespaces looks for the tree of the host under its own. */
export const admin: Scenario = play({
  name: 'a container that takes its own root off',
  prepare: (site) => {
    installInside(site)
    return {
      'process.capabilities': setsOf('CAP_SYS_ADMIN', 'CAP_SYS_CHROOT'),
      'linux.maskedPaths': [],
      'process.args': ['sh', '-c', 'echo "root $(inside under-root)"'],
    }
  },
  checks: [is('S30', 'there is nothing under it', 'root', /^(?=.*\bmnt\b)(?!.*\b(boot|lib|usr|var)\b)/), ...CLEAN],
})

export const broken: Scenario = play({
  name: 'a container whose program is not there',
  prepare: () => ({ 'process.args': ['/bin/absent'] }),
  checks: [is('start', 'the start fails', 'failures', /find \/bin\/absent: ENOENT/), ...CLEAN],
})

export const PROCESS_SCENARIOS: readonly Scenario[] = [
  user,
  filtered,
  userNamespace,
  created,
  exec,
  terminal,
  limits,
  program,
  admin,
  broken,
]
