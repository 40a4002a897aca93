/** The scenario of most mutants: a container with every protection that the usual document has, started by a caller who has much to leak. */

import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mobyDefaultProfile } from '../../src/seccomp/moby-default.ts'
import { bind, type Changes } from '../kernel/bundle.ts'
import { insideProgram, installInside } from '../kernel/programs.ts'
import { makeSite, type Site } from '../kernel/site.ts'
import type { Edit } from '../plan-edits.ts'
import { planOf, runTwin, type TwinRun } from '../twin.ts'
import { type Check, type Facts, factsIn, is } from './facts.ts'
import type { Scenario } from './scenario.ts'

const MOBY =
  'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE'.split(
    ' ',
  )
export const NAMESPACES = ['mnt', 'pid', 'net', 'uts', 'ipc', 'cgroup'] as const
const MASKED = ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/acpi', '/sys/firmware', '/etc/secret']
const READONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger', '/etc']

export const usualChanges = (site: Site): Changes => ({
  'process.args': ['sh', '/bin/probe'],
  'process.capabilities': { bounding: MOBY, permitted: MOBY, effective: MOBY },
  'process.noNewPrivileges': true,
  'process.oomScoreAdj': 77,
  'process.rlimits': [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 100 }],
  'linux.namespaces': ['mount', 'pid', 'network', 'uts', 'ipc', 'cgroup'].map((type) => ({ type })),
  'linux.maskedPaths': MASKED,
  'linux.readonlyPaths': READONLY,
  'linux.sysctl': { 'net.core.somaxconn': '55' },
  'linux.resources': {
    devices: [{ allow: false, access: 'rwm' }],
    pids: { limit: 30 },
    memory: { limit: 64 << 20 },
  },
  'linux.seccomp': mobyDefaultProfile({
    capabilities: ['CAP_SYS_CHROOT'],
    nativeArchitecture: process.arch === 'x64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64',
    kernel: { major: 6, minor: 1 },
  }),
  '+mounts': [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'nodev', 'noexec'] },
    bind(join(site.directory, 'volume'), '/mnt/volume', 'ro', 'nosuid', 'nodev', 'noexec'),
    bind(join(site.directory, 'open'), '/mnt/open'),
  ],
})

/** Writes nothing: opening for writing is what a read-only file system refuses. */
const PROBE = `
may() { (: >>"$1") 2>/dev/null && echo "$2 yes" || echo "$2 no"; }
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status
for n in ${NAMESPACES.join(' ')}; do echo "ns-$n $(readlink /proc/self/ns/$n)"; done
echo "fds $(inside fds)"
echo "tty $(inside tty)"
echo "umask $(umask)"
echo "cwd $(pwd -P)"
echo "host $(hostname)"
echo "oom $(cat /proc/self/oom_score_adj)"
echo "files $(ulimit -n)"
echo "env $(tr '\\0' ' ' </proc/1/environ)"
echo "somaxconn $(cat /proc/sys/net/core/somaxconn)"
for p in ${MASKED.join(' ')}; do
  if [ -d $p ]; then echo "mask$p dir $(ls -A $p | wc -l)"; may $p/x "in$p"
  elif [ -e $p ]; then echo "mask$p $(stat -c %t:%T $p)"; else echo "mask$p absent"; fi
done
for p in vm/swappiness kernel/hostname kernel/core_pattern; do may /proc/sys/$p "write-$p"; done
may /proc/sysrq-trigger write-sysrq
may /etc/written write-etc
may /written write-root
may /proc/irq/default_smp_affinity write-irq
may /mnt/volume/x write-volume
may /mnt/open/x write-open
/mnt/volume/as-root ids >/dev/null 2>&1 && echo "exec-volume yes" || echo "exec-volume no"
(head -c1 /mnt/volume/zero) >/dev/null 2>&1 && echo "device-volume yes" || echo "device-volume no"
mkdir /sys/fs/cgroup/x 2>/dev/null && echo "make-cgroup yes" || echo "make-cgroup no"
for c in memory pids; do may /sys/fs/cgroup/$c/tasks "join-$c"; ls -d /sys/fs/cgroup/$c/coffer* 2>/dev/null | sed "s/^/see-$c /"; done
echo "cgroup $(cut -d: -f3 /proc/self/cgroup | sort -u | tr '\\n' ' ')"
cut -d' ' -f5,6,7 /proc/self/mountinfo | sed 's/^/mount /'
mknod /dev/kmsg c 1 11; mknod /dev/fuse c 10 229
may /dev/kmsg kmsg; may /dev/fuse fuse
for d in null zero full random urandom; do (: <$d) 2>/dev/null; echo "device-$d $(stat -c '%t:%T %a' /dev/$d)"; done
echo "unshare $(inside call UNSHARE 0x10000000)"
echo "chroot $(inside chroot-escape | tr '\\n' ' ')"
trap "echo signal yes" USR1; kill -USR1 $$
exit 7
`

