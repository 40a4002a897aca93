/**
 * Messages of the domain name system, as far as coffer speaks of names: one question, and answers that are addresses.
 *
 * Source: RFC 1035 4.1. A header of 12 bytes (id, flags, and how many questions, answers, authorities and additional records follow), the
 * question (name, type, class), and records (name, type, class, time to live, length, bytes). What comes from others may be anything: a reader
 * here answers undefined, and reads each byte once at most (SECURITY-CHECKS S240).
 */

export const TYPE_A = 1
export const TYPE_AAAA = 28
const CLASS_IN = 1

export const NO_ERROR = 0
export const FORMAT_ERROR = 1
export const SERVER_FAILURE = 2
/** There is no such name. */
export const NAME_ERROR = 3
export const NOT_IMPLEMENTED = 4

const HEADER_BYTES = 12
const RESPONSE = 0x8000
const OPCODE = 0x7800
const RECURSION_DESIRED = 0x0100
const RECURSION_AVAILABLE = 0x0080
const MAX_NAME_BYTES = 255
/** Two high bits of a length say that the rest of the name is elsewhere. */
const POINTER = 0xc0

export interface Question {
  readonly id: number
  /** In lower case, without a dot at the end; what is no letter, digit, dash or underline is written `\ddd`. */
  readonly name: string
  readonly type: number
  readonly isInternet: boolean
  readonly wantsRecursion: boolean
  /** As it was asked, for the answer. */
  readonly bytes: Uint8Array
}

/** What is to be answered to a message that is no question that can be. */
export interface Unreadable {
  readonly id: number
  readonly code: number
}

/** Undefined for what has no answer at all: an answer, or fewer bytes than a header. */
export function readQuestion(message: Uint8Array): Question | Unreadable | undefined {
  if (message.length < HEADER_BYTES) return undefined
  const view = viewOf(message)
  const [id, flags] = [view.getUint16(0), view.getUint16(2)]
  if ((flags & RESPONSE) !== 0) return undefined
  if ((flags & OPCODE) !== 0) return { id, code: NOT_IMPLEMENTED }
  const found = view.getUint16(4) === 1 ? readName(message, HEADER_BYTES) : undefined
  if (found === undefined || found.end + 4 > message.length) return { id, code: FORMAT_ERROR }
  return {
    id,
    name: found.name,
    type: view.getUint16(found.end),
    isInternet: view.getUint16(found.end + 2) === CLASS_IN,
    wantsRecursion: (flags & RECURSION_DESIRED) !== 0,
    bytes: message.slice(HEADER_BYTES, found.end + 4),
  }
}

/** Nothing stands before a question that its name could point to, so a pointer in it is an error. */
function readName(message: Uint8Array, start: number): { readonly name: string; readonly end: number } | undefined {
  const labels: string[] = []
  let at = start
  for (;;) {
    const length = message[at]
    if (length === undefined || length >= 64 || at + length - start > MAX_NAME_BYTES) return undefined
    at += 1
    if (length === 0) return { name: labels.join('.'), end: at }
    if (at + length > message.length) return undefined
    labels.push(labelText(message.subarray(at, at + length)))
    at += length
  }
}

const labelText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte)
    return /[\w-]/.test(character) ? character.toLowerCase() : `\\${`${byte}`.padStart(3, '0')}`
  }).join('')

export interface Answer {
  readonly code: number
  /** Of the type that was asked for. */
  readonly addresses?: readonly Uint8Array[]
  readonly ttlSeconds?: number
}

/** The answer to a question. Bounded: at most as many addresses as are given, 28 bytes each. */
export function answerTo(question: Question, { code, addresses = [], ttlSeconds = 0 }: Answer): Uint8Array {
  const records = addresses.map((address) => {
    const record = new Uint8Array(12 + address.length)
    const view = viewOf(record)
    // The name is that of the question, which is behind the header.
    view.setUint16(0, (POINTER << 8) | HEADER_BYTES)
    view.setUint16(2, question.type)
    view.setUint16(4, CLASS_IN)
    view.setUint32(6, ttlSeconds)
    view.setUint16(10, address.length)
    record.set(address, 12)
    return record
  })
  const flags = RESPONSE | RECURSION_AVAILABLE | (question.wantsRecursion ? RECURSION_DESIRED : 0) | code
  return concat([header({ id: question.id, flags, questions: 1, answers: records.length }), question.bytes, ...records])
}

