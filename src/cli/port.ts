/** `coffer port`: where this machine has the ports of a container. */

import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { readConnection } from '../engine/connection.ts'
import { publishedPorts } from '../engine/inspect-network.ts'
import { type Command, findMended, say } from './command.ts'

const COMMAND = 'coffer port'

export const port: Command = (session, words) => {
  const [text, wanted, ...others] = parseFlags(words, [], COMMAND, { mixed: true }).rest
  if (text === undefined || others.length > 0) throw usage(COMMAND, 'it takes a container, and a port of it')
  const [, number, protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(wanted ?? '0') ?? []
  if (number === undefined) throw usage(COMMAND, `"${wanted}" is no port`, 'write it like 80 or 53/udp')
  const connection = readConnection(session.engine, findMended(session, text).record.id)
  const all = connection === undefined ? [] : publishedPorts(connection)
  const shown = all.filter(({ inside }) => wanted === undefined || inside === `${Number(number)}/${protocol}`)
  if (wanted !== undefined && shown.length === 0)
    throw new OperationError({
      kind: 'missing',
      operation: `find port ${wanted} of ${text}`,
      reason: `No public port '${number}/${protocol}' published for ${text}`,
    })
  const lines = shown.map(({ inside, outside }) =>
    wanted === undefined ? `${inside} -> ${outside}\n` : `${outside}\n`,
  )
  say(session, lines.sort().join(''))
  return 0
}
