/** Calls on files as shell commands. Part of script.ts. */

import type { Argument, Call } from '../linux/call.ts'
import {
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_TRUNC,
  RESOLVE_IN_ROOT,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
} from '../linux/files.ts'
import { wordSet, wordsIn } from '../linux/signatures-words.ts'
import type { Step } from '../plan/plan.ts'
import {
  builtin,
  commands,
  NONE,
  numberOf,
  pathOf,
  pathOfPlace,
  placeOf,
  type Quoted,
  SILENT,
  type State,
  type Translation,
  textOf,
  variable,
  word,
  wordAt,
} from './script-state.ts'

/** Undefined if the call is not one on files. */
export function fileCommands(step: Step, state: State): Translation | undefined {
  const { call } = step
  switch (call.name) {
    case 'openat':
      return open(step, state, numberOf(call.args[2]))
    case 'openat2':
      return open(inRoot(step), state, wordAt(call.args[2], 0))
    case 'write':
    case 'pwrite64':
    case 'sendto':
      return write(call, state)
    case 'read':
      return read(step, state)
    case 'socketpair':
      return socketpair(step, state)
    case 'ioctl':
      return interfaceUp(call)
    case 'chdir':
    case 'fchdir':
      return changeDirectory(call, state)
    case 'sendfile':
      return copy(call, state)
    case 'close':
    case 'close_range':
    case 'dup3':
    case 'faccessat2':
    case 'fcntl':
    case 'fstatfs':
    case 'getcwd':
    case 'rt_sigprocmask':
    case 'socket':
    case 'statx':
      return SILENT
    default:
      return nodeCommands(step, state) ?? ownerCommands(call, state)
  }
}

/** With RESOLVE_IN_ROOT no `..` leads above the directory, and `..` alone is the directory itself: openat2(2). */
function inRoot(step: Step): Step {
  const [directory, path, how, size] = step.call.args
  const isInRoot = (wordAt(how, 16) & RESOLVE_IN_ROOT) !== 0
  if (!isInRoot || typeof path !== 'string' || directory === undefined || how === undefined) return step
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return { ...step, call: { ...step.call, args: [directory, parts.join('/'), how, size ?? 0] } }
}

function open({ call, into }: Step, state: State, flags: number): Translation {
  const path = pathOf(state, call.args[0], call.args[1])
  if (path === undefined) return NONE
  if (into !== undefined) state.places.set(into.slot, { kind: 'path', path, appends: (flags & O_APPEND) !== 0 })
  if (flags & O_CREAT) return builtin(`: ${flags & O_TRUNC ? '>' : '>>'} ${word(path)}`)
  return { kind: 'test', test: `[ ${(flags & O_DIRECTORY.x86_64) === 0 ? '-e' : '-d'} ${word(path)} ]` }
}

function write({ args }: Call, state: State): Translation {
  const text = textOf(state, args[1])
  const place = placeOf(state, args[0])
  if (text === undefined || place === undefined) return NONE
  if (place.kind === 'end') return builtin(`printf %s ${word(text)} >&"$${place.peer}"`)
  const path = pathOfPlace(place)
  if (path === undefined) return NONE
  const appends = place.kind === 'path' && place.appends
  return builtin(`${print(text, path)} ${appends ? '>>' : '>'} ${word(path)}`)
}

