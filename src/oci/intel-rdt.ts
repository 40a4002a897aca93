/** Intel's Resource Director Technology: the share of cache and memory bandwidth, by way of resctrl. */

import { booleanOf, optionalSection, optionalString, type Section, stringsOf } from '../base/field.ts'
import { fieldOf, refuse, shown } from '../base/place.ts'

export interface IntelRdt {
  /** A directory of resctrl; undefined is one of the container's own, and `/` is the default group. */
  readonly closID?: string | undefined
  /** Lines for the `schemata` file, written after the two older fields. */
  readonly schemata: readonly string[]
  readonly l3CacheSchema?: string | undefined
  readonly memBwSchema?: string | undefined
  readonly enableMonitoring: boolean
}

/** Source: oci:runtime-spec/config-linux.md#intelrdt */
export function intelRdtOf(linux: Section): IntelRdt | undefined {
  const section = optionalSection(linux, 'intelRdt')
  if (section === undefined) return undefined
  return {
    closID: closIDOf(section),
    schemata: stringsOf(section, 'schemata'),
    l3CacheSchema: optionalString(section, 'l3CacheSchema'),
    memBwSchema: memBwSchemaOf(section),
    enableMonitoring: booleanOf(section, 'enableMonitoring'),
  }
}

function closIDOf(intelRdt: Section): string | undefined {
  const closID = optionalString(intelRdt, 'closID')
  if (closID === undefined || closID === '/') return closID
  if (closID === '.' || closID === '..' || /[/\n]/.test(closID)) {
    refuse(fieldOf(intelRdt.place, 'closID'), `is ${shown(closID)}, which is not the name of a directory`)
  }
  return closID
}

function memBwSchemaOf(intelRdt: Section): string | undefined {
  const schema = optionalString(intelRdt, 'memBwSchema')
  if (schema !== undefined && !/^MB:[^\n]*$/.test(schema)) {
    refuse(fieldOf(intelRdt.place, 'memBwSchema'), `is ${shown(schema)}`, 'it is one line that begins with MB:')
  }
  return schema
}
