/**
 * Routing between devices, which this machine does for its containers: switched on with the first of them and off again with the last, if
 * coffer found it off.
 *
 *     RUNROOT/.forwarding    what was switched on, and which devices were there: nothing was routed between these. It is gone with a
 *                            reboot, as the setting is.
 *
 * Source: kernel:networking/ip-sysctl.rst
 */

import { remove, replaceFile } from '../executor/embedded-files.ts'
import type { Setting } from '../plan/network.ts'
import type { Engine } from './place.ts'

interface Forwarding {
  readonly settings: readonly string[]
  readonly devices: readonly string[]
}

const FORWARDING_FILE = '.forwarding'
const IPV4 = '/proc/sys/net/ipv4/ip_forward'
const IPV6 = '/proc/sys/net/ipv6/conf/all/forwarding'

const pathOf = ({ machine }: Pick<Engine, 'machine'>): string => `${machine.root}/${FORWARDING_FILE}`

/** What a command that was killed left is forgotten as well. */
const asideOf = (engine: Pick<Engine, 'machine'>): string => `${pathOf(engine)}.new`

function readForwarding(engine: Pick<Engine, 'machine'>): Forwarding {
  const text = engine.machine.files.readText(pathOf(engine))
  return text === undefined ? { settings: [], devices: [] } : (JSON.parse(text) as Forwarding)
}

/** What is to be set, which is written down first; for who holds the lock of names. */
export function wantForwarding(engine: Engine, wants: { readonly ipv6: boolean }): readonly Setting[] {
  const { files, native } = engine.machine
  const missing = [IPV4, ...(wants.ipv6 ? [IPV6] : [])].filter((path) => files.readText(path)?.trim() === '0')
  if (missing.length === 0) return []
  const before = readForwarding(engine)
  const devices = (files.readText('/proc/net/dev') ?? '').split('\n').flatMap((line) => {
    const name = /^ *([^ :]+):/.exec(line)?.[1]
    return name === undefined || name === 'lo' ? [] : [name]
  })
  const now: Forwarding = {
    settings: [...new Set([...before.settings, ...missing])],
    devices: before.settings.length === 0 ? devices : before.devices,
  }
  if (engine.foreseen !== undefined) engine.foreseen.texts.set(pathOf(engine), JSON.stringify(now))
  else replaceFile(native, { path: pathOf(engine), temporary: asideOf(engine), text: JSON.stringify(now), mode: 0o600 })
  return missing.map((setting) => [setting, '1'])
}

/** Devices between which this machine does not route but for coffer: it found that switched off. */
export const devicesApart = (engine: Engine): readonly string[] => readForwarding(engine).devices

/** What takes it back. */
export const withoutForwarding = (engine: Engine): readonly Setting[] =>
  readForwarding(engine).settings.map((setting) => [setting, '0'])

export function forgetForwarding(engine: Engine): void {
  for (const path of [pathOf(engine), asideOf(engine)]) remove(engine.machine.native, path)
}
