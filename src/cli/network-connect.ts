/** `coffer network connect` and `disconnect`: a container in one network more or less, be it running or not. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { networksOf } from '../engine/connection.ts'
import { networkNamed } from '../engine/container-network.ts'
import { tellNetwork } from '../engine/events.ts'
import { connectNetwork, disconnectNetwork } from '../engine/network-change.ts'
import { DEFAULT_NETWORK, findNetwork, type NetworkRecord } from '../network/networks.ts'
import { type Command, findMended } from './command.ts'
import type { GroupCommand } from './group.ts'
import { addressOf, aliasesOf } from './network-flags.ts'
import type { Session } from './open.ts'
import type { Asked } from './values.ts'

const CONNECT_FLAGS: readonly Flag[] = [
  { name: 'alias', type: 'list', value: 'NAME', help: 'another name by which others in it find the container' },
  { name: 'ip', type: 'string', value: 'ADDRESS', help: 'its address' },
  { name: 'ip6', type: 'string', value: 'ADDRESS', help: 'its address of IPv6' },
  { name: 'driver-opt', type: 'list', help: '', refused: 'a way into a network has no options' },
  { name: 'gw-priority', type: 'int', help: '', refused: 'the network that it was connected to first leads out' },
  { name: 'link', type: 'list', help: '', refused: 'it is said when the container is made: coffer run --link' },
  { name: 'link-local-ip', type: 'list', help: '', refused: 'an address of a network is given with --ip' },
]

const connect: Command = (session, words) => {
  const command = 'coffer network connect'
  const asked: Asked = { command, given: parseFlags(words, CONNECT_FLAGS, command, { mixed: true }), session }
  const { given } = asked
  const [name, text, ...others] = given.rest
  if (name === undefined || text === undefined || others.length > 0)
    throw usage(command, 'it takes a network and a container')
  const network = named(session, name).name
  const { id } = findMended(session, text).record
  connectNetwork(session.engine, id, {
    network,
    address: addressOf(asked, 'ip', given.string('ip')),
    address6: addressOf(asked, 'ip6', given.string('ip6')),
    aliases: aliasesOf(asked, network, given.list('alias')),
  })
  tellNetwork(session.engine, network, 'connect', id)
  return 0
}

export const CONNECT: GroupCommand = {
  name: 'network connect',
  operands: 'NETWORK CONTAINER',
  summary: 'put a container into a network',
  flags: CONNECT_FLAGS,
  run: connect,
}

const DISCONNECT_FLAGS: readonly Flag[] = [
  { name: 'force', short: 'f', type: 'bool', help: 'as without: nothing else could keep it there' },
]

const disconnect: Command = (session, words) => {
  const command = 'coffer network disconnect'
  const { rest } = parseFlags(words, DISCONNECT_FLAGS, command, { mixed: true })
  const [name, text, ...others] = rest
  if (name === undefined || text === undefined || others.length > 0)
    throw usage(command, 'it takes a network and a container')
  const { id } = findMended(session, text).record
  const network = named(session, name).name
  disconnectNetwork(session.engine, id, network)
  tellNetwork(session.engine, network, 'disconnect', id)
  return 0
}

export const DISCONNECT: GroupCommand = {
  name: 'network disconnect',
  operands: 'NETWORK CONTAINER',
  summary: 'take a container out of a network',
  flags: DISCONNECT_FLAGS,
  run: disconnect,
}

/** The default one is made when it is first wanted. */
export const named = ({ engine }: Session, text: string): NetworkRecord =>
  text === DEFAULT_NETWORK ? networkNamed(engine, text) : findNetwork(networksOf(engine), text)
