/** What the kernel answers on a socket of rtnetlink: netlink.ts has the layout. */

import { aligned, IFA_FLAGS, IFADDRMSG_BYTES, NLMSG_HEADER_BYTES, RTM_NEWADDR } from './netlink.ts'

export interface Answer {
  readonly type: number
  /** What follows the header. */
  readonly body: Uint8Array
}

/** The messages in what was received; one that is cut off is left out. */
export function parseAnswers(bytes: Uint8Array): readonly Answer[] {
  const view = viewOf(bytes)
  const answers: Answer[] = []
  for (let at = 0; at + NLMSG_HEADER_BYTES <= bytes.length; ) {
    const length = view.getUint32(at, true)
    if (length < NLMSG_HEADER_BYTES || at + length > bytes.length) break
    answers.push({ type: view.getUint16(at + 4, true), body: bytes.subarray(at + NLMSG_HEADER_BYTES, at + length) })
    at += aligned(length)
  }
  return answers
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** An address of an interface. rtnetlink(7), struct ifaddrmsg */
export interface LinkAddress {
  readonly family: number
  readonly prefixLength: number
  readonly scope: number
  readonly index: number
  /** IFA_F_…. */
  readonly flags: number
  readonly attributes: ReadonlyMap<number, Uint8Array>
}

/** Undefined for an answer that is no address. */
export function parseAddress({ type, body }: Answer): LinkAddress | undefined {
  if (type !== RTM_NEWADDR || body.length < IFADDRMSG_BYTES) return undefined
  const attributes = parseAttributes(body.subarray(IFADDRMSG_BYTES))
  const [family = 0, prefixLength = 0, shortFlags = 0, scope = 0] = body
  const flags = attributes.get(IFA_FLAGS)
  return {
    family,
    prefixLength,
    scope,
    index: viewOf(body).getUint32(4, true),
    flags: flags === undefined || flags.length < 4 ? shortFlags : viewOf(flags).getUint32(0, true),
    attributes,
  }
}

export function parseAttributes(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const view = viewOf(bytes)
  const attributes = new Map<number, Uint8Array>()
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true)
    if (length < 4 || at + length > bytes.length) break
    attributes.set(view.getUint16(at + 2, true), bytes.slice(at + 4, at + length))
    at += aligned(length)
  }
  return attributes
}
