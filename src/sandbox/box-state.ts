/** What exec, spawn and files know of their box. */

import type { DenialsRequest } from '../plan/denials.ts'
import type { Accounts } from './account.ts'
import type { Frames } from './frames-node.ts'
import type { Machine } from './machine-node.ts'
import type { InstanceRequest, Shape } from './request.ts'

export interface BoxState {
  readonly machine: Machine
  readonly shape: Shape
  readonly instance: InstanceRequest
  readonly id: string
  readonly initPid: number
  /** What the files of its cgroup say from now on. */
  readonly look: () => Accounts['text']
  /** Where commands in it tell what they are denied. */
  readonly denials: DenialsRequest | undefined
  /** Of commands in this box; they go with it. */
  readonly frames: Frames
  /** Holds the pid of init for the time of the work. Throws `conflict` once the box has ended. */
  readonly during: <Value>(operation: string, work: () => Promise<Value>) => Promise<Value>
}
