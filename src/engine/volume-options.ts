/**
 * What `volume create --opt` asks for: a volume that is no directory of its own, but what mount(8) would show of another place.
 *
 * | options                       | the volume is                                                        |
 * |-------------------------------|----------------------------------------------------------------------|
 * | none                          | the directory `_data`                                                |
 * | type=none,o=bind,device=/path | that directory of this machine                                       |
 * | another type, o and device    | that file system, mounted while containers use it: mounted-volumes.ts |
 *
 * Source: docker: volume/local/local_unix.go
 */

import { OperationError } from '../base/errors.ts'
import { parseMountOptions } from '../oci/mount-options.ts'
import { dataOf, newMountFlags } from '../plan/mounts-flags.ts'

export type VolumeOptions = Readonly<Record<string, string>>

export type VolumeFiles =
  | { readonly kind: 'own' }
  /** `options` are those of a bind mount of it. */
  | { readonly kind: 'directory'; readonly path: string; readonly options: readonly string[] }
  | ({ readonly kind: 'file-system' } & FileSystem)

/** As mount(2) takes it. */
export interface FileSystem {
  readonly type: string
  readonly device: string
  readonly flags: number
  readonly data: string
}

const KNOWN = ['type', 'device', 'o']
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  device: ['type'],
  type: ['device'],
  o: ['device', 'type'],
}

/** Throws `invalid`, with docker's words, for what no volume can be. */
export function volumeFiles(name: string, options: VolumeOptions): VolumeFiles {
  const given = Object.keys(options)
  if (given.length === 0) return { kind: 'own' }
  checkKeys(name, given)
  const { type = '', device = '', o = '' } = options
  const words = o.split(',').filter((word) => word !== '')
  const parsed = parseMountOptions({ type: 'none', options: words })
  if (parsed.propagation.length > 0 || parsed.idmap !== undefined || parsed.remount || parsed.tmpcopyup)
    throw refusal(
      name,
      `o is ${JSON.stringify(o)}`,
      'how mounts spread, and whose the files are, is said for each container: --volume NAME:DIR:rslave',
    )
  if (parsed.bind === undefined) {
    const address = parsed.data.find(({ key }) => key === 'addr')?.value
    if (address !== undefined && !/^[\d.]+$|:/.test(address))
      throw refusal(name, `addr is ${address}`, 'the kernel asks no name server: give the address itself')
    return {
      kind: 'file-system',
      type,
      device,
      flags: newMountFlags(parsed),
      data: dataOf(parsed.data, type, undefined),
    }
  }
  if (!device.startsWith('/'))
    throw refusal(name, `device is ${JSON.stringify(device)}`, 'give the whole path of a directory')
  const recursion = parsed.bind.recursive ? 'rbind' : 'bind'
  return { kind: 'directory', path: device, options: [recursion, ...words.filter((word) => ATTRIBUTE.test(word))] }
}

/** Of a mount, whatever is mounted: a bind mount heeds no others. mount(8) */
const ATTRIBUTE = /^(?:ro|nosuid|nodev|noexec|noatime|nodiratime|strictatime|nosymfollow)$/

function checkKeys(name: string, given: readonly string[]): void {
  if (given.includes('size'))
    throw refusal(
      name,
      'quota size requested but no quota support',
      'a tmpfs can have one: --opt type=tmpfs --opt device=tmpfs --opt o=size=100m',
    )
  const unknown = given.find((key) => !KNOWN.includes(key))
  if (unknown !== undefined) throw refusal(name, `invalid option: "${unknown}"`, `there are ${KNOWN.join(', ')}`)
  const missing = given.flatMap((key) => NEEDED[key] ?? []).find((key) => !given.includes(key))
  if (missing !== undefined)
    throw refusal(name, `missing required option: "${missing}"`, 'type, device and o are those of mount(8)')
}

const refusal = (name: string, reason: string, hint: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: `make the volume ${name}`, reason, hint })
