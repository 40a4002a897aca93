import { describe, expect, test } from 'bun:test'
import { OperationError } from '../base/errors.ts'
import { parseConfig } from './config.ts'
import { CONFIG_FIELDS } from './config-fields.ts'

const idMapping = () => ({ containerID: 0, hostID: 100000, size: 65536 })
const hook = () => ({ path: '/bin/hook', args: ['hook', '-v'], env: ['A=b'], timeout: 5 })
const throttle = () => [{ major: 8, minor: 16, rate: 1048576 }]

/** A valid document with every field that may stand beside the others; a new one at each call. */
const fullDocument = (): Json => ({
  ociVersion: '1.3.0',
  hooks: {
    prestart: [hook()],
    createRuntime: [hook()],
    createContainer: [hook()],
    startContainer: [hook()],
    poststart: [hook()],
    poststop: [hook()],
  },
  annotations: { 'org.example.key': 'value' },
  hostname: 'web-1',
  domainname: 'example.org',
  mounts: [
    {
      source: '/srv',
      destination: '/data',
      options: ['rbind', 'ro', 'idmap'],
      type: 'none',
      uidMappings: [idMapping()],
      gidMappings: [idMapping()],
    },
  ],
  root: { path: 'rootfs', readonly: true },
  process: {
    args: ['sh', '-c', ''],
    consoleSize: { height: 24, width: 80 },
    cwd: '/home',
    env: ['PATH=/bin', 'EMPTY='],
    terminal: true,
    user: { uid: 1000, gid: 1001, umask: 18, additionalGids: [5, 6] },
    capabilities: {
      bounding: ['CAP_KILL'],
      permitted: ['CAP_CHOWN'],
      effective: ['CAP_FOWNER'],
      inheritable: ['CAP_SETUID'],
      ambient: ['CAP_SETGID'],
    },
    apparmorProfile: 'profile',
    oomScoreAdj: -500,
    selinuxLabel: 'system_u:system_r:container_t:s0',
    ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 4 },
    noNewPrivileges: true,
    scheduler: { policy: 'SCHED_BATCH', nice: 19, flags: ['SCHED_FLAG_RESET_ON_FORK'] },
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 18446744073709551615n }],
    execCPUAffinity: { initial: '0-3,8', final: '7' },
  },
  linux: {
    devices: [{ type: 'c', path: '/dev/fuse', fileMode: 438, major: 10, minor: 229, uid: 0, gid: 5 }],
    netDevices: { eth1: { name: 'lan0' } },
    uidMappings: [idMapping()],
    gidMappings: [idMapping()],
    namespaces: [
      { type: 'network', path: '/run/netns/a' },
      { type: 'mount' },
      { type: 'uts' },
      { type: 'ipc' },
      { type: 'user' },
      { type: 'time' },
    ],
    resources: {
      unified: { 'memory.high': '1G' },
      devices: [{ allow: true, type: 'c', major: 10, minor: 229, access: 'rw' }],
      pids: { limit: 100 },
      blockIO: {
        weight: 500,
        leafWeight: 300,
        weightDevice: [{ major: 8, minor: 0, weight: 100, leafWeight: 50 }],
        throttleReadBpsDevice: throttle(),
        throttleWriteBpsDevice: throttle(),
        throttleReadIOPSDevice: throttle(),
        throttleWriteIOPSDevice: throttle(),
      },
      cpu: {
        cpus: '0-1',
        mems: '0',
        period: 100000,
        quota: 50000,
        burst: 1000,
        realtimePeriod: 1000000,
        realtimeRuntime: 950000,
        shares: 1024,
        idle: 1,
      },
      hugepageLimits: [{ pageSize: '2MB', limit: 9223372036854771712n }],
      memory: {
        kernel: -1,
        kernelTCP: -1,
        limit: 536870912,
        reservation: 268435456,
        swap: 1073741824,
        swappiness: 60,
        disableOOMKiller: false,
        useHierarchy: true,
        checkBeforeUpdate: true,
      },
      network: { classID: 1048577, priorities: [{ name: 'eth0', priority: 500 }] },
      rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10000 } },
    },
    cgroupsPath: '/coffer/web-1',
    rootfsPropagation: 'slave',
    seccomp: {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      flags: ['SECCOMP_FILTER_FLAG_LOG'],
      listenerPath: '/run/agent.sock',
      listenerMetadata: 'opaque',
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [
        {
          names: ['clone'],
          action: 'SCMP_ACT_ALLOW',
          errnoRet: 1,
          args: [{ index: 0, value: 2114060288, valueTwo: 18446744073709551615n, op: 'SCMP_CMP_MASKED_EQ' }],
        },
      ],
    },
    sysctl: { 'net.ipv4.ip_forward': '1' },
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/sys'],
    mountLabel: 'system_u:object_r:container_file_t:s0',
    intelRdt: {
      closID: 'group',
      schemata: ['L2:0=f'],
      l3CacheSchema: 'L3:0=7f0',
      memBwSchema: 'MB:0=20',
      enableMonitoring: true,
    },
    memoryPolicy: { mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES'] },
    personality: { domain: 'LINUX32' },
    timeOffsets: { boottime: { secs: -3600, nanosecs: 5 }, monotonic: { secs: 60, nanosecs: 6 } },
  },
})

type Json = { [key: string]: unknown }

