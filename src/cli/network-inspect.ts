/** `coffer network inspect`: docker's document, without what coffer has not. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { sorted } from '../base/sorted.ts'
import { compileTemplate } from '../base/template.ts'
import { type Endpoint, networksOf, readConnection } from '../engine/connection.ts'
import { findContainer } from '../engine/containers.ts'
import { type Engine, isBox } from '../engine/place.ts'
import { leaseHolders } from '../network/members.ts'
import { BRIDGE_NAME, type NetworkRecord } from '../network/networks.ts'
import { type Command, eachOf, say } from './command.ts'
import type { GroupCommand } from './group.ts'
import { named } from './network-connect.ts'
import type { Session } from './open.ts'

const COMMAND = 'coffer network inspect'

const FLAGS: readonly Flag[] = [
  { name: 'format', short: 'f', type: 'string', value: 'TEMPLATE', help: 'json, or a template of Go' },
  { name: 'verbose', short: 'v', type: 'bool', help: 'as without: it says all that is known' },
]

const inspect: Command = (session, words) => {
  const given = parseFlags(words, FLAGS, COMMAND, { mixed: true })
  if (given.rest.length === 0) throw usage(COMMAND, 'it takes one network or more')
  const format = given.string('format')
  const template = format === undefined || format === 'json' ? undefined : compileTemplate(format)
  const found: object[] = []
  const status = eachOf(session, COMMAND, given.rest, (name) => {
    const document = describeNetwork(session, named(session, name))
    if (template === undefined) found.push(document)
    else say(session, `${template(document)}\n`)
  })
  if (template === undefined) say(session, `${JSON.stringify(found, null, format === 'json' ? 0 : 4)}\n`)
  return status
}

export const INSPECT: GroupCommand = {
  name: 'network inspect',
  operands: 'NETWORK...',
  summary: 'show all that is known of networks, as JSON',
  flags: FLAGS,
  run: inspect,
}

export function describeNetwork({ engine }: Session, network: NetworkRecord): object {
  const ids = [...new Set(leaseHolders(networksOf(engine), network.name))].sort()
  const containers = ids.flatMap((id) => {
    const endpoint = readConnection(engine, id)?.endpoints.find((one) => one.network === network.name)
    return endpoint === undefined ? [] : [[id, containerIn(nameOf(engine, id), endpoint)] as const]
  })
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: network.pools.length > 1,
    IPAM: {
      Driver: 'default',
      Options: {},
      Config: network.pools.map(({ subnet, gateway, range, reserved }) => ({
        Subnet: subnet,
        ...(range === undefined ? {} : { IPRange: range }),
        Gateway: gateway,
        ...(reserved === undefined ? {} : { AuxiliaryAddresses: reserved }),
      })),
    },
    Internal: network.isInternal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: Object.fromEntries(containers),
    Options: sorted({ ...(network.driver === 'bridge' ? { [BRIDGE_NAME]: network.device } : {}), ...network.options }),
    Labels: sorted(network.labels),
  }
}

const nameOf = (engine: Engine, id: string): string => (isBox(id) ? id : findContainer(engine, id).record.name)

function containerIn(name: string, { hardwareAddress, addresses }: Endpoint): object {
  const [four, six] = [false, true].map((isSix) => addresses.find(({ address }) => address.includes(':') === isSix))
  const text = (one: typeof four): string => (one === undefined ? '' : `${one.address}/${one.prefixLength}`)
  return {
    Name: name,
    EndpointID: '',
    MacAddress: hardwareAddress,
    IPv4Address: text(four),
    IPv6Address: text(six),
  }
}