/** The answer to what could not be read: a header. */
export const answerToUnreadable = ({ id, code }: Unreadable): Uint8Array =>
  header({ id, flags: RESPONSE | RECURSION_AVAILABLE | code, questions: 0, answers: 0 })

/** A question to another server. `name` has no escapes. */
export function askFor({
  id,
  name,
  type,
}: {
  readonly id: number
  readonly name: string
  readonly type: number
}): Uint8Array {
  const labels = name
    .split('.')
    .map((label) => Uint8Array.from([label.length, ...Array.from(label, (c) => c.charCodeAt(0))]))
  const tail = Uint8Array.of(0, type >> 8, type & 0xff, 0, CLASS_IN)
  return concat([header({ id, flags: RECURSION_DESIRED, questions: 1, answers: 0 }), ...labels, tail])
}

export interface Found {
  readonly code: number
  readonly isCut: boolean
  /** All of the type that was asked for, behind whatever other names: who answers has followed those. */
  readonly addresses: readonly Uint8Array[]
}

/** The answer of another server to `question`; undefined for what is none, or is to another one. */
export function readAnswer(message: Uint8Array, question: Uint8Array): Found | undefined {
  if (!isAnswerTo(message, question)) return undefined
  const [view, type] = [viewOf(message), viewOf(question).getUint16(question.length - 4)]
  const flags = view.getUint16(2)
  const addresses: Uint8Array[] = []
  let at: number | undefined = question.length
  for (let left = view.getUint16(6); left > 0 && at !== undefined; left--) {
    const record = readRecord(message, at)
    if (record?.type === type && record.bytes.length === (type === TYPE_A ? 4 : 16)) addresses.push(record.bytes)
    at = record?.end
  }
  return { code: flags & 0xf, isCut: (flags & 0x0200) !== 0, addresses }
}

function isAnswerTo(message: Uint8Array, question: Uint8Array): boolean {
  if (message.length < question.length) return false
  const [view, asked] = [viewOf(message), viewOf(question)]
  const flags = view.getUint16(2)
  return (
    view.getUint16(0) === asked.getUint16(0) &&
    (flags & RESPONSE) !== 0 &&
    view.getUint16(4) === 1 &&
    question.every((byte, at) => at < HEADER_BYTES || lower(message[at]) === lower(byte))
  )
}

interface DnsRecord {
  readonly type: number
  readonly bytes: Uint8Array
  readonly end: number
}

/** One of another class than the internet has the type 0. */
function readRecord(message: Uint8Array, start: number): DnsRecord | undefined {
  const at = skipName(message, start)
  if (at === undefined || at + 10 > message.length) return undefined
  const view = viewOf(message)
  const end = at + 10 + view.getUint16(at + 8)
  if (end > message.length) return undefined
  const type = view.getUint16(at + 2) === CLASS_IN ? view.getUint16(at) : 0
  return { type, bytes: message.slice(at + 10, end), end }
}

/** Case is no part of a name, and a server may answer in another one. */
const lower = (byte = 0): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)

function skipName(message: Uint8Array, start: number): number | undefined {
  let at = start
  for (;;) {
    const length = message[at]
    if (length === undefined) return undefined
    if (length === 0) return at + 1
    if (length >= POINTER) return at + 2
    if (length >= 64) return undefined
    at += 1 + length
  }
}

interface Header {
  readonly id: number
  readonly flags: number
  readonly questions: number
  readonly answers: number
}

function header({ id, flags, questions, answers }: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = viewOf(bytes)
  for (const [index, word] of [id, flags, questions, answers].entries()) view.setUint16(2 * index, word)
  return bytes
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
