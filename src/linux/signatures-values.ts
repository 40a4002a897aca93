/** Single values of system calls as text: numbers with a meaning of their own, texts and bytes. Part of signatures-show.ts. */

import type { Pointer, Slot, Strings, Struct, Text } from './call.ts'
import { capabilityName } from './capabilities.ts'
import { signalName } from './signals.ts'
import { wordSet, wordsIn } from './signatures-words.ts'

/** A number of a kind that is not a set of words. */
export function numberText(kind: string, value: bigint): string {
  switch (kind) {
    case 'int':
    case 'size':
      return String(value)
    case 'fd':
      return value === 0xffffffffn ? '~0' : String(value)
    case 'dirfd':
      return value === -100n ? 'AT_FDCWD' : String(value)
    case 'hex':
      return `0x${BigInt.asUintN(64, value).toString(16)}`
    case 'mode':
      return octal(value)
    case 'filemode':
      return fileMode(value)
    case 'device':
      return device(Number(value))
    case 'signal':
      return value === 0n ? '0' : signalName(Number(value))
    case 'capability':
      return capabilityName(Number(value)) ?? String(value)
    case 'limit':
      return BigInt.asUintN(64, value) === ALL_ONES ? 'RLIM_INFINITY' : String(BigInt.asUintN(64, value))
    case 'ioprio':
      return ioPriority(Number(value))
    case 'ids':
      return value === 0n ? '[]' : String(value)
    default:
      return value === 0n ? 'NULL' : `0x${BigInt.asUintN(64, value).toString(16)}`
  }
}

const ALL_ONES = 0xffff_ffff_ffff_ffffn

const octal = (value: bigint): string => `0${BigInt.asUintN(32, value).toString(8).padStart(3, '0')}`

/** The one word of a set that `value` is. */
function word(set: string, value: number): string {
  const words = wordSet(set, 'x86_64')
  return words === undefined ? String(value) : wordsIn(BigInt(value), words, { obvious: true }).join('|')
}

function fileMode(value: bigint): string {
  const type = Number(value & 0xf000n)
  const mode = octal(value & 0xfffn)
  return type === 0 ? mode : `${word('file_type', type)}|${mode}`
}

/** `1:3`; kernel:include/linux/kdev_t.h new_decode_dev. */
function device(value: number): string {
  const major = (value & 0xfff00) >>> 8
  const minor = ((value & 0xff) | ((value >>> 12) & 0xfff00)) >>> 0
  return `${major}:${minor}`
}

/** The class is in the bits from 13 on: ioprio_set(2). */
const ioPriority = (value: number): string => `${word('ioprio_class', value >>> 13)}|${value & 0x1fff}`

export interface PointerOptions {
  readonly isComplete: boolean
  readonly slotText: (slot: Slot) => string
}

/** What is passed by address, as text. */
export function pointerText(kind: string, value: Pointer, options: PointerOptions): string {
  if (typeof value === 'string') return quote(value, options)
  if (value instanceof Uint8Array) return bytesText(kind, { struct: value, fields: [] }, options)
  if ('buffer' in value) return `&${value.buffer}`
  if ('text' in value) return quote(plainText(value, options), options)
  if ('strings' in value) return listText(kind, value, options)
  return bytesText(kind, value, options)
}

const plainText = ({ text }: Text, { slotText }: PointerOptions): string =>
  text.map((piece) => (typeof piece === 'string' ? piece : `<${slotText(piece)}>`)).join('')

const SHORT_TEXT = 64

function quote(text: string, { isComplete }: PointerOptions): string {
  const isShort = isComplete || text.length <= SHORT_TEXT
  const shown = isShort ? text : [...text.slice(0, SHORT_TEXT)].slice(0, -1).join('')
  return `${JSON.stringify(shown).replace(/\\u0000/g, '\\0')}${isShort ? '' : '…'}`
}

/** argv and envp; an environment is only counted, since it may hold what is nobody's business. */
function listText(kind: string, { strings }: Strings, options: PointerOptions): string {
  if (kind === 'environment' && !options.isComplete)
    return strings.length === 1 ? '1 variable' : `${strings.length} variables`
  const shown: string[] = []
  let length = 0
  for (const one of strings) {
    const text = quote(typeof one === 'string' ? one : plainText(one, options), options)
    length += text.length
    if (!options.isComplete && length > SHORT_TEXT && shown.length > 0) return `[${shown.join(', ')}, …]`
    shown.push(text)
  }
  return `[${shown.join(', ')}]`
}

function bytesText(kind: string, value: Struct, options: PointerOptions): string {
  const bytes = value.struct
  switch (kind) {
    case 'size':
    case 'count':
      return `<${bytes.length} bytes>`
    case 'characters':
      return quote(ascii(bytes.subarray(0, bytes.indexOf(0) < 0 ? bytes.length : bytes.indexOf(0))), options)
    case 'sigset':
      return signalSet(bytes)
    case 'cpus':
      return `[${rangesIn(bitsOf(bytes))}]`
    case 'ids':
      return `[${words(bytes).join(', ')}]`
    case 'capabilities':
      return capabilitySets(bytes)
    case 'sockaddr':
      return socketAddress(bytes)
    default:
      return netlinkText(bytes) ?? plainBytes(bytes, options)
  }
}