/** Fields of other scheduler policies, which cannot stand beside `nice` of SCHED_BATCH. */
const OTHER_SCHEDULERS: Readonly<Record<string, Json>> = {
  'process.scheduler.priority': { policy: 'SCHED_FIFO', priority: 50 },
  'process.scheduler.runtime': { policy: 'SCHED_DEADLINE', runtime: 1000000, deadline: 2000000, period: 3000000 },
  'process.scheduler.deadline': { policy: 'SCHED_DEADLINE', runtime: 1000000, deadline: 2000000, period: 3000000 },
  'process.scheduler.period': { policy: 'SCHED_DEADLINE', runtime: 1000000, deadline: 2000000, period: 3000000 },
}

/** Fields whose value comes out as something better than what stands in the document, or in another place. */
const PARSED: Readonly<Record<string, { readonly at: string; readonly value: unknown }>> = {
  'process.execCPUAffinity.initial': {
    at: 'process.execCPUAffinity.initial',
    value: [
      { first: 0, last: 3 },
      { first: 8, last: 8 },
    ],
  },
  'process.execCPUAffinity.final': { at: 'process.execCPUAffinity.final', value: [{ first: 7, last: 7 }] },
  'linux.memoryPolicy.nodes': { at: 'linux.memoryPolicy.nodes', value: [{ first: 0, last: 0 }] },
  'linux.netDevices.*.name': { at: 'linux.netDevices.0', value: { device: 'eth1', name: 'lan0' } },
  'linux.resources.rdma.*.hcaHandles': { at: 'linux.resources.rdma.0.hcaHandles', value: 3 },
  'linux.resources.rdma.*.hcaObjects': { at: 'linux.resources.rdma.0.hcaObjects', value: 10000 },
  'linux.resources.unified': { at: 'linux.resources.unified.0', value: { file: 'memory.high', value: '1G' } },
  'linux.sysctl': {
    at: 'linux.sysctl.0',
    value: { name: 'net.ipv4.ip_forward', path: 'net/ipv4/ip_forward', value: '1', namespace: 'network' },
  },
}

/** Fields that coffer refuses by name, with a document that asks for nothing else. */
const REFUSED: Readonly<Record<string, (document: Json) => void>> = {
  'process.commandLine': (document) => set(document, 'process', { cwd: '/', commandLine: 'cmd.exe /c dir' }),
  'process.user.username': (document) => set(document, 'process.user', { username: 'ContainerUser' }),
  'linux.personality.flags': (document) => set(document, 'linux.personality.flags', ['ADDR_NO_RANDOMIZE']),
}

const fields = CONFIG_FIELDS.trim()
  .split('\n')
  .map((line) => {
    const [path = '', type = ''] = line.split(' ')
    return { path, type }
  })

/** `mounts[].options` as the keys that lead to the first one of a document: mounts, 0, options. */
const keysOf = (path: string, document: unknown): string[] => {
  const keys: string[] = []
  let at = document as Json | undefined
  for (const step of path.replaceAll('[]', '.0').split('.')) {
    const key = step === '*' ? (Object.keys(at ?? {})[0] ?? '') : step
    keys.push(key)
    at = at?.[key] as Json | undefined
  }
  return keys
}

const get = (document: unknown, keys: readonly string[]): unknown =>
  keys.reduce<unknown>((at, key) => (at as Json | undefined)?.[key], document)

function set(document: unknown, path: string, value: unknown): void {
  const keys = keysOf(path, document)
  const last = keys.pop() ?? ''
  ;(get(document, keys) as Json)[last] = value
}

/** The same keys as a message writes them. */
const shownPath = (path: string, document: unknown): string =>
  path.replaceAll('[]', '[0]').replace(/\.\*/, () => {
    const map = path.slice(0, path.indexOf('.*'))
    return `[${JSON.stringify(Object.keys(get(document, keysOf(map, document)) as Json)[0])}]`
  })

const documentFor = (path: string): Json => {
  const document = fullDocument()
  if (path in OTHER_SCHEDULERS) set(document, 'process.scheduler', OTHER_SCHEDULERS[path])
  return document
}

const WRONG: Readonly<Record<string, unknown>> = {
  string: 7,
  integer: 'fast',
  boolean: 'yes',
  array: { length: 1 },
  object: ['text'],
}

test('the list has the 223 fields of runtime-spec 1.3 (S317)', () => {
  expect(fields).toHaveLength(223)
})

describe.each(fields)('$path', ({ path, type }) => {
  test('is parsed, or refused by name', () => {
    const document = documentFor(path)
    const refused = REFUSED[path]
    if (refused !== undefined) {
      refused(document)
      const error = errorOf(() => parseConfig(document))
      expect(error.message).toStartWith(`cannot read config.json: ${path} `)
      expect(error.kind).toBe('unsupported')
      return
    }
    const config = parseConfig(document)
    const written = get(document, keysOf(path, document))
    expect(written).toBeDefined()
    const parsed = PARSED[path]
    if (parsed !== undefined) expect(get(config, parsed.at.split('.'))).toEqual(parsed.value)
    else if (type !== 'object') expect(get(config, keysOf(path, document))).toEqual(written)
    else expect(get(config, keysOf(path.replace('.*', '.0'), config))).toBeDefined()
  })

  test('of a wrong type is refused with its path', () => {
    const document = documentFor(path)
    set(document, path, WRONG[type])
    const error = errorOf(() => parseConfig(document))
    expect(error.message).toStartWith(`cannot read config.json: ${shownPath(path, document)} is `)
    expect(error.kind).toBe('invalid')
  })
})

function errorOf(run: () => unknown): OperationError {
  try {
    run()
  } catch (error) {
    if (error instanceof OperationError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
