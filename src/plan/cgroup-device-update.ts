/** Exchanges the device program of a cgroup v2 that is in use, without a moment in which none holds. bpf(2) */

import { buffer, type Slot, slot } from '../linux/call.ts'
import {
  attachDeviceProgram,
  type EbpfInstruction,
  encodeEbpf,
  exit,
  loadDeviceProgram,
  programById,
  queryDevicePrograms,
  set,
} from '../linux/ebpf.ts'
import type { Step } from './plan.ts'

/** A program that allows everything stands for none. */
const ALLOW_EVERYTHING = [set(0, 1), exit()]

/** `cgroup` is open on the directory. A cgroup without a program gets one. */
export function replaceDeviceProgram(
  cgroup: Slot,
  program: readonly EbpfInstruction[] = ALLOW_EVERYTHING,
): readonly Step[] {
  const reason = { why: 'let it use other devices', see: ['bpf(2)'] }
  const ids = buffer('device-program-ids', 4)
  const id = slot('device-program-id')
  const loaded = slot('device-program')
  const replaced = slot('device-program-before')
  return [
    { call: loadDeviceProgram(encodeEbpf(program)), ...reason, into: loaded },
    // Two programs do not fit into `ids` and answer ENOSPC: someone else attached one, and which to replace is not for coffer to guess.
    { call: queryDevicePrograms(cgroup, ids), ...reason, keep: [{ slot: id, in: ids, offset: 0, sizeBytes: 4 }] },
    {
      call: programById(id),
      ...reason,
      into: replaced,
      tolerate: ['ENOENT'],
      then: [{ call: attachDeviceProgram(cgroup, loaded, replaced), ...reason }],
      // Ids begin at 1: 0 is the buffer as it was, so no program is attached.
      otherwise: [{ call: attachDeviceProgram(cgroup, loaded), ...reason }],
    },
  ]
}
