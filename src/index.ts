/** The library: `import { run } from 'coffer'`. Only public names; docs/library.md is the tour. */

export { OperationError } from './base/errors.ts'
export type { Usage } from './sandbox/account.ts'
export type { BoxEvents } from './sandbox/box-events.ts'
export type { BoxFiles, ReadOptions, WriteOptions } from './sandbox/box-files-node.ts'
export type { Box, Spawn } from './sandbox/box-node.ts'
export { sandbox } from './sandbox/box-node.ts'
export type { Change } from './sandbox/changes-node.ts'
export type { Result } from './sandbox/command-node.ts'
export type { Denial } from './sandbox/denial.ts'
export type { Entry } from './sandbox/directory-entries.ts'
export type { ExecOptions } from './sandbox/exec-node.ts'
export type { ExplainFormat, ExplainOptions } from './sandbox/explain-node.ts'
export { explain } from './sandbox/explain-node.ts'
export type { Feature, Shortfall } from './sandbox/features.ts'
export type { Limits, Size } from './sandbox/limits.ts'
export type { Network } from './sandbox/network.ts'
export type {
  Acceptable,
  BoxOptions,
  CommandOptions,
  Mount,
  Root,
  RunOptions,
  SandboxOptions,
  UserOption,
} from './sandbox/options.ts'
export type { OutOfMemory } from './sandbox/out-of-memory-node.ts'
export type { BoxPool, PoolOptions, TakeOptions } from './sandbox/pool-node.ts'
export { boxPool } from './sandbox/pool-node.ts'
export type { Probe, Problem } from './sandbox/probe-node.ts'
export { probe } from './sandbox/probe-node.ts'
export { run } from './sandbox/run-node.ts'
export type { BoxProcess, Exit, SpawnOptions, TerminalProcess } from './sandbox/spawn-node.ts'
export type { FileKind } from './sandbox/status.ts'
export type { TerminalSize } from './sandbox/terminal-node.ts'
export type { Verdict } from './sandbox/verdict.ts'
export type { ApplyOptions, ChangesOptions } from './sandbox/workspace-node.ts'
