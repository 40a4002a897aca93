import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const withNamespaces = { 'linux.namespaces': ['network', 'ipc', 'uts', 'mount'].map((type) => ({ type })) }
const linux = (changes: Readonly<Record<string, unknown>>) => exampleConfig({ ...withNamespaces, ...changes }).linux
const refused = (changes: Readonly<Record<string, unknown>>) => refusalOf({ ...withNamespaces, ...changes })

test('a kernel parameter may be written with dots or with slashes', () => {
  const paths = (...names: string[]) =>
    linux({ 'linux.sysctl': Object.fromEntries(names.map((name) => [name, '1'])) }).sysctl.map(({ path }) => path)
  expect(
    paths(
      'net.ipv4.ip_forward',
      'net/core/somaxconn',
      'net.ipv4.conf.eno2/100.rp_filter',
      'net/ipv4/conf/eno2.100/rp_filter',
    ),
  ).toEqual([
    'net/ipv4/ip_forward',
    'net/core/somaxconn',
    'net/ipv4/conf/eno2.100/rp_filter',
    'net/ipv4/conf/eno2.100/rp_filter',
  ])
})

test('a kernel parameter of the host is refused, however its name is bent', () => {
  for (const name of [
    'kernel.core_pattern',
    'vm.swappiness',
    'fs.file-max',
    'user.max_user_namespaces',
    'kernel.hostnam',
    'network.x',
  ]) {
    expect(refused({ 'linux.sysctl': { [name]: '1' } }), name).toContain('is of the whole host')
  }
  const bent = [
    'net/../kernel/core_pattern',
    'kernel.shmmax/../../sysrq-trigger',
    'net..ipv4',
    'net',
    'net.',
    '/net/x',
    'net/./x',
    'net/x/..',
    '',
    'net\0.x',
  ]
  for (const name of bent) {
    expect(refused({ 'linux.sysctl': { [name]: '1' } }), name).toContain('is not the name of a kernel parameter')
  }
  expect(refused({ 'linux.sysctl': { 'kernel.hostname': 'x' } })).toBe(
    'linux.sysctl["kernel.hostname"] has a field of its own\nhint:  use hostname',
  )
})

test('hidden paths are absolute', () => {
  expect(refused({ 'linux.maskedPaths': ['/a', 'proc/kcore'] })).toStartWith(
    'linux.maskedPaths[1] is "proc/kcore", which is not',
  )
  expect(refused({ 'linux.readonlyPaths': [''] })).toStartWith(
    'linux.readonlyPaths[0] is "", which is not an absolute path',
  )
})

test('the root may propagate recursively, as docker and podman write it', () => {
  expect(linux({ 'linux.rootfsPropagation': 'rslave' }).rootfsPropagation).toBe('rslave')
  expect(refused({ 'linux.rootfsPropagation': 'slaves' })).toEndWith('did you mean "slave"?')
})

test('a personality has a domain and no flags', () => {
  expect(linux({ 'linux.personality': { domain: 'LINUX32', flags: [] } }).personality).toEqual({ domain: 'LINUX32' })
  expect(refused({ 'linux.personality': {} })).toStartWith('linux.personality.domain is missing')
})

test('a network device keeps its name, or gets a new one that nobody else has', () => {
  expect(linux({ 'linux.netDevices': { eth1: {}, eth2: { name: 'lan' } } }).netDevices).toEqual([
    { device: 'eth1', name: 'eth1' },
    { device: 'eth2', name: 'lan' },
  ])
  expect(refused({ 'linux.netDevices': { eth1: { name: 'a' }, eth2: { name: 'a' } } })).toBe(
    'linux.netDevices gives "eth1" and "eth2" the name "a"',
  )
  for (const name of ['', '.', '..', 'a/b', 'a:b', 'a b', 'a%d', 'sixteen-letters-', 'a\nb', 'ä']) {
    expect(refused({ 'linux.netDevices': { [name]: {} } }), name).toContain('is not the name of a network device')
  }
})

test('a class of service is a directory of resctrl', () => {
  for (const closID of ['.', '..', 'a/b', '/a', 'a\nb']) {
    expect(refused({ 'linux.intelRdt': { closID } })).toStartWith(`linux.intelRdt.closID is ${JSON.stringify(closID)}`)
  }
  expect(linux({ 'linux.intelRdt': { closID: '/' } }).intelRdt?.closID).toBe('/')
  for (const memBwSchema of ['L3:0=f', 'MB:0=1\nL3:0=f', ' MB:0=1']) {
    expect(refused({ 'linux.intelRdt': { memBwSchema } })).toContain('it is one line that begins with MB:')
  }
})

test('a memory policy has the nodes that its mode wants', () => {
  const policy = (value: object) => refused({ 'linux.memoryPolicy': value })
  expect(policy({ mode: 'MPOL_INTERLEAVE', nodes: '0-1' })).toBe('accepted')
  expect(policy({ mode: 'MPOL_PREFERRED' })).toBe('accepted')
  expect(policy({ mode: 'MPOL_BIND', nodes: '' })).toStartWith(
    'linux.memoryPolicy.nodes is missing, and MPOL_BIND needs',
  )
  expect(policy({ mode: 'MPOL_LOCAL', nodes: '0' })).toStartWith(
    'linux.memoryPolicy.nodes is not empty, and MPOL_LOCAL',
  )
  expect(policy({ mode: 'MPOL_BINDS' })).toEndWith('did you mean "MPOL_BIND"?')
  expect(
    policy({ mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES', 'MPOL_F_RELATIVE_NODES'] }),
  ).toStartWith('linux.memoryPolicy.flags has both')
})

test('a hook has an absolute path and, if any, a time of a second or more', () => {
  const hook = (value: object) => refused({ 'hooks.prestart': [value] })
  expect(hook({ path: 'bin/hook' })).toStartWith('hooks.prestart[0].path is "bin/hook", which is not an absolute path')
  expect(hook({ path: '/bin/hook', timeout: 0 })).toBe('hooks.prestart[0].timeout is 0, which is less than 1')
})
