/** The flags of `coffer run` and `create`: those of docker 28, and what it lacks. What cannot be served is refused with the reason. */

import type { Flag } from '../base/flags.ts'

const WINDOWS = 'it is of containers of Windows'

const flag = (name: string, type: Flag['type'], value: string | undefined, help: string): Flag => ({
  name,
  type,
  help,
  ...(value === undefined ? {} : { value }),
})

const refused = (name: string, type: Flag['type'], reason: string): Flag => ({ name, type, help: '', refused: reason })

const NAMESPACE = 'private|host|container:NAME|ns:PATH'
const NETWORK_NAME = 'none|host|NETWORK|container:NAME|ns:PATH'

/** Limits that can be changed while a container runs; `coffer update` has them too. */
export const LIMIT_FLAGS: readonly Flag[] = [
  { ...flag('memory', 'string', 'BYTES', 'memory, e.g. 512m'), short: 'm' },
  flag('memory-swap', 'string', 'BYTES', 'memory and swap together; -1 is no limit'),
  flag('memory-reservation', 'string', 'BYTES', 'memory that is left to it under pressure'),
  flag('memory-high', 'string', 'BYTES', 'memory beyond which it is slowed down (cgroup v2)'),
  flag('cpus', 'string', 'NUMBER', 'CPUs it may use, e.g. 0.5'),
  { ...flag('cpu-shares', 'int', 'N', 'share of CPU time, relative to others'), short: 'c' },
  flag('cpu-quota', 'int', 'MICROSECONDS', 'CPU time in a period'),
  flag('cpu-period', 'int', 'MICROSECONDS', 'the period'),
  flag('cpu-rt-period', 'int', 'MICROSECONDS', 'period of real-time scheduling'),
  flag('cpu-rt-runtime', 'int', 'MICROSECONDS', 'real-time CPU time in a period'),
  flag('cpuset-cpus', 'string', 'LIST', 'CPUs to use, e.g. 0-3,7'),
  flag('cpuset-mems', 'string', 'LIST', 'memory nodes to use'),
  flag('pids-limit', 'int', 'N', 'processes and threads; -1 is no limit'),
  flag('blkio-weight', 'int', 'N', 'share of block I/O, 10 to 1000; 0 is no wish'),
  flag('cgroup-conf', 'list', 'FILE=VALUE', 'write to a file of its cgroup (v2), e.g. memory.min=64M'),
  flag('restart', 'string', 'no|always|unless-stopped|on-failure[:N]', 'start it again when it has ended'),
  refused(
    'kernel-memory',
    'string',
    'the kernel has no such limit since 5.16: kernel:admin-guide/cgroup-v1/memory.rst',
  ),
]

const RESOURCES: readonly Flag[] = [
  ...LIMIT_FLAGS,
  flag(
    'memory-swappiness',
    'int',
    'N',
    '0 to 100: how gladly its memory is swapped out; -1 is as the host (cgroup v1)',
  ),
  flag('oom-kill-disable', 'bool', undefined, 'have it wait instead of killing it when memory is out (cgroup v1)'),
  flag('oom-score-adj', 'int', 'N', '-1000 to 1000: how soon it is killed when the host is out of memory'),
  flag('blkio-weight-device', 'list', 'DEVICE:N', 'share of the block I/O of a device'),
  flag('device-read-bps', 'list', 'DEVICE:BYTES', 'bytes a second that it may read from a device'),
  flag('device-write-bps', 'list', 'DEVICE:BYTES', 'bytes a second that it may write to a device'),
  flag('device-read-iops', 'list', 'DEVICE:N', 'reads a second from a device'),
  flag('device-write-iops', 'list', 'DEVICE:N', 'writes a second to a device'),
  flag('device', 'list', 'PATH[:PATH][:rwm]', 'give it a device of the host, or those in a directory'),
  flag('device-cgroup-rule', 'list', "'TYPE MAJOR:MINOR rwm'", 'devices that it may make and use'),
  flag('hugetlb', 'list', 'SIZE=BYTES', 'huge pages of a size, e.g. 2MB=64m'),
  flag('rdma', 'list', 'DEVICE=LIMITS', 'handles and objects of an RDMA device, e.g. mlx5_0=handles=2,objects=2000'),
  flag('net-class', 'string', 'MAJOR:MINOR', 'class of its packets for tc(8) and netfilter (cgroup v1)'),
  flag('net-priority', 'list', 'DEVICE=N', 'priority of its packets on a device (cgroup v1)'),
  refused('gpus', 'string', 'coffer knows no GPUs; give the device files that the driver made, with --device'),
  flag('shm-size', 'string', 'BYTES', 'size of /dev/shm; 64m if not given'),
  flag('ulimit', 'list', 'NAME=SOFT[:HARD]', 'limit of a process, e.g. nofile=1024:2048; -1 is no limit'),
  flag('sysctl', 'list', 'NAME=VALUE', 'kernel parameter of its namespaces'),
  flag('cgroup-parent', 'string', 'PATH', 'the cgroup in which its own is made'),
  ...['cpu-count', 'cpu-percent', 'io-maxbandwidth', 'io-maxiops'].map((name) => refused(name, 'string', WINDOWS)),
  refused('storage-opt', 'list', 'its directory is one of the file system of the host, which has no such options'),
]

