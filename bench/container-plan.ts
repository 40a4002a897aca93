/** The plan of a container as the library makes it, in Bun and Node: from the text of a configuration, by the same functions as coffer-runc. */

import { recordedDirectories } from '../src/container/record.ts'
import { encode } from '../src/executor/persistent-node.ts'
import type { Report } from '../src/executor/report.ts'
import { type Frame, framesOf } from '../src/executor/template.ts'
import { SI_STATUS } from '../src/linux/process.ts'
import { nodeFiles } from '../src/observe/files-node.ts'
import { readHost, readIdentity } from '../src/observe/host.ts'
import { readConfig } from '../src/oci/config.ts'
import { OCI_VERSION } from '../src/oci/version.ts'
import { planCgroup } from '../src/plan/cgroup.ts'
import { planContainer } from '../src/plan/container.ts'
import type { Host } from '../src/plan/host.ts'
import type { Plan } from '../src/plan/plan.ts'
import type { Ending } from '../src/plan/request.ts'
import { INIT_EXIT } from '../src/plan/stage.ts'

export interface Wish {
  readonly id: string
  readonly bundle: string
  readonly configText: string
  /** The run root. */
  readonly root: string
  /** Of the container; now if not given. */
  readonly created?: string
  /** Default: `wait`. */
  readonly ending?: Ending
  /** For a document that asks for a terminal. */
  readonly consoleSocket?: string
}

/** The facts of this machine, seen as root. */
export function seeHost(): Host {
  const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  const files = nodeFiles()
  return { ...readHost(files, readIdentity(files, architecture)), canMapIds: true, canRaiseLimits: true }
}

/** Make, start, wait, remove; or an earlier ending. */
export function planRun(
  { id, bundle, configText, root, created = new Date().toISOString(), ending = 'wait', consoleSocket }: Wish,
  host: Host,
): Plan {
  const config = readConfig(configText)
  const { linux } = config
  const { layout, isRootless } = { layout: host.cgroup, isRootless: host.isRootless }
  const { cgroupsPath, resources } = linux
  const way = { root, isThere: () => true }
  const cgroup = planCgroup({ id, cgroupsPath, resources, layout, isRootless, way })
  const record = { version: 1, ociVersion: OCI_VERSION, id, bundle, rootfs: config.root.path, created }
  return planContainer(
    {
      config,
      place: { root, id },
      bundle,
      rootfs: config.root.path,
      stateSource: JSON.stringify({ ...record, cgroup: recordedDirectories(cgroup) }),
      cgroup,
      ending,
      consoleSocket,
      noPivot: false,
      noNewKeyring: false,
      listenFds: 0,
      preserveFds: 0,
      isHosts: () => false,
      netDevices: [],
      hostParts: () => [],
      listTree: () => [],
      behindLinks: (path) => path,
      keep: false,
    },
    host,
  )
}

/** Characters of Unicode's private use area, as in src/container/prepare.ts. */
const BLANKS = ['\ue000', '\ue001']

/** Frames of containers on one machine: each configuration is planned once, as its plan differs in the name and the time only. */
export function frameMaker(host: Host): (wish: Wish) => Frame {
  const known = new Map<string, ReturnType<typeof framesOf>>()
  return ({ id, created = new Date().toISOString(), ...rest }) => {
    const key = JSON.stringify(rest)
    const plan = ([id = '', created = '']: readonly string[]): Plan => planRun({ ...rest, id, created }, host)
    const frames = known.get(key) ?? framesOf({ blanks: BLANKS, plan }, { architecture: host.architecture, encode })
    known.set(key, frames)
    return frames([id, created])
  }
}

/** Throws if the program did not end with status 0. */
export function checkEnd(report: Report): void {
  const status = new DataView(report.bytes(INIT_EXIT).slice().buffer).getInt32(SI_STATUS, true)
  if (status !== 0) throw new Error(`the program in the container ended with ${status}`)
}
