/** netns: network namespaces by name, with the words of ip-netns(8). */

import { OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { architectureOf } from '../executor/embedded-call.ts'
import { readMounts } from '../observe/mounts.ts'
import { listPids, namespaceIdentity, readNamedNetworks } from '../observe/netns.ts'
import {
  NETNS_DIRECTORY,
  type NetnsExecRequest,
  netnsFile,
  planNetnsAdd,
  planNetnsDelete,
  planNetnsExec,
  planNetnsExecAll,
  planNetnsSet,
} from '../plan/netns.ts'
import { readNetnsId } from './netns-id.ts'
import { monitorNames } from './netns-monitor.ts'
import type { Caller, Group, Tool } from './tool.ts'
import { commandHere } from './words.ts'

const JSON_FLAG: Flag = { name: 'json', short: 'j', type: 'bool', help: 'as JSON' }

/** Throws `invalid` for what can be no file in the directory. */
function nameOf(given: Parsed, tool: string, index = 0): string {
  const name = given.rest[index]
  if (name === undefined) throw usage(tool, 'it takes a name', `${tool} NAME`)
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.length > 255)
    throw usage(tool, `the name is "${name}", and it has to be a file name: no slash, at most 255 bytes`)
  return name
}

function refuseMore(given: Parsed, tool: string, most: number): void {
  const more = given.rest[most]
  if (more !== undefined) throw usage(tool, `it takes no "${more}" behind the rest`)
}

/** A name that is there, or an error with those that are. */
function known({ files }: Caller, name: string, operation: string): string {
  if (files.status(netnsFile(name)) !== undefined) return name
  const names = readNamedNetworks(files, NETNS_DIRECTORY).map((one) => one.name)
  throw new OperationError({
    kind: 'missing',
    operation,
    reason: `no network namespace is called ${name}`,
    hint: names.length === 0 ? `make it: coffer netns add ${name}` : `there are: ${names.join(' ')}`,
    see: ['ip-netns(8)'],
  })
}

const hostOf = ({ native }: Caller): { readonly architecture: 'x86_64' | 'aarch64' } => ({
  architecture: architectureOf(native),
})

const add: Tool = {
  name: 'netns add',
  operands: 'NAME',
  summary: 'make a network namespace with a name',
  flags: [{ name: 'up', type: 'bool', help: 'switch its lo on' }],
  failureStatus: 1,
  does: {
    kind: 'plan',
    plan: (given, caller) => {
      refuseMore(given, 'coffer netns add', 1)
      const name = nameOf(given, 'coffer netns add')
      refuseTaken(caller, name)
      return planNetnsAdd({ name, up: given.bool('up') }, hostOf(caller))
    },
  },
}

function refuseTaken({ files }: Caller, name: string): void {
  if (files.status(netnsFile(name)) === undefined) return
  throw new OperationError({
    kind: 'conflict',
    operation: `add the network namespace ${name}`,
    reason: `${netnsFile(name)} is there already`,
    hint: `take another name, or coffer netns delete ${name}`,
  })
}

const attach: Tool = {
  name: 'netns attach',
  operands: 'NAME PID',
  summary: 'give the network namespace of a process a name',
  flags: [],
  failureStatus: 1,
  does: {
    kind: 'plan',
    plan: (given, caller) => {
      const tool = 'coffer netns attach'
      refuseMore(given, tool, 2)
      const name = nameOf(given, tool)
      refuseTaken(caller, name)
      return planNetnsAdd({ name, up: false, pid: pidOf(given.rest[1], tool) }, hostOf(caller))
    },
  },
}

function pidOf(word: string | undefined, tool: string): number {
  if (word !== undefined && /^[1-9]\d*$/.test(word)) return Number(word)
  throw usage(tool, word === undefined ? 'it takes a pid' : `the pid is "${word}", which is no number`)
}

const remove: Tool = {
  name: 'netns delete',
  operands: 'NAME...',
  summary: 'remove names; a namespace goes when its last process and file are gone',
  flags: [{ name: 'all', short: 'a', type: 'bool', help: 'remove all names' }],
  failureStatus: 1,
  does: {
    kind: 'plan',
    plan: (given, caller) => {
      const tool = 'coffer netns delete'
      const names = given.bool('all')
        ? readNamedNetworks(caller.files, NETNS_DIRECTORY).map(({ name }) => name)
        : (given.rest.length === 0 ? [''] : given.rest).map((_, index) =>
            known(caller, nameOf(given, tool, index), `delete the network namespace ${given.rest[index]}`),
          )
      return planNetnsDelete(names, hostOf(caller))
    },
  },
}