const NAMESPACES: readonly Flag[] = [
  flag('pid', 'string', NAMESPACE, 'its process ids'),
  flag('network', 'list', NETWORK_NAME, 'its network; bridge if not given, without root that of pasta or slirp4netns'),
  flag('net', 'list', NETWORK_NAME, 'the same as --network'),
  flag('egress', 'list', 'HOST:PORT', 'a host that it reaches, and no others, e.g. example.com:443'),
  flag('ipc', 'string', `${NAMESPACE}|shareable|none`, 'its System V objects, message queues and shared memory'),
  flag('uts', 'string', NAMESPACE, 'its host name'),
  flag('userns', 'string', `${NAMESPACE}|auto|keep-id|map:INSIDE:HOST:COUNT`, 'its user ids'),
  flag('cgroupns', 'string', NAMESPACE, 'its view of the cgroups'),
  flag('time', 'string', NAMESPACE, 'its clocks'),
  flag('time-offset', 'string', 'SECONDS', 'how far its clocks of uptime are ahead'),
  flag('mount-ns', 'string', NAMESPACE, 'its mounts'),
  { ...flag('hostname', 'string', 'NAME', 'its host name; the begin of its id if not given'), short: 'h' },
  flag('domainname', 'string', 'NAME', 'its NIS domain name'),
  flag('add-host', 'list', 'NAME:ADDRESS', 'a line of its /etc/hosts'),
  flag('dns', 'list', 'ADDRESS', 'name server, instead of those of the host'),
  ...['dns-option', 'dns-opt'].map((name) => flag(name, 'list', 'OPTION', 'an option of resolv.conf(5)')),
  flag('dns-search', 'list', 'DOMAIN', 'where names are looked up; . is nowhere'),
]

const PROCESS: readonly Flag[] = [
  { ...flag('env', 'list', 'NAME[=VALUE]', 'add to its environment; without a value, that of the caller'), short: 'e' },
  flag('env-file', 'list', 'FILE', 'lines of the same'),
  { ...flag('workdir', 'string', 'DIR', 'its working directory'), short: 'w' },
  { ...flag('user', 'string', 'UID[:GID]', 'who it runs as'), short: 'u' },
  flag('group-add', 'list', 'GROUP', 'add to its groups'),
  flag('entrypoint', 'string', 'PROGRAM', "instead of the image's"),
  flag('init', 'bool', undefined, 'run it below an init, which reaps and passes signals on'),
  flag('stop-signal', 'string', 'SIGNAL', 'what asks it to end; TERM if not given'),
  flag('stop-timeout', 'int', 'SECONDS', 'how long stop waits before it kills; 10 if not given'),
  flag('cap-add', 'list', 'CAP', 'add a capability, or ALL'),
  flag('cap-drop', 'list', 'CAP', 'drop a capability, or ALL'),
  flag('privileged', 'bool', undefined, 'all capabilities and devices, no seccomp filter, nothing hidden'),
  flag(
    'security-opt',
    'list',
    'OPTION',
    'seccomp=FILE|unconfined, no-new-privileges, apparmor=PROFILE, systempaths=unconfined, …',
  ),
  { ...flag('interactive', 'bool', undefined, 'keep standard input open'), short: 'i' },
  { ...flag('tty', 'bool', undefined, 'give it a terminal'), short: 't' },
]

const FILES: readonly Flag[] = [
  flag('read-only', 'bool', undefined, 'make its root read-only'),
  flag('tmpfs', 'list', 'DIR[:OPTIONS]', 'an empty directory in memory'),
  {
    ...flag('volume', 'list', '[SOURCE:]DIR[:OPTIONS]', 'show a path of this machine, or a volume, in it'),
    short: 'v',
  },
  flag(
    'mount',
    'list',
    'type=KIND,…',
    'the same in more words, of bind, volume or tmpfs; or container:NAME, as --mount-ns',
  ),
  flag('volumes-from', 'list', 'CONTAINER[:ro]', 'mount what another container mounts'),
  flag('volume-driver', 'string', 'local', 'there is one'),
  flag('rootfs', 'string', 'DIR', 'use this directory as its root, instead of an image'),
]

