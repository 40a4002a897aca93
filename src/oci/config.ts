/**
 * A bundle's config.json, read once: from here on it is a precise type, and nothing checks it again.
 *
 * Properties that runtime-spec 1.3 does not have are ignored, as it demands (config.md#extensibility). Values that it does not allow, and
 * allowed ones that coffer does not support, are refused with the path of the field (#valid-values).
 */

import { booleanOf, optionalSection, optionalString, requiredString, type Section, sectionOf } from '../base/field.ts'
import { parseJson } from '../base/json.ts'
import { entryOf, fieldOf, refuse, refuseType, refuseUnsupported } from '../base/place.ts'
import { checkConfig } from './config-rules.ts'
import { type Hooks, hooksOf } from './hooks.ts'
import { type Linux, linuxOf } from './linux.ts'
import { type Mount, mountsOf } from './mounts.ts'
import { type Process, processOf } from './process.ts'
import { ociVersionOf } from './version.ts'

/** Names and nesting are those of the document. A list that is absent is empty; a section that is absent is undefined. */
export interface Config {
  readonly ociVersion: string
  readonly root: Root
  readonly process: Process
  readonly hostname?: string | undefined
  readonly domainname?: string | undefined
  readonly mounts: readonly Mount[]
  readonly hooks: Hooks
  readonly annotations: Annotations
  readonly linux: Linux
}

export interface Root {
  /** If relative, then below the bundle. */
  readonly path: string
  readonly readonly: boolean
}

/** Any words of the user's. Go over it with Object.keys: `annotations.toString` is not an annotation. */
export type Annotations = { readonly [key: string]: string }

const DOCUMENT = 'config.json'

/** Reads the text of a document; 64-bit integers keep every digit. Throws `invalid` and `unsupported`. */
export const readConfig = (text: string, document: string = DOCUMENT): Config =>
  parseConfig(parseJson(text, document), document)

/** The same for JSON that is parsed already; an integer beyond 2^53 has to be a bigint. */
export function parseConfig(json: unknown, document: string = DOCUMENT): Config {
  const section = sectionOf(json, `${document}: `)
  const linux = optionalSection(section, 'linux')
  refuseOtherPlatforms(section, linux !== undefined)
  const config: Config = {
    ociVersion: ociVersionOf(section),
    root: rootOf(section),
    process: processOf(sectionOf(section.json.process, fieldOf(section.place, 'process'))),
    hostname: optionalString(section, 'hostname'),
    domainname: optionalString(section, 'domainname'),
    mounts: mountsOf(section),
    hooks: hooksOf(section),
    annotations: annotationsOf(section),
    linux: linuxOf(linux ?? { json: {}, place: fieldOf(section.place, 'linux') }),
  }
  checkConfig(config, section.place)
  return config
}

function rootOf(config: Section): Root {
  const section = sectionOf(config.json.root, fieldOf(config.place, 'root'))
  return { path: requiredString(section, 'path'), readonly: booleanOf(section, 'readonly') }
}

const NO_ANNOTATIONS: Annotations = {}

function annotationsOf(config: Section): Annotations {
  const section = optionalSection(config, 'annotations')
  if (section === undefined) return NO_ANNOTATIONS
  for (const key of Object.keys(section.json)) {
    if (key === '') refuse(section.place, 'has an empty key')
    const value = section.json[key]
    if (typeof value !== 'string') refuseType(value, entryOf(section.place, key), 'a string')
  }
  return section.json as Annotations
}

/**
 * Platform sections say which platform a document is for: `linux` and `windows` together is Windows' way to run a Linux container, and a
 * Linux runtime ignores its part. A document without `linux` but with another is for that other platform, and is refused. `vm` is
 * different: it is valid beside `linux`, and a container asked to be alone in a virtual machine must not run without one.
 *
 * Source: oci:runtime-spec/config.md#platform-specific-configuration, #valid-values
 */
function refuseOtherPlatforms(config: Section, hasLinux: boolean): void {
  const vm = optionalSection(config, 'vm')
  if (vm !== undefined && Object.keys(vm.json).length > 0) {
    refuseUnsupported(vm.place, 'asks for a virtual machine, and coffer makes containers without one')
  }
  if (hasLinux) return
  for (const platform of ['windows', 'solaris', 'freebsd', 'zos']) {
    const section = optionalSection(config, platform)
    if (section !== undefined && Object.keys(section.json).length > 0) {
      const hint = 'coffer runs Linux containers; give the document a linux section'
      refuseUnsupported(section.place, 'makes this a document for another platform', hint)
    }
  }
}
