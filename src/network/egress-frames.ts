/**
 * What the relay and its policy say to each other: struct frame of native/relay.c.
 *
 * | offset | bytes | field                                                                     |
 * |--------|-------|---------------------------------------------------------------------------|
 * | 0      | 4     | bytes of the frame, with what follows                                     |
 * | 4      | 4     | kind                                                                      |
 * | 8      | 4     | id of a question; its answer has the same                                 |
 * | 12     | 20    | a place: family (2 bytes: 4, 6 or 0 for none), port (2), address (16)     |
 * | 32     |       | a message of DNS, a packet, or the places to connect to, one after another |
 */

import { bug } from '../base/errors.ts'
import type { HostAddress } from './host-address.ts'

/** From the relay. */
export const QUERY = 1
export const CONNECTION = 2
export const REFUSED = 3
/** It ends, and takes no answer any more. */
export const LAST = 4
/** To the relay. */
export const ANSWER = 1
export const TARGETS = 2

export const FRAME_BYTES = 32
export const PLACE_BYTES = 20
/** The relay takes no more of them, and no longer message. */
export const MAX_TARGETS = 8
const MAX_FRAME_BYTES = FRAME_BYTES + 1232

export interface Place {
  readonly address: HostAddress
  readonly port: number
}

export interface Frame {
  readonly kind: number
  readonly id: number
  readonly place?: Place | undefined
  readonly bytes: Uint8Array
}

export function frameBytes({ kind, id, place, bytes }: Frame): Uint8Array {
  const all = new Uint8Array(FRAME_BYTES + bytes.length)
  const view = new DataView(all.buffer)
  view.setUint32(0, all.length, true)
  view.setUint32(4, kind, true)
  view.setUint32(8, id, true)
  if (place !== undefined) all.set(placeBytes(place), 12)
  all.set(bytes, FRAME_BYTES)
  return all
}

export const targetsFrame = (id: number, targets: readonly Place[]): Uint8Array => {
  const bytes = new Uint8Array(targets.length * PLACE_BYTES)
  for (const [index, target] of targets.entries()) bytes.set(placeBytes(target), index * PLACE_BYTES)
  return frameBytes({ kind: TARGETS, id, bytes })
}

function placeBytes({ address, port }: Place): Uint8Array {
  const bytes = new Uint8Array(PLACE_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, address.family, true)
  view.setUint16(2, port, true)
  bytes.set(address.bytes, 4)
  return bytes
}

function readPlace(bytes: Uint8Array): Place | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const family = view.getUint16(0, true)
  if (family !== 4 && family !== 6) return undefined
  return { address: { family, bytes: bytes.slice(4, family === 4 ? 8 : 20) }, port: view.getUint16(2, true) }
}

/** Puts frames together of what a stream brings: calls back with each that is whole. Throws for what no relay sends. */
export function frameReader(take: (frame: Frame) => void): (bytes: Uint8Array) => void {
  let unread = new Uint8Array(0)
  return (bytes) => {
    const all = new Uint8Array(unread.length + bytes.length)
    all.set(unread)
    all.set(bytes, unread.length)
    let at = 0
    while (all.length - at >= FRAME_BYTES) {
      const view = new DataView(all.buffer, at)
      const total = view.getUint32(0, true)
      if (total < FRAME_BYTES || total > MAX_FRAME_BYTES) throw bug(`the relay sent a frame of ${total} bytes`)
      if (all.length - at < total) break
      take({
        kind: view.getUint32(4, true),
        id: view.getUint32(8, true),
        place: readPlace(all.subarray(at + 12, at + FRAME_BYTES)),
        bytes: all.slice(at + FRAME_BYTES, at + total),
      })
      at += total
    }
    unread = all.slice(at)
  }
}