const CONTAINER: readonly Flag[] = [
  flag('name', 'string', 'NAME', 'its name; made up if not given'),
  { ...flag('label', 'list', 'NAME[=VALUE]', 'a label'), short: 'l' },
  flag('label-file', 'list', 'FILE', 'lines of the same'),
  flag('annotation', 'list', 'NAME=VALUE', 'an annotation of its OCI configuration'),
  flag('cidfile', 'string', 'FILE', 'write its id to this file, which must not be there'),
  flag('rm', 'bool', undefined, 'remove it when it has ended'),
  flag('log-driver', 'string', 'local|none', 'what becomes of what it prints'),
  flag('log-opt', 'list', 'NAME=VALUE', 'max-size and max-file'),
  { ...flag('attach', 'list', 'STREAM', 'see or type into these only: stdin, stdout, stderr'), short: 'a' },
  flag('pull', 'string', 'always|missing|never', 'when to pull the image; missing if not given'),
  { ...flag('quiet', 'bool', undefined, 'say nothing while the image is pulled'), short: 'q' },
  flag('platform', 'string', 'OS/ARCHITECTURE', 'of which platform to pull it'),
  flag('health-cmd', 'string', 'COMMAND', 'tells whether it is well'),
  flag('health-interval', 'string', 'DURATION', 'time between two checks; 30s'),
  flag('health-timeout', 'string', 'DURATION', 'how long one may take; 30s'),
  flag('health-retries', 'int', 'N', 'failures in a row until it is unhealthy; 3'),
  flag('health-start-period', 'string', 'DURATION', 'time in which failures do not count'),
  flag('health-start-interval', 'string', 'DURATION', 'time between two checks meanwhile; the interval, at most 5s'),
  flag('no-healthcheck', 'bool', undefined, 'without the check of the image'),
  flag('disable-content-trust', 'bool', undefined, 'images are known by their digest; this changes nothing'),
  flag('isolation', 'string', 'default', 'there is one'),
  refused('runtime', 'string', 'a container of coffer is run by coffer'),
  refused('use-api-socket', 'bool', 'there is no daemon whose socket it could get'),
]

/** Of networks by name. */
const NETWORK: readonly Flag[] = [
  {
    ...flag('publish', 'list', '[[ADDRESS:]PORT:]PORT[/PROTOCOL]', 'have a port of it on this machine'),
    short: 'p',
  },
  {
    ...flag('publish-all', 'bool', undefined, 'have each port that it exposes on some port of this machine'),
    short: 'P',
  },
  flag('expose', 'list', 'PORT[/PROTOCOL]', 'a port that it serves, for --publish-all'),
  flag('ip', 'string', 'ADDRESS', 'its address in the network'),
  flag('ip6', 'string', 'ADDRESS', 'its address of IPv6'),
  flag('mac-address', 'string', 'ADDRESS', 'its hardware address; one that follows from --ip if not given'),
  ...['network-alias', 'net-alias'].map((name) =>
    flag(name, 'list', 'NAME', 'another name by which others in the network find it'),
  ),
  flag('link', 'list', 'CONTAINER[:ALIAS]', 'call another container so, in this one alone'),
  refused('link-local-ip', 'list', 'an address of a network is given with --ip'),
]

export const CREATE_FLAGS: readonly Flag[] = [
  ...CONTAINER,
  ...PROCESS,
  ...FILES,
  ...NAMESPACES,
  ...RESOURCES,
  ...NETWORK,
]

export const RUN_FLAGS: readonly Flag[] = [
  ...CREATE_FLAGS,
  { ...flag('detach', 'bool', undefined, 'run it in the background, and print its id'), short: 'd' },
  flag('detach-keys', 'string', 'KEYS', 'keys that leave it running; ctrl-p,ctrl-q if not given'),
  flag('sig-proxy', 'bool', undefined, 'pass signals on to it; true if not given'),
]

export const UPDATE_FLAGS: readonly Flag[] = [
  ...LIMIT_FLAGS,
  flag('publish-add', 'list', '[[ADDRESS:]PORT:]PORT[/PROTOCOL]', 'one more port of it on this machine'),
  flag('publish-rm', 'list', '[[ADDRESS:]PORT:]PORT[/PROTOCOL]', 'one less'),
]

export const EXEC_FLAGS: readonly Flag[] = [
  ...PROCESS.filter(({ name }) => /^(env|env-file|workdir|user|privileged|interactive|tty)$/.test(name)),
  { ...flag('detach', 'bool', undefined, 'run it in the background'), short: 'd' },
  refused('detach-keys', 'string', 'its terminal is that of coffer exec, and goes with it; use --detach'),
]
