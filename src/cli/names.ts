/** `--add-host`, `--dns` and their like: what the container's files say of names. */

import { usage } from '../base/flags.ts'
import { HOST_GATEWAY } from '../engine/container-files.ts'
import { findContainer, withoutSlash } from '../engine/containers.ts'
import type { ContainerLink, ContainerNames, Intent } from '../engine/intent.ts'
import type { ContainerRecord } from '../engine/record.ts'
import { isNamed } from './network-flags.ts'
import type { Source } from './source.ts'
import { type Asked, wrong } from './values.ts'

export interface NamesRequest {
  /** Of the container. */
  readonly directory: string
  readonly source: Pick<Source, 'root'>
  readonly namespaces: Intent['namespaces']
}

/** A container of an image has files of its own; one of a directory, or of this machine, if something is asked of them or a network has names. */
export function namesOf(asked: Asked, { directory, source, namespaces }: NamesRequest): ContainerNames | undefined {
  const { given } = asked
  const names: ContainerNames = {
    directory,
    hosts: given.list('add-host').map((word) => hostOf(asked, word)),
    servers: given.list('dns').map((word) => addressOf(asked, 'dns', word)),
    search: given.list('dns-search'),
    options: [...given.list('dns-option'), ...given.list('dns-opt')],
  }
  const links = linksOf(asked)
  const isAsked =
    links.length > 0 || [names.hosts, names.servers, names.search, names.options].some(({ length }) => length > 0)
  const needsThem = isAsked || source.root.kind === 'layers' || isNamed(asked) || given.isSet('egress')
  if (namespaces.mount.kind !== 'private' || !needsThem) return undefined
  const other = isAsked ? undefined : joinedContainer(asked)?.intent.names
  if (other === undefined) return links.length === 0 ? names : { ...names, links }
  return { ...other, isBorrowed: true }
}

/** `CONTAINER[:ALIAS]`, of one that is there. */
function linksOf(asked: Asked): readonly ContainerLink[] {
  const words = asked.given.list('link')
  if (words.length === 0) return []
  const network = [...asked.given.list('network'), ...asked.given.list('net')].find((word) =>
    /^(?:host|none|container:|ns:)/.test(word),
  )
  if (network !== undefined)
    throw usage(
      asked.command,
      `conflicting options: ${network.replace(/:.*/, '')} type networking can't be used with links: links are only supported for user-defined networks`,
    )
  const hinders = asked.given.isSet('egress')
    ? '--egress'
    : asked.session.engine.host().isRootless
      ? 'no root'
      : undefined
  if (hinders !== undefined)
    throw usage(asked.command, `with ${hinders} a container has no neighbours that --link could name`)
  return words.map((word) => {
    const [, name = '', alias = name] = /^([^:]+)(?::([^:]+))?$/.exec(word) ?? []
    if (name === '' || !/^[\w.-]+$/.test(withoutSlash(alias)))
      throw wrong(asked, 'link', word, 'write it like CONTAINER:ALIAS')
    return { id: findContainer(asked.session.engine, name).record.id, alias: withoutSlash(alias) }
  })
}

/** The one whose network it joins: as docker has it, it is called as that one, and finds the same names. */
export function joinedContainer({ given, session }: Asked): ContainerRecord | undefined {
  const [word = ''] = [...given.list('network'), ...given.list('net')]
  return word.startsWith('container:') ? findContainer(session.engine, word.slice(10)).record : undefined
}

/** `NAME:ADDRESS` or `NAME=ADDRESS`, or `host-gateway` for an address; an address of IPv6 may stand in brackets. */
function hostOf(asked: Asked, word: string): ContainerNames['hosts'][number] {
  const at = word.search(/[:=]/)
  if (at < 1) throw wrong(asked, 'add-host', word, 'bad format for add-host: write it like NAME:ADDRESS')
  const address = word.slice(at + 1).replace(/^\[(.*)\]$/, '$1')
  if (address === HOST_GATEWAY) return { name: word.slice(0, at), address }
  return { name: word.slice(0, at), address: addressOf(asked, 'add-host', address) }
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/

function addressOf(asked: Asked, flag: string, word: string): string {
  if (IPV4.test(word) || (word.includes(':') && /^[0-9a-fA-F:.]+$/.test(word))) return word
  throw wrong(
    asked,
    flag,
    word,
    flag === 'dns' ? `${word} is not an ip address` : `invalid IP address in ${flag}: ${word}`,
  )
}
