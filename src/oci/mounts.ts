/** What is mounted into a container, besides its root. The words of `options` are read by mount-options.ts. */

import { listOf, optionalString, requiredString, type Section, sectionOf, stringsOf } from '../base/field.ts'
import { fieldOf, type Place, refuse } from '../base/place.ts'
import { type IdMapping, idMappingsOf } from './id-mappings.ts'

/** Mounts happen in the order of the list. */
export interface Mount {
  /** Absolute, in the container. */
  readonly destination: string
  /** A file system of the kernel; absent or without meaning for a bind mount. */
  readonly type?: string | undefined
  /** For a bind mount a path of the host, if relative then below the bundle. */
  readonly source?: string | undefined
  readonly options: readonly string[]
  /** For an idmapped mount: its own mappings, both or none. */
  readonly uidMappings: readonly IdMapping[]
  readonly gidMappings: readonly IdMapping[]
}

/** Source: oci:runtime-spec/config.md#mounts */
export const mountsOf = (config: Section): readonly Mount[] => listOf(config, 'mounts', parseMount)

function parseMount(value: unknown, place: Place): Mount {
  const section = sectionOf(value, place)
  const mount = {
    destination: destinationOf(section),
    type: optionalString(section, 'type'),
    source: optionalString(section, 'source'),
    options: stringsOf(section, 'options'),
    uidMappings: idMappingsOf(section, 'uidMappings'),
    gidMappings: idMappingsOf(section, 'gidMappings'),
  }
  checkKind(mount, place)
  checkMappings(mount, place)
  return mount
}

// The specification keeps relative destinations alive for old tools, and has them start at the root.
function destinationOf(mount: Section): string {
  const destination = requiredString(mount, 'destination')
  return destination.startsWith('/') ? destination : `/${destination}`
}

const WITHOUT_TYPE = /^(?:remount|r?(?:private|shared|slave|unbindable))$/

/** True for a mount that shows what exists already at another place. */
export const isBind = ({ type, options }: Pick<Mount, 'type' | 'options'>): boolean =>
  // "bind" is no file system: crun takes it for the option, while runc asks the kernel, which has none such.
  type === 'bind' || options.includes('bind') || options.includes('rbind')

function checkKind(mount: Mount, place: Place): void {
  if (isBind(mount)) {
    if (mount.source === undefined && !mount.options.includes('remount')) {
      refuse(fieldOf(place, 'source'), 'is missing, and is what to bind')
    }
    return
  }
  if (mount.type === undefined && !mount.options.some((word) => WITHOUT_TYPE.test(word))) {
    refuse(fieldOf(place, 'type'), 'is missing', 'name a file system, or give the option "bind" or "rbind"')
  }
}

function checkMappings({ uidMappings, gidMappings }: Mount, place: Place): void {
  if (uidMappings.length === 0 && gidMappings.length > 0) {
    refuse(fieldOf(place, 'uidMappings'), 'is missing, while gidMappings is there')
  }
  if (gidMappings.length === 0 && uidMappings.length > 0) {
    refuse(fieldOf(place, 'gidMappings'), 'is missing, while uidMappings is there')
  }
}