/** What the caller has that must not arrive: groups, an inheritable capability, descriptors, a umask, an environment. */
const CALLER = [
  'setpriv',
  '--groups',
  '27,999',
  '--inh-caps',
  '+net_raw',
  'unshare',
  '-m',
  '-u',
  '-i',
  '--propagation',
  'private',
  'sh',
  '-c',
  `umask 0177; exec 7</etc 8</
  for n in mnt pid net uts ipc cgroup; do echo "caller-$n $(readlink /proc/self/ns/$n)"; done
  echo "caller-name $(hostname)"; exec "$@"`,
  'sh',
]

/** Makes the files that the probe looks at. */
export function furnish(site: Site): void {
  installInside(site)
  writeFileSync(join(site.rootfs, 'bin', 'probe'), PROBE.replace('UNSHARE', process.arch === 'x64' ? '272' : '97'))
  writeFileSync(join(site.rootfs, 'etc', 'secret'), 'of the image')
  for (const name of ['volume', 'open']) mkdirSync(join(site.directory, name))
  const asRoot = join(site.rootfs, 'bin', 'as-root')
  for (const path of [asRoot, join(site.directory, 'volume', 'as-root')]) {
    copyFileSync(insideProgram(), path)
    Bun.spawnSync(['chmod', '4755', path])
  }
  Bun.spawnSync(['mknod', '-m', '666', join(site.directory, 'volume', 'zero'), 'c', '1', '5'])
  for (const name of ['mnt/volume', 'mnt/open']) mkdirSync(join(site.rootfs, name))
  mkdirSync(join(site.rootfs, 'tmp', 'jail'))
}

function usualFacts(edit: Edit): Facts {
  const site = makeSite()
  try {
    furnish(site)
    const twin = planOf(site, usualChanges(site))
    const run = runTwin(site, { ...twin, plan: edit(twin.plan) }, { through: CALLER, env: { CANARY: 'secret' } })
    return complete(site, run)
  } finally {
    site[Symbol.dispose]()
  }
}

function complete(site: Site, run: TwinRun): Facts {
  const facts = factsIn(run.stdout)
  facts.set('exit', `${run.exitCode}`)
  facts.set('failures', run.failures.join('; '))
  facts.set('leaks', site.leaks().join(' '))
  facts.set('records', existsSync(site.root()) ? readdirSync(site.root()).join(' ') : '')
  facts.set('image', readdirSync(site.rootfs).sort().join(' '))
  return facts
}

const mountHas =
  (point: string, ...options: readonly string[]) =>
  (fact: (name: string) => string) => {
    const line = fact('mount')
      .split('\n')
      .findLast((one) => one.split(' ')[0] === point)
    return options.every((option) => line?.split(' ')[1]?.split(',').includes(option))
  }

const HOSTS_OWN = /^\/(?:proc|sys|dev|mnt\/volume|mnt\/open|etc)?(?:\/|$)/
const MASK = '1:3'
const BITS = '00000000a80425fb'

