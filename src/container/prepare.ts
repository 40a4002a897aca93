/** From a request to a frame that the executor can run: by a plan that was kept, or by a new one. */

import { BUILD } from '../base/version.ts'
import { type Assembled, assemble } from '../executor/assemble.ts'
import { attempt } from '../executor/embedded-call.ts'
import { memoryFile } from '../executor/embedded-files.ts'
import { type Running, type RunOptions, startFrame } from '../executor/run-embedded.ts'
import { type Blanks, type Frame, filled, fillIn, makeTemplate } from '../executor/template.ts'
import { AT_FDCWD } from '../linux/files.ts'
import { readConfig } from '../oci/config.ts'
import type { Watch } from '../plan/monitor.ts'
import { advise } from './advise.ts'
import {
  type CreateRequest,
  type Manner,
  type PlannedContainer,
  planFor,
  refuseTaken,
  watchedDescriptors,
} from './create.ts'
import { callerOf } from './host.ts'
import type { Machine } from './machine.ts'
import { findPlan, keepPlan, type NewPlan } from './plan-cache.ts'
import { printRecord, type RecordFacts } from './record.ts'
import { recordFiles } from './recorded-files.ts'

export interface Prepared {
  readonly frame: Frame
  readonly options: RunOptions
  readonly facts: RecordFacts
  /** To be called when the executor is at work. */
  readonly afterStart: () => void
}

/** Throws `conflict` if the name is taken, and whatever speaks against the request. */
export function prepareContainer(machine: Machine, request: CreateRequest, manner: Manner): Prepared {
  refuseTaken(machine, request.id)
  const asked = askedFor(machine, request, manner)
  const kept = asked === undefined ? undefined : findPlan(machine, asked.key, asked.blanks)
  if (asked !== undefined && kept !== undefined) {
    const frame = fillIn(kept.template, asked.blanks, machine.native.encode)
    const facts = JSON.parse(filled(kept.facts, asked.blanks)) as RecordFacts
    const configText = kept.configText === undefined ? request.configText() : filled(kept.configText, asked.blanks)
    // A failure is told in the words of the steps, which a kept plan has not: they are planned once more.
    return complete(machine, { ...request, configText: () => configText }, manner, {
      frame: { ...frame, steps: () => freshPlan(machine, request, manner).frame.steps() },
      facts,
    })
  }
  const fresh = freshPlan(machine, request, manner)
  for (const text of fresh.warnings) request.warn(text)
  const prepared = complete(machine, request, manner, fresh)
  if (asked === undefined) return prepared
  return {
    ...prepared,
    afterStart: keepPlan(machine, asked.key, () => planWithBlanks(machine, request, manner, asked)),
  }
}

/** The executor at work on it. */
export function started({ native }: Machine, { frame, options, afterStart }: Prepared): Running {
  const running = startFrame(native, frame, options)
  afterStart()
  return running
}

/** For explain: a new plan, run with the time of each step. */
export function prepareTraced(machine: Machine, request: CreateRequest): Prepared & PlannedContainer {
  refuseTaken(machine, request.id)
  const manner: Manner = { ending: 'wait', keep: false }
  const planned = planFor(machine, request, manner)
  for (const text of planned.warnings) request.warn(text)
  const assembled = assembledFor(machine, planned, true)
  const frame = { ...assembled, steps: () => assembled.steps }
  return { ...planned, ...complete(machine, request, manner, { frame, facts: planned.facts }) }
}

interface Planned {
  readonly frame: Frame
  readonly facts: RecordFacts
}

interface FreshPlan extends Planned {
  readonly warnings: readonly string[]
}

function freshPlan(machine: Machine, request: CreateRequest, manner: Manner): FreshPlan {
  const planned = planFor(machine, request, manner)
  const assembled = assembledFor(machine, planned)
  return { frame: { ...assembled, steps: () => assembled.steps }, facts: planned.facts, warnings: planned.warnings }
}

const assembledFor = ({ native }: Machine, { plan, host }: PlannedContainer, trace = false): Assembled =>
  assemble(plan, { architecture: host.architecture, encode: native.encode, trace })

/** Adds what is new at each start: the state with the time, and the descriptors that are passed on. */
function complete(machine: Machine, request: CreateRequest, manner: Manner, { frame, facts }: Planned): Prepared {
  const passed = Array.from({ length: request.listenFds + request.preserveFds }, (_, index) => 3 + index)
  if (machine.files.status(machine.root) === undefined) makeRoot(machine)
  const record = printRecord({ ...facts, created: machine.now().toISOString() }, request.configText())
  const state = memoryFile(machine.native, 'state', machine.native.encode(record))
  return {
    frame,
    facts,
    afterStart: () => undefined,
    options: {
      ...(manner.stdio === undefined ? {} : { stdio: manner.stdio }),
      extraFds: [
        ...passed,
        state,
        ...(manner.console === undefined ? [] : [manner.console]),
        ...(manner.watch === undefined ? [] : watchedDescriptors(manner.watch)),
      ],
      advise: advise(machine, () => ({ namespaces: request.config().linux.namespaces, root: facts.rootfs })),
    },
  }
}

/**
 * The plan makes the run root, too; but not what it lies in, which an engine may not have made yet, and not before a note is left in it. If it
 * cannot be made, the plan meets the same obstacle, and tells of it in its own words.
 */
function makeRoot({ native, root }: Machine): void {
  for (let at = root.indexOf('/', 1); at > 0; at = root.indexOf('/', at + 1))
    attempt(native, 'mkdirat', AT_FDCWD, root.slice(0, at), 0o711)
  attempt(native, 'mkdirat', AT_FDCWD, root, 0o711)
}