/** For the kernel's own files a newline more makes no difference, and `echo` is what everybody types. */
function print(text: Quoted, path: Quoted): string {
  const line = text.endsWith('\n') ? text.slice(0, -1) : text
  const isLine = !line.includes('\n') && (line !== text || /^\/(proc|sys)\//.test(path))
  return isLine && !line.startsWith('-') ? `echo ${word(line)}` : `printf %s ${word(text)}`
}

/** A fifo does not tell that nobody writes to it any more, so the end of a file is not waited for. */
function read({ call, check }: Step, state: State): Translation {
  const place = placeOf(state, call.args[0])
  if (place?.kind !== 'end') return place === undefined ? NONE : SILENT
  if (check !== undefined && 'result' in check) return NONE
  const sizeBytes = numberOf(call.args[2])
  if (sizeBytes === 1) return builtin(`read -r -N 1 turn <&"$${place.own}"`)
  return commands(`dd bs=${sizeBytes} count=1 status=none <&"$${place.own}" > /dev/null`)
}

function copy({ args }: Call, state: State): Translation {
  const [to, from] = args.map((fd) => pathOf(state, fd, ''))
  return to === undefined || from === undefined ? NONE : commands(`cat ${word(from)} > ${word(to)}`)
}

function socketpair({ keep = [] }: Step, state: State): Translation {
  const [first, second] = keep.map(({ slot }) => slot.slot)
  if (first === undefined || second === undefined) return NONE
  const [a, b] = [variable(first), variable(second)]
  state.places.set(first, { kind: 'end', own: a, peer: b })
  state.places.set(second, { kind: 'end', own: b, peer: a })
  return commands(
    'fifos=$(mktemp -d)',
    'mkfifo "$fifos/1" "$fifos/2"',
    `exec {${a}}<>"$fifos/1" {${b}}<>"$fifos/2"`,
    'rm -r "$fifos"',
  )
}

/** netdevice(7) */
function interfaceUp({ args }: Call): Translation {
  const [, request, interfaceBytes] = args
  if (request !== SIOCSIFFLAGS || !(interfaceBytes instanceof Uint8Array)) return NONE
  const name = String.fromCharCode(...interfaceBytes.subarray(0, 16)).replace(/\0.*$/, '')
  return commands(`ip link set ${word(name)} ${wordAt(interfaceBytes, 16) & 1 ? 'up' : 'down'}`)
}

const SIOCSIFFLAGS = 0x8914

function changeDirectory({ name, args }: Call, state: State): Translation {
  const place = placeOf(state, args[0])
  const path = name === 'chdir' ? textOf(state, args[0]) : place === undefined ? undefined : pathOfPlace(place)
  if (path === undefined) return NONE
  state.cwd = path
  return builtin(`cd ${word(path)}`)
}

/** Calls that make, name and remove files. */
function nodeCommands({ call, tolerate = [] }: Step, state: State): Translation | undefined {
  const { name, args } = call
  switch (name) {
    case 'mkdirat': {
      const [option, isExpected] = [modeOption(args[2], 0o755), tolerate.includes('EEXIST')]
      return onPath(state, args, (path) => `mkdir ${isExpected ? '-p ' : ''}${option}${path}`)
    }
    case 'mknodat':
      return onPath(state, args, (path) => makeNode(path, numberOf(args[2]), args[3]))
    case 'symlinkat': {
      const target = textOf(state, args[0])
      return target === undefined ? NONE : onPath(state, args.slice(1), (path) => `ln -s ${word(target)} ${path}`)
    }
    case 'unlinkat': {
      const file = tolerate.includes('ENOENT') ? 'rm -f' : 'rm'
      const program = numberOf(args[2]) & AT_REMOVEDIR ? 'rmdir' : file
      return onPath(state, args, (path) => `${program} ${path}`)
    }
    case 'renameat2': {
      const to = pathOf(state, args[2], args[3])
      return to === undefined ? NONE : onPath(state, args, (path) => `mv ${path} ${word(to)}`)
    }
    case 'linkat': {
      const to = pathOf(state, args[2], args[3])
      return to === undefined ? NONE : onPath(state, args, (path) => `ln ${path} ${word(to)}`)
    }
    default:
      return undefined
  }
}

function onPath(state: State, args: readonly (Argument | undefined)[], command: (path: string) => string): Translation {
  const path = pathOf(state, args[0], args[1])
  return path === undefined ? NONE : commands(command(word(path)))
}

function modeOption(mode: Argument | undefined, usual: number): string {
  const number = numberOf(mode) & 0o7777
  return number === usual || number === 0o777 ? '' : `-m ${octal(number)} `
}

const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`

function makeNode(path: string, mode: number, device: Argument | undefined): string {
  const type = mode & S_IFMT
  const option = `-m ${octal(mode & 0o7777)}`
  if (type === S_IFIFO) return `mkfifo ${option} ${path}`
  if (type !== S_IFCHR && type !== S_IFBLK) return `install ${option} /dev/null ${path}`
  const number = numberOf(device)
  const major = (number & 0xfff00) >>> 8
  const minor = (number & 0xff) | ((number >>> 12) & 0xfff00)
  return `mknod ${option} ${path} ${type === S_IFCHR ? 'c' : 'b'} ${major} ${minor}`
}

/** Calls that change what a file is like, and the few settings that are not files. */
function ownerCommands({ name, args }: Call, state: State): Translation | undefined {
  switch (name) {
    case 'fchownat': {
      const link = numberOf(args[4]) & AT_SYMLINK_NOFOLLOW ? '-h ' : ''
      return onPath(state, args, (path) => `chown ${link}${owner(args[2], args[3])} ${path}`)
    }
    case 'fchown':
      return onPath(state, [args[0], ''], (path) => `chown ${owner(args[1], args[2])} ${path}`)
    case 'fchmodat':
    case 'fchmodat2':
      return onPath(state, args, (path) => `chmod ${octal(numberOf(args[2]))} ${path}`)
    case 'fchmod':
      return onPath(state, [args[0], ''], (path) => `chmod ${octal(numberOf(args[1]))} ${path}`)
    case 'ftruncate':
      return onPath(state, [args[0], ''], (path) => `truncate -s ${numberOf(args[1])} ${path}`)
    case 'umask':
      return builtin(`umask ${octal(numberOf(args[0]))}`)
    case 'sethostname':
    case 'setdomainname': {
      const text = textOf(state, args[0])
      if (text === undefined) return NONE
      return commands(`${name === 'sethostname' ? 'hostname' : 'domainname'} ${word(text)}`)
    }
    case 'kill':
    case 'pidfd_send_signal':
      return sendSignal(args, state)
    default:
      return undefined
  }
}

/** -1 leaves the owner or the group as it is. */
const owner = (uid: Argument | undefined, gid: Argument | undefined): string =>
  [uid, gid].map((id) => (id === -1 ? '' : String(numberOf(id)))).join(':')

function sendSignal([pid, signal]: readonly Argument[], state: State): Translation {
  const place = placeOf(state, pid)
  const target = place?.kind === 'process' ? place.pid : typeof pid === 'number' ? String(pid) : undefined
  return target === undefined ? NONE : builtin(`kill -${numberOf(signal)} ${word(target)}`)
}

/** The names of the flags that a number has, in the words of a set. */
export function flagNames(set: string, value: number): readonly string[] {
  const words = wordSet(set, 'x86_64')
  return words === undefined ? [] : wordsIn(BigInt(value >>> 0), words, { obvious: true })
}