function plainBytes(bytes: Uint8Array, options: PointerOptions): string {
  if (bytes.length === 0) return '""'
  const isText = bytes.every((byte) => byte === 0 || byte === 9 || byte === 10 || (byte >= 32 && byte < 127))
  const hasWords = bytes.some((byte) => byte >= 32) || bytes.length <= 4
  if (isText && hasWords) return quote(ascii(bytes), options)
  return options.isComplete ? `<${hex(bytes)}>` : `<${bytes.length} ${bytes.length === 1 ? 'byte' : 'bytes'}>`
}

const ascii = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')

/** Two hexadecimal digits a byte. */
export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

function words(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: bytes.length >> 2 }, (_, index) => view.getUint32(index * 4, true))
}

function bitsOf(bytes: Uint8Array): readonly number[] {
  const bits: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) if (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) bits.push(bit)
  return bits
}

/** As in /proc/PID/status: `0-3,7`. proc_pid_status(5) "Cpus_allowed_list" */
function rangesIn(numbers: readonly number[]): string {
  const ranges: { readonly first: number; readonly last: number }[] = []
  for (const number of numbers) {
    const before = ranges[ranges.length - 1]
    if (before?.last === number - 1) ranges[ranges.length - 1] = { first: before.first, last: number }
    else ranges.push({ first: number, last: number })
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}

/** A set with almost all signals is written as what it lacks, `~[SIGKILL]`, as strace(1) does. */
function signalSet(bytes: Uint8Array): string {
  const bits = bitsOf(bytes)
  const names = (list: readonly number[]): string => `[${list.map((bit) => signalName(bit + 1)).join(' ')}]`
  if (bits.length <= bytes.length * 4) return names(bits)
  return `~${names(bitsOf(bytes.map((byte) => ~byte)))}`
}

/** capset(2) with version 3: two records of effective, permitted, inheritable; the second holds the bits from 32 on. */
function capabilitySets(bytes: Uint8Array): string {
  const all = words(bytes)
  const set = (index: number): string => {
    const bits = (BigInt(all[index + 3] ?? 0) << 32n) | BigInt(all[index] ?? 0)
    const names: string[] = []
    for (let bit = 0; bit < 64; bit++) if ((bits >> BigInt(bit)) & 1n) names.push(capabilityName(bit) ?? `bit ${bit}`)
    return names.length === 0 ? '0' : names.join('|')
  }
  const [effective, permitted, inheritable] = [set(0), set(1), set(2)]
  if (effective === permitted) return `{effective=permitted=${effective}, inheritable=${inheritable}}`
  return `{effective=${effective}, permitted=${permitted}, inheritable=${inheritable}}`
}

/** unix(7), ip(7), ipv6(7), netlink(7). */
function socketAddress(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const family = bytes.length < 2 ? 0 : view.getUint16(0, true)
  if (family === 1) {
    const name = ascii(bytes.subarray(2)).replace(/\0+$/, '')
    return JSON.stringify(name.startsWith('\0') ? `@${name.slice(1)}` : name)
  }
  if (family === 2 && bytes.length >= 8) return `${bytes.subarray(4, 8).join('.')}:${view.getUint16(2)}`
  if (family === 10 && bytes.length >= 24) {
    const words = Array.from({ length: 8 }, (_, index) => view.getUint16(8 + 2 * index).toString(16))
    return `[${words.join(':').replace(/(?:^|:)0(?::0)+(?::|$)/, '::')}]:${view.getUint16(2)}`
  }
  if (family === 16 && bytes.length >= 12) return `{AF_NETLINK, pid=${view.getUint32(4, true)}}`
  return `{${word('family', family)}, <${bytes.length} bytes>}`
}

/** The types of netlink messages, if the bytes are nothing but such messages: netlink(7). */
function netlinkText(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const shown: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.length - at < 16 ? 0 : view.getUint32(at, true)
    const flags = length < 16 ? 0 : view.getUint16(at + 6, true)
    if (length < 16 || length > bytes.length - at || (flags & 1) === 0) return undefined
    shown.push(netlinkType(view.getUint16(at + 4, true), length, flags))
    at += (length + 3) & ~3
  }
  return shown.length === 0 ? undefined : shown.join(' + ')
}

function netlinkType(type: number, length: number, flags: number): string {
  // Only the begin and the end of an nf_tables batch are as short as this: kernel:include/uapi/linux/netfilter/nfnetlink.h.
  if (length === 20 && (type === 16 || type === 17)) return type === 16 ? 'NFNL_MSG_BATCH_BEGIN' : 'NFNL_MSG_BATCH_END'
  const set = wordSet('netlink_flags', 'x86_64')
  const options = set === undefined ? [] : wordsIn(BigInt(flags & ~5), set, { obvious: true })
  return `{${word('netlink_type', type)}${options.length === 0 ? '' : `, ${options.join('|')}`}}`
}