const exec: Tool = {
  name: 'netns exec',
  operands: 'NAME [PROGRAM [ARGUMENT...]]',
  summary: 'run a program in a network namespace',
  flags: [{ name: 'all', short: 'a', type: 'bool', help: 'in each of them, one after the other; without NAME' }],
  details: `What is in /etc/netns/NAME lies over /etc for the program: a resolv.conf of its own, for instance.
Firewall rules are of the namespace in which iptables or nft make them:

  coffer netns exec blue iptables -A INPUT -p tcp --dport 80 -j ACCEPT`,
  failureStatus: 1,
  does: {
    kind: 'plan',
    plan: (given, caller) => {
      if (given.bool('all'))
        return planNetnsExecAll(
          readNamedNetworks(caller.files, NETNS_DIRECTORY).map(({ name }) => execRequest(caller, name, given.rest)),
        )
      const name = nameOf(given, 'coffer netns exec')
      return planNetnsExec(
        execRequest(caller, known(caller, name, `run in the network namespace ${name}`), given.rest.slice(1)),
      )
    },
  },
}

/** A sysfs that is read-only here shall be so there. */
const execRequest = (caller: Caller, name: string, words: readonly string[]): NetnsExecRequest => ({
  name,
  etc: caller.files.list(`/etc/netns/${name}`) ?? [],
  isSysReadonly:
    readMounts(caller.files)?.some(({ mountPoint, options }) => mountPoint === '/sys' && options.includes('ro')) ===
    true,
  command: commandHere(caller, words),
})

const set: Tool = {
  name: 'netns set',
  operands: 'NAME NUMBER|auto',
  summary: 'give a namespace a number, by which links of this one name it',
  flags: [],
  failureStatus: 1,
  does: {
    kind: 'plan',
    plan: (given, caller) => {
      const tool = 'coffer netns set'
      refuseMore(given, tool, 2)
      const word = given.rest[1] ?? ''
      if (!/^(auto|\d+)$/.test(word)) throw usage(tool, `the number is "${word}"`, `${tool} NAME 7, or auto`)
      const name = nameOf(given, tool)
      return planNetnsSet(known(caller, name, `give ${name} a number`), word === 'auto' ? -1 : Number(word))
    },
  },
}

const list: Tool = {
  name: 'netns list',
  operands: '',
  summary: 'list the names, with the numbers of those that have one',
  flags: [JSON_FLAG],
  failureStatus: 1,
  does: {
    kind: 'print',
    run: (given, caller) => {
      const rows = readNamedNetworks(caller.files, NETNS_DIRECTORY).map(({ name, identity }) => {
        const id = identity === undefined ? undefined : readNetnsId(caller.native, netnsFile(name))
        return { name, ...(typeof id === 'number' ? { id } : {}) }
      })
      const lines = rows.map(({ name, id }) => `${name}${id === undefined ? '' : ` (id: ${id})`}\n`)
      caller.print(given.bool('json') ? `${JSON.stringify(rows)}\n` : lines.join(''))
      return 0
    },
  },
}

const identify: Tool = {
  name: 'netns identify',
  operands: '[PID]',
  summary: 'print the names of the network namespace of a process, or of this one',
  flags: [],
  failureStatus: 1,
  does: {
    kind: 'print',
    run: (given, caller) => {
      const [word] = given.rest
      const pid = word === undefined || word === 'self' ? 'self' : pidOf(word, 'coffer netns identify')
      if (caller.files.status(`/proc/${pid}`) === undefined)
        throw new OperationError({
          kind: 'missing',
          operation: `identify the network namespace of process ${pid}`,
          reason: 'there is no such process',
          hint: 'ps -e lists them',
        })
      const identity = namespaceIdentity(caller.files, pid, 'net')
      const names = readNamedNetworks(caller.files, NETNS_DIRECTORY).filter((one) => one.identity === identity)
      if (identity !== undefined) caller.print(names.map(({ name }) => `${name}\n`).join(''))
      return 0
    },
  },
}

const pids: Tool = {
  name: 'netns pids',
  operands: 'NAME',
  summary: 'print the processes in a network namespace',
  flags: [],
  failureStatus: 1,
  does: {
    kind: 'print',
    run: (given, caller) => {
      const name = known(caller, nameOf(given, 'coffer netns pids'), 'list the processes')
      const identity = caller.files.status(netnsFile(name))?.identity
      const found = listPids(caller.files).filter((pid) => namespaceIdentity(caller.files, pid, 'net') === identity)
      caller.print(found.map((pid) => `${pid}\n`).join(''))
      return 0
    },
  },
}

const monitor: Tool = {
  name: 'netns monitor',
  operands: '',
  summary: 'print names as they are added and deleted, until interrupted',
  flags: [],
  failureStatus: 1,
  does: { kind: 'print', run: (_, caller) => monitorNames(caller, NETNS_DIRECTORY) },
}

export const netnsGroup: Group = {
  name: 'netns',
  summary: 'network namespaces by name, shared with ip netns',
  tools: [add, attach, remove, exec, list, identify, pids, set, monitor],
  aliases: { a: 'add', del: 'delete', d: 'delete', ls: 'list', show: 'list', lst: 'list', e: 'exec' },
  fallback: 'list',
}
