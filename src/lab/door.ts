/** The door `coffer lab`: lists the labs, prints a page, begins a lab, checks it and takes it back. */

import { describeError, OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import { nearest } from '../base/nearest.ts'
import type { Engine } from '../engine/place.ts'
import { writeText } from '../executor/embedded-files.ts'
import { effectiveIds } from '../executor/embedded-process.ts'
import { runHere } from '../executor/run-here.ts'
import { readCgroupLayout } from '../observe/cgroup.ts'
import { isAlive } from '../observe/process.ts'
import { planCommand } from '../plan/command.ts'
import { type Paged, titleOf } from './lab.ts'
import { LABS } from './labs.ts'
import { lookAt, MARK } from './look.ts'
import { resetLab } from './reset.ts'
import { readStarted, writeStarted } from './state.ts'

const TOOL = 'coffer lab'
const STDOUT = 1
const STDERR = 2
const MISSING = 1
const FAILURE = 2

const HELP = `coffer lab - learn namespaces and control groups by typing the real commands

usage: coffer lab                     the list
       coffer lab LAB                 what to do; LAB is a number or a name
       coffer lab start LAB [COMMAND [ARGUMENT...]]
                                      a shell to do it in
       coffer lab check LAB           what is still missing; from inside, or from another terminal
       coffer lab reset LAB           take back all that the lab made, and end its shell

A check ends with 0 if nothing is missing, with ${MISSING} if something is, and with ${FAILURE} if it could not look.
`

/** Answers the exit status. */
export function labDoor(engine: Engine, words: readonly string[]): number {
  const { native } = engine.machine
  const print = (text: string): void => writeText(native, STDOUT, text)
  try {
    const [word, name, ...command] = words
    switch (word) {
      case undefined:
      case 'list':
        print(listed(engine))
        return 0
      case 'help':
      case '--help':
      case '-h':
        print(HELP)
        return 0
      case 'start':
        return start(engine, labOf(name), command)
      case 'check':
        return check(engine, labOf(name), print)
      case 'reset':
        reset(engine, labOf(name))
        return 0
      default:
        print(labOf(word).page)
        return 0
    }
  } catch (error) {
    writeText(native, STDERR, `error: ${describeError(error)}\n`)
    return FAILURE
  }
}

function labOf(word: string | undefined): Paged {
  if (word === undefined) throw usage(TOOL, 'it takes the number or the name of a lab', TOOL)
  const found = LABS.find(({ name, number }) => name === word || String(number) === word.replace(/^0+/, ''))
  if (found !== undefined) return found
  const near = nearest(
    word,
    LABS.map(({ name }) => name),
  )
  throw usage(TOOL, `there is no lab ${word}`, near === undefined ? `${TOOL} lists them` : `did you mean ${near}?`)
}

function listed({ machine: { files } }: Engine): string {
  const layout = readCgroupLayout(files)
  return LABS.map((lab) => {
    const lack = lab.lacks?.(layout)
    const line = `${String(lab.number).padStart(2)}  ${lab.name.padEnd(11)} ${titleOf(lab)}\n`
    return lack === undefined ? line : `${line}${' '.repeat(16)}not here: ${lack}\n`
  }).join('')
}

/** Throws `denied` for a caller without privilege, and `unsupported` for a lab that this machine cannot do. */
function refuseImpossible({ machine: { native, files } }: Engine, { name, lacks }: Paged): void {
  if (effectiveIds(native).uid !== 0)
    throw new OperationError({
      kind: 'denied',
      operation: `do the lab ${name}`,
      reason: 'only root can make these namespaces and cgroups',
      hint: `sudo ${TOOL} start ${name}`,
    })
  const lack = lacks?.(readCgroupLayout(files))
  if (lack !== undefined)
    throw new OperationError({ kind: 'unsupported', operation: `do the lab ${name}`, reason: lack })
}

function start(engine: Engine, lab: Paged, command: readonly string[]): number {
  const { native, files } = engine.machine
  refuseImpossible(engine, lab)
  const started = readStarted(files, lab.name)
  if (started !== undefined && isAlive(files, started.shell))
    throw new OperationError({
      kind: 'conflict',
      operation: `start the lab ${lab.name}`,
      reason: `its shell has the pid ${started.shell.pid} already`,
      hint: `go on there, or: ${TOOL} reset ${lab.name}`,
    })
  // What a lab has left whose shell was closed.
  resetLab(engine, lab.name)
  writeStarted(native, files, lab.name)
  const variable = (name: string): string | undefined =>
    native.env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1)
  const [shell = '/bin/sh'] = [variable('SHELL')]
  if (command.length === 0) writeText(native, STDERR, `type here; in another terminal: ${TOOL} check ${lab.name}\n`)
  const args = command.length === 0 ? [shell] : command
  const env = [...native.env.filter((entry) => !entry.startsWith(`${MARK}=`)), `${MARK}=${lab.name}`]
  runHere(native, { operation: `start ${args[0]}`, steps: planCommand({ args, path: variable('PATH') ?? '', env }) })
  return FAILURE
}

function check(engine: Engine, lab: Paged, print: (text: string) => void): number {
  const started = readStarted(engine.machine.files, lab.name)
  if (started === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: `check the lab ${lab.name}`,
      reason: 'it was not started, or its files are not in this root',
      hint: `${TOOL} start ${lab.name}; or check from another terminal`,
    })
  const found = lab.check(lookAt(engine, lab.name, started))
  print(found.length === 0 ? `${lab.name}: done\n` : found.map((line) => `missing: ${line}\n`).join(''))
  return found.length === 0 ? 0 : MISSING
}

function reset(engine: Engine, lab: Paged): void {
  if (effectiveIds(engine.machine.native).uid !== 0) refuseImpossible(engine, { ...lab, lacks: () => undefined })
  resetLab(engine, lab.name)
}
