/**
 * What tells that the kernel refused something in a network namespace: a reset in answer to the first packet of a connection, and the message of
 * ICMP that nobody receives at a port of UDP. All other packets are left alone, so what is allowed costs nothing here.
 *
 * Raw sockets of one protocol, each with a filter, see what comes in. (To close packet sockets takes the kernel 10 ms each, as it waits for
 * all others to be done with them.) raw(7); kernel:networking/filter.rst; RFC 9293 3.10.7.1
 */

import {
  BPF_ALU_AND_K,
  BPF_INSTRUCTION_BYTES,
  BPF_JMP_JEQ_K,
  BPF_LD_B_ABS,
  BPF_LD_B_IND,
  BPF_LD_H_ABS,
  BPF_LD_H_IND,
  BPF_LD_W_ABS,
  BPF_LD_W_IND,
  BPF_LDX_MSH,
  BPF_RET_K,
} from '../linux/bpf.ts'
import { type Slot, slot } from '../linux/call.ts'
import { SOCK_RAW } from '../linux/netlink.ts'
import { AF_INET, AF_INET6, attachFilter, socket } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'

const TCP = 6
const ICMP = 1
const ICMP_6 = 58
/** The flags RST and ACK; the answer to a packet without ACK has both, and 0 as its sequence number. */
const RESET = 0x14
/** Type and code of "port unreachable". RFC 792, RFC 4443 3.1 */
const NO_PORT = 0x0303
const NO_PORT_6 = 0x0104
const LOOPBACK_4 = 127
const TAKEN_BYTES = 128

type Instruction = readonly [code: number, k: number, whenTrue?: number, whenFalse?: number]

/** What a program does with its own loopback is its own affair. */
const FILTER_4: readonly Instruction[] = [
  [BPF_LD_B_ABS, 12],
  [BPF_JMP_JEQ_K, LOOPBACK_4, 12, 0],
  [BPF_LDX_MSH, 0],
  [BPF_LD_B_ABS, 9],
  [BPF_JMP_JEQ_K, TCP, 0, 5],
  [BPF_LD_B_IND, 13],
  [BPF_ALU_AND_K, RESET],
  [BPF_JMP_JEQ_K, RESET, 0, 6],
  [BPF_LD_W_IND, 4],
  [BPF_JMP_JEQ_K, 0, 3, 4],
  [BPF_JMP_JEQ_K, ICMP, 0, 3],
  [BPF_LD_H_IND, 0],
  [BPF_JMP_JEQ_K, NO_PORT, 0, 1],
  [BPF_RET_K, TAKEN_BYTES],
  [BPF_RET_K, 0],
]

/** Where the header of IPv6 is; a raw socket has what is behind it. kernel:include/uapi/linux/filter.h */
const SKF_NET_OFF = 0xfff0_0000

const FILTER_6: readonly Instruction[] = [
  [BPF_LD_W_ABS, SKF_NET_OFF + 8],
  [BPF_JMP_JEQ_K, 0, 0, 6],
  [BPF_LD_W_ABS, SKF_NET_OFF + 12],
  [BPF_JMP_JEQ_K, 0, 0, 4],
  [BPF_LD_W_ABS, SKF_NET_OFF + 16],
  [BPF_JMP_JEQ_K, 0, 0, 2],
  [BPF_LD_W_ABS, SKF_NET_OFF + 20],
  [BPF_JMP_JEQ_K, 1, 11, 0],
  [BPF_LD_B_ABS, SKF_NET_OFF + 6],
  [BPF_JMP_JEQ_K, TCP, 0, 5],
  [BPF_LD_B_ABS, 13],
  [BPF_ALU_AND_K, RESET],
  [BPF_JMP_JEQ_K, RESET, 0, 6],
  [BPF_LD_W_ABS, 4],
  [BPF_JMP_JEQ_K, 0, 3, 4],
  [BPF_JMP_JEQ_K, ICMP_6, 0, 3],
  [BPF_LD_H_ABS, 0],
  [BPF_JMP_JEQ_K, NO_PORT_6, 0, 1],
  [BPF_RET_K, TAKEN_BYTES],
  [BPF_RET_K, 0],
]

function program(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * BPF_INSTRUCTION_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [index, [code, k, whenTrue = 0, whenFalse = 0]] of instructions.entries()) {
    const at = index * BPF_INSTRUCTION_BYTES
    view.setUint16(at, code, true)
    view.setUint8(at + 2, whenTrue)
    view.setUint8(at + 3, whenFalse)
    view.setUint32(at + 4, k, true)
  }
  return bytes
}

const SEE: readonly Ref[] = ['raw(7)', 'kernel:networking/filter.rst']

/** In the order in which native/relay.c has them; network/egress-refusals.ts reads what they bring. */
const SOCKETS = [
  { family: AF_INET, protocol: TCP, filter: FILTER_4, into: slot('refusals-tcp') },
  { family: AF_INET, protocol: ICMP, filter: FILTER_4, into: slot('refusals-icmp') },
  { family: AF_INET6, protocol: TCP, filter: FILTER_6, into: slot('refusals-tcp6') },
  { family: AF_INET6, protocol: ICMP_6, filter: FILTER_6, into: slot('refusals-icmp6') },
] as const

export const refusalSockets = (hasIpv6: boolean): readonly Slot[] =>
  SOCKETS.filter(({ family }) => hasIpv6 || family === AF_INET).map(({ into }) => into)

/** In the network namespace, with CAP_NET_RAW over it. */
export const planRefusals = (hasIpv6: boolean): readonly Step[] =>
  SOCKETS.filter(({ family }) => hasIpv6 || family === AF_INET).flatMap(({ family, protocol, filter, into }) => {
    const at = { why: 'see which connections and datagrams the kernel refuses', see: SEE }
    return [
      { call: socket(family, SOCK_RAW, protocol), ...at, into },
      { call: attachFilter(into, program(filter)), ...at },
    ]
  })