const ownNamespaces: readonly Check[] = NAMESPACES.map((name) => ({
  number: 'S109',
  claim: `the ${name} namespace is its own`,
  holds: (fact) => /^[a-z]+:\[/.test(fact(`ns-${name}`)) && fact(`ns-${name}`) !== fact(`caller-${name}`),
}))

const CHECKS: readonly Check[] = [
  is('start', 'the program runs to its end', 'exit', '7'),
  is('undo', 'nothing is left on the host', 'leaks', ''),
  is('undo', 'no record is left', 'records', ''),
  is('S4', 'it has no descriptor but 0, 1 and 2', 'fds', '0 1 2'),
  is('S12', 'its environment is that of the document', 'env', /^(?!.*CANARY)/),
  is('S15', 'no_new_privs is set', 'NoNewPrivs:', '1'),
  {
    number: 'S27',
    claim: '/proc/sys keeps the flags of procfs',
    holds: mountHas('/proc/sys', 'nosuid', 'nodev', 'noexec'),
  },
  is('S28', 'a bind mount with ro cannot be written', 'write-volume', 'no'),
  is('S28', 'one without can', 'write-open', 'yes'),
  is('S28', 'a bind mount with noexec runs nothing', 'exec-volume', 'no'),
  is('S28', 'a bind mount with nodev opens no device', 'device-volume', 'no'),
  { number: 'S28', claim: 'a bind mount with nosuid has it', holds: mountHas('/mnt/volume', 'nosuid') },
  {
    number: 'S30',
    claim: 'nothing of the host is mounted beside what was asked for',
    holds: (fact) =>
      fact('mount')
        .split('\n')
        .every((line) => HOSTS_OWN.test(line.split(' ')[0] ?? '')) && fact('mount').split('\n').length > 12,
  },
  is('S30', 'the way out of a chroot ends in its own root', 'chroot', 'bin dev etc mnt proc root sys tmp'),
  {
    number: 'S43',
    claim: '/dev/shm has nosuid, nodev, noexec',
    holds: mountHas('/dev/shm', 'nosuid', 'nodev', 'noexec'),
  },
  { number: 'S43', claim: '/dev/mqueue has them', holds: mountHas('/dev/mqueue', 'nosuid', 'nodev', 'noexec') },
  { number: 'S43', claim: '/dev has nosuid', holds: mountHas('/dev', 'nosuid') },
  { number: 'S95', claim: '/dev/pts has nosuid, noexec', holds: mountHas('/dev/pts', 'nosuid', 'noexec') },
  is('S45', 'the oom_score_adj is the one that was asked for', 'oom', '77'),
  is('S46', 'the sysctl is set in its own network namespace', 'somaxconn', '55'),
  is('S47', '/proc/kcore is masked', 'mask/proc/kcore', /^(1:3|absent)$/),
  is('S47', '/proc/keys is masked', 'mask/proc/keys', MASK),
  is('S47', '/proc/timer_list is masked', 'mask/proc/timer_list', MASK),
  is('S47', '/proc/acpi is empty', 'mask/proc/acpi', /^(dir 0|absent)$/),
  is('S47', '/sys/firmware is empty', 'mask/sys/firmware', 'dir 0'),
  is('S47', 'nothing can be put into a masked directory', 'in/sys/firmware', 'no'),
  is('S47', 'a file of the image is masked', 'mask/etc/secret', MASK),
  is('S48', '/proc/sys is read-only', 'write-vm/swappiness', 'no'),
  is('S49', 'core_pattern cannot be opened for writing', 'write-kernel/core_pattern', 'no'),
  is('S48', '/proc/sysrq-trigger is read-only', 'write-sysrq', 'no'),
  is('S48', '/proc/irq is read-only', 'write-irq', 'no'),
  is('S48', 'a read-only path of the image is', 'write-etc', 'no'),
  is('S48', 'the root is read-only', 'write-root', 'no'),
  {
    number: 'S53',
    claim: '/sys is read-only, nosuid, nodev, noexec',
    holds: mountHas('/sys', 'ro', 'nosuid', 'nodev', 'noexec'),
  },
  is('S53', 'no cgroup can be made', 'make-cgroup', 'no'),
  is('S53', 'no cgroup can be joined', 'join-memory', 'no'),
  is('S53', 'no other cgroup is seen', 'see-memory', 'untold'),
  is('S109', 'its cgroup is the root of what it sees', 'cgroup', '/'),
  is('S56', 'no capability is inheritable', 'CapInh:', '0000000000000000'),
  is('S56', 'no capability is ambient', 'CapAmb:', '0000000000000000'),
  is('S57', 'the permitted capabilities are those that were given', 'CapPrm:', BITS),
  is('S57', 'the effective ones are', 'CapEff:', BITS),
  is('S59', 'the bounding set is no larger', 'CapBnd:', BITS),
  is('S61', 'no group of the caller is left', 'Groups:', ''),
  is('S61', 'the user is the one that was asked for', 'Uid:', /^0\s+0\s+0\s+0$/),
  is('S61', 'the group is', 'Gid:', /^0\s+0\s+0\s+0$/),
  is('S73', 'a filter is in force', 'Seccomp:', '2'),
  is('S78', 'no user namespace can be made', 'unshare', '-1'),
  is('S92', 'kmsg cannot be opened', 'kmsg', 'no'),
  is('S92', 'fuse cannot be opened', 'fuse', 'no'),
  is('S92', '/dev/null is character device 1:3', 'device-null', '1:3 666'),
  is('S92', '/dev/zero is character device 1:5', 'device-zero', '1:5 666'),
  is('S96', 'it leads a session of its own', 'tty', /^session 1, no controlling terminal/),
  is('S109', 'its name is its own', 'host', 'coffer'),
  ...ownNamespaces,
  is('process', 'the umask is the usual one', 'umask', '0022'),
  is('process', 'it begins at the root', 'cwd', '/'),
  is('process', 'limits of the document hold', 'files', '100'),
  is('process', 'signals arrive', 'signal', 'yes'),
  is('S33', 'nothing was made in the image beside what it had', 'image', 'bin dev etc mnt proc root sys tmp'),
]

export const usual: Scenario = { name: 'the usual container', facts: usualFacts, checks: CHECKS }
