import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf } from '../../test/plan-lines.ts'
import { slot } from '../linux/call.ts'
import type { Device } from '../oci/devices.ts'
import type { Mount } from '../oci/mounts.ts'
import { type DevicesPlan, type DevicesRequest, planDevices } from './devices.ts'
import type { Place } from './targets.ts'

const host = planHost()
const FRESH: ReadonlyMap<string, Place> = new Map([['/dev', { dir: slot('dev'), content: 'fresh' }]])

const plan = (devices: readonly Device[] = [], change: Partial<DevicesRequest> = {}): DevicesPlan =>
  planDevices({ devices, mounts: [], places: FRESH, isInUserNamespace: false, ...change }, host)
const lines = (devices: readonly Device[] = [], change: Partial<DevicesRequest> = {}): string =>
  linesOf(plan(devices, change).steps)

test('a container has the devices and links of the specification', () => {
  expect(lines()).toBe(`mknodat(dev, "null", S_IFCHR|0666, 1:3) or EEXIST
mknodat(dev, "zero", S_IFCHR|0666, 1:5) or EEXIST
mknodat(dev, "full", S_IFCHR|0666, 1:7) or EEXIST
mknodat(dev, "random", S_IFCHR|0666, 1:8) or EEXIST
mknodat(dev, "urandom", S_IFCHR|0666, 1:9) or EEXIST
mknodat(dev, "tty", S_IFCHR|0666, 5:0) or EEXIST
symlinkat("/proc/self/fd", dev, "fd") or EEXIST
symlinkat("/proc/self/fd/0", dev, "stdin") or EEXIST
symlinkat("/proc/self/fd/1", dev, "stdout") or EEXIST
symlinkat("/proc/self/fd/2", dev, "stderr") or EEXIST
symlinkat("pts/ptmx", dev, "ptmx") or EEXIST`)
})

test('a device of the configuration replaces the default one', () => {
  const zero: Device = { path: '/dev//zero', type: 'c', major: 1, minor: 5, fileMode: 0o600 }
  expect(lines([zero])).toContain('mknodat(dev, "zero", S_IFCHR|0600, 1:5)')
  expect(lines([zero])).not.toContain('"zero", S_IFCHR|0666')
})

test('an owner is given only where it is not root', () => {
  const device: Device = { path: '/dev/sda', type: 'b', major: 8, minor: 0, uid: 3, gid: 4 }
  expect(lines([device])).toContain(
    'mknodat(dev, "sda", S_IFBLK|0666, 8:0) or EEXIST\nfchownat(dev, "sda", 3, 4, AT_SYMLINK_NOFOLLOW)',
  )
  expect(lines([{ ...device, uid: 0, gid: 0 }])).not.toContain('chown')
})

test('a directory for devices is opened once', () => {
  const at = (path: string): Device => ({ path, type: 'c', major: 10, minor: 200 })
  expect(lines([at('/dev/net/tun'), at('/dev/net/tap')])).toContain(`mkdirat(dev, "net", 0755) or EEXIST
mknodat(dev, "net/tun", S_IFCHR|0666, 10:200) or EEXIST
mknodat(dev, "net/tap", S_IFCHR|0666, 10:200) or EEXIST`)
})

test('in a user namespace devices of the host are shown, and pipes are made', () => {
  const pipe: Device = { path: '/dev/pipe', type: 'p' }
  const text = lines([pipe], { isInUserNamespace: true })
  expect(text).toStartWith(`mknodat(dev, "null", S_IFREG|0644) or EEXIST
mount("/dev/null", "self/fd/<dev>/null", MS_BIND)`)
  expect(text).toContain('mknodat(dev, "pipe", S_IFIFO|0666')
  expect(text).not.toContain('S_IFCHR')
})

test('the /dev of an image is opened without following a link, and its ptmx is replaced', () => {
  const text = lines([], { places: new Map() })
  expect(text).toStartWith(`mkdirat(root, "dev", 0755) or EEXIST
dev = openat2(root, "/dev", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS)`)
  expect(text).toContain('unlinkat(dev, "ptmx") or ENOENT or EBUSY')
})

test('a /dev that is bind-mounted is left alone', () => {
  const mount: Mount = { destination: '/dev/', source: '/dev', options: ['rbind'], uidMappings: [], gidMappings: [] }
  expect(plan([], { mounts: [mount] })).toEqual({ steps: [] })
})

test('only a null that the plan has made itself is trusted to cover files', () => {
  const other: Device = { path: '/dev/null', type: 'c', major: 1, minor: 5 }
  const mounted = new Map<string, Place>([...FRESH, ['/dev/null', { content: 'foreign' }]])
  expect(plan().nullIn).toEqual(slot('dev'))
  expect(plan([other]).nullIn).toBeUndefined()
  expect(plan([], { places: mounted }).nullIn).toBeUndefined()
  expect(plan([], { places: new Map() }).nullIn).toBeUndefined()
})
