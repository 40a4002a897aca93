/** Real documents to start from: every field that coffer reads is in one of them, with a value that it takes. */

import { configOf } from '../kernel/bundle.ts'

const NAMESPACES = ['pid', 'mount', 'ipc', 'uts', 'network', 'cgroup']
const MAPPINGS = [{ containerID: 0, hostID: 100_000, size: 65_536 }]
const hook = { path: '/bin/true', args: ['true', '-x'], env: ['A=1'], timeout: 5 }
const throttled = [{ major: 8, minor: 0, rate: 1_048_576 }]

const resources = {
  devices: [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 1, minor: 3, access: 'rw' },
  ],
  pids: { limit: 64 },
  memory: { limit: 67_108_864, reservation: 33_554_432, swap: 134_217_728, swappiness: 10, disableOOMKiller: false },
  cpu: { shares: 512, quota: 50_000, period: 100_000, burst: 0, cpus: '0', mems: '0', idle: 0 },
  blockIO: {
    weight: 100,
    weightDevice: [{ major: 8, minor: 0, weight: 200 }],
    throttleReadBpsDevice: throttled,
    throttleWriteBpsDevice: throttled,
    throttleReadIOPSDevice: throttled,
    throttleWriteIOPSDevice: throttled,
  },
  hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
  network: { classID: 1_048_577, priorities: [{ name: 'lo', priority: 1 }] },
  rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10 } },
}

/** What cgroup v2 has no file for, it refuses. */
const unified = {
  'linux.resources': {
    ...resources,
    memory: { limit: 67_108_864, reservation: 33_554_432, swap: 134_217_728 },
    hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
    network: undefined,
    unified: { 'memory.high': '67108864' },
  },
}

const seccomp = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  flags: ['SECCOMP_FILTER_FLAG_LOG'],
  syscalls: [
    { names: ['keyctl', 'add_key'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
    {
      names: ['personality'],
      action: 'SCMP_ACT_ERRNO',
      args: [{ index: 0, value: 8, valueTwo: 0, op: 'SCMP_CMP_EQ' }],
    },
  ],
}

const everything = {
  hostname: 'box',
  domainname: 'example.org',
  annotations: { 'org.example.key': 'value' },
  'process.user': { uid: 1000, gid: 1000, umask: 18, additionalGids: [10, 20] },
  'process.oomScoreAdj': 100,
  'process.ioPriority': { class: 'IOPRIO_CLASS_BE', priority: 4 },
  'process.scheduler': { policy: 'SCHED_BATCH', nice: 5 },
  'process.execCPUAffinity': { initial: '0', final: '0' },
  'process.noNewPrivileges': true,
  'process.consoleSize': { height: 25, width: 80 },
  'linux.namespaces': [...NAMESPACES, 'user'].map((type) => ({ type })),
  'linux.uidMappings': MAPPINGS,
  'linux.gidMappings': MAPPINGS,
  'linux.resources': resources,
  'linux.seccomp': seccomp,
  'linux.sysctl': { 'kernel.shmmax': '68719476736', 'net.ipv4.ip_forward': '0' },
  'linux.rootfsPropagation': 'private',
  'linux.personality': { domain: 'LINUX' },
  'linux.devices': [
    { path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 438, uid: 0, gid: 0 },
    { path: '/dev/pipe', type: 'p', fileMode: 384 },
  ],
  '+mounts': [
    { destination: '/mnt', type: 'tmpfs', source: 'tmpfs', options: ['size=1m', 'noexec', 'mode=700'] },
    { destination: '/tmp', type: 'bind', source: '/tmp', options: ['rbind', 'rro', 'rprivate'] },
  ],
  hooks: Object.fromEntries(
    ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'].map((name) => [
      name,
      [hook],
    ]),
  ),
}

/** Limits that every machine has a controller for. */
const usual = {
  'linux.resources': {
    devices: resources.devices,
    pids: resources.pids,
    memory: { limit: 67_108_864 },
    cpu: { shares: 512, quota: 50_000, period: 100_000 },
  },
}

const rare = {
  'process.terminal': true,
  'process.scheduler': { policy: 'SCHED_DEADLINE', runtime: 1000, deadline: 2000, period: 3000, flags: [] },
  'process.apparmorProfile': 'profile',
  'process.selinuxLabel': 'system_u:system_r:container_t:s0',
  'linux.mountLabel': 'system_u:object_r:container_file_t:s0',
  'linux.namespaces': [...NAMESPACES.filter((type) => type !== 'network'), 'time']
    .map((type) => ({ type }))
    .concat([{ type: 'network', path: '/proc/self/ns/net' } as { type: string }]),
  'linux.timeOffsets': { boottime: { secs: 5, nanosecs: 1 }, monotonic: { secs: 7 } },
  'linux.memoryPolicy': { mode: 'MPOL_INTERLEAVE', nodes: '0', flags: [] },
  'linux.netDevices': { dummy0: { name: 'eth0' } },
  'linux.cgroupsPath': '/pods/one',
  'linux.seccomp': {
    ...seccomp,
    listenerPath: '/run/agent.sock',
    listenerMetadata: 'x',
    syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }],
  },
  '+mounts': [
    {
      destination: '/data',
      source: '/tmp',
      options: ['bind', 'idmap'],
      uidMappings: MAPPINGS,
      gidMappings: MAPPINGS,
    },
    {
      destination: '/merged',
      type: 'overlay',
      source: 'overlay',
      options: ['lowerdir=/tmp:/var', 'upperdir=/u', 'workdir=/w'],
    },
    { destination: '/copied', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] },
  ],
}

const refused = { 'linux.intelRdt': { closID: 'group', l3CacheSchema: 'L3:0=f' } }

export const DOCUMENTS: readonly object[] = [{}, everything, { ...everything, ...unified }, rare, refused].map(configOf)

/** Those that run, once `harmless` went over them. */
export const RUNNABLE: readonly object[] = [{}, { ...everything, ...usual }].map(configOf)