/** What decides about the plan, all in one text with blanks; and what the blanks stand for. */
interface Asked {
  readonly key: string
  readonly blanks: Blanks
  /** Those of them that stand in the configuration. */
  readonly inText: Blanks
}

/**
 * Characters of the private use area, one for each thing that differs between containers that are otherwise alike. Of a path all but the first
 * slash is blank, so that it is an absolute path still.
 */
const ID = '\ue000'
const ROOT = '\ue001'
const BUNDLE = '\ue002'
const ROOTFS = '\ue003'
const PID_FILE = '\ue004'
/** The host name of a container of the engine, unless it was given one: docker's short form of the id. */
const SHORT_ID = '\ue005'
const BLANKS = [ID, ROOT, BUNDLE, ROOTFS, PID_FILE, SHORT_ID]

const NOT_KEPT = ['"hooks"', '"netDevices"']

/** Whether a plan of this configuration is worth keeping. */
const isKept = (configText: string): boolean =>
  !NOT_KEPT.some((word) => configText.includes(word)) && !wantsTerminal(configText)

const hasBlanks = (text: string): boolean => BLANKS.some((blank) => text.includes(blank))

const withBlanks = (text: string, inText: Blanks): string =>
  inText.reduce((rest, [blank, value]) => rest.split(value).join(blank), text)

/** A regular expression that looks for it in all of the text takes a quarter of a millisecond. */
const wantsTerminal = (configText: string): boolean =>
  configText
    .split('"terminal"')
    .slice(1)
    .some((rest) => /^\s*:\s*true/.test(rest))

/** A shorter name or path may stand in the configuration by chance, for something else. */
const LEAST_LENGTH = 12

/** Undefined for a request whose plan is not worth keeping: a terminal is for a person, who does not notice. */
function askedFor(machine: Machine, request: CreateRequest, manner: Manner): Asked | undefined {
  const { id, bundle, pidFile, madeOf } = request
  if (manner.console !== undefined || request.consoleSocket !== undefined || request.pidfdSocket !== undefined)
    return undefined
  if (request.notifySocket !== undefined) return undefined
  if (madeOf === undefined && !isKept(request.configText())) return undefined
  const text = madeOf ?? request.configText()
  if (hasBlanks(text)) return undefined
  const rootfs = madeOf === undefined ? rootPathIn(text) : undefined
  const inText = [
    [ROOTFS, rootfs],
    [BUNDLE, bundle.slice(1)],
    [ID, id],
    [SHORT_ID, shortOf(id)],
  ].filter((blank): blank is [string, string] => (blank[1]?.length ?? 0) >= LEAST_LENGTH)
  const { noPivot, noNewKeyring, listenFds, preserveFds } = request
  const manners = [manner.ending, manner.keep, noPivot, noNewKeyring, listenFds, preserveFds, pidFile !== undefined]
  const watched = manner.watch === undefined ? [] : watchedShape(manner.watch)
  return {
    key: `${JSON.stringify([BUILD, ...manners, ...watched, callerOf(machine)])}\n${withBlanks(text, inText)}`,
    blanks: [
      ...inText.filter(([blank]) => blank === ROOTFS),
      [BUNDLE, bundle.slice(1)],
      [ID, id],
      [SHORT_ID, shortOf(id) ?? ''],
      [ROOT, machine.root.slice(1)],
      [PID_FILE, pidFile?.slice(1) ?? ''],
    ],
    inText,
  }
}

const shortOf = (id: string): string | undefined => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : undefined)

/** Which descriptors the monitor gets, and what else it is told. */
const watchedShape = ({
  stdin,
  stdout,
  stderr,
  log,
  logLimitBytes,
  logFiles,
  check,
  cleaner,
}: Watch): readonly unknown[] => [
  [stdin, stdout, stderr, log].map((fd) => fd !== undefined),
  logLimitBytes,
  logFiles,
  check ?? null,
  cleaner(ID),
]

/** An absolute root.path without its first slash, without parsing all of the document; engines choose a new one for each container. */
function rootPathIn(configText: string): string | undefined {
  const at = configText.indexOf('"root"')
  const end = configText.indexOf('}', at)
  if (at < 0 || end < 0) return undefined
  const members = /^"root":\s*\{(.*)/s.exec(configText.slice(at, end))?.[1] ?? ''
  return members.includes('{') ? undefined : /"path":\s*"\/([^"\\]*)"/.exec(members)?.[1]
}

function planWithBlanks(machine: Machine, request: CreateRequest, manner: Manner, asked: Asked): NewPlan | undefined {
  const wholeText = request.configText()
  if (!isKept(wholeText) || hasBlanks(wholeText)) return undefined
  const configText = withBlanks(wholeText, asked.inText)
  const { files, answers } = recordFiles(machine.files, asked.blanks)
  const blank: CreateRequest = {
    ...request,
    id: ID,
    bundle: `/${BUNDLE}`,
    pidFile: request.pidFile === undefined ? undefined : `/${PID_FILE}`,
    configText: () => configText,
    config: () => readConfig(configText),
  }
  const planned = planFor({ ...machine, files, root: `/${ROOT}` }, blank, manner)
  // They are to be told at each start.
  if (planned.warnings.length > 0) return undefined
  const template = makeTemplate(
    assembledFor(machine, planned),
    asked.blanks.map(([character]) => character),
  )
  const kept = request.madeOf === undefined ? undefined : configText
  return template === undefined
    ? undefined
    : { template, facts: JSON.stringify(planned.facts), answers, configText: kept }
}
