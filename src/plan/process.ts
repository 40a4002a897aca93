/**
 * What makes init, or a process of exec, the container's process, as long as it is still root: session, keyring, labels, working directory.
 *
 * The order in which the parts go, from here and from the files beside:
 *
 * | when                                     | who              | what                                                          |
 * |------------------------------------------|------------------|---------------------------------------------------------------|
 * | exec: before the cgroups are entered     | the executor     | planInitialAffinity                                           |
 * | without privilege: before the process is | the executor     | planInherited                                                 |
 * | before pivot_root                        | the process      | planConsole                                                   |
 * | after it                                 | the process      | planProcess, planControllingTerminal, planIdentity,           |
 * |                                          |                  | planExecTarget, planHandover                                  |
 * | with a listener or startContainer hooks  | the process      | planSeccomp, planNarrow                                       |
 * | when it says that it is ready            | the executor     | planOutside                                                   |
 * | once it is started                       | the process      | startContainer hooks, planBecome with the filter if not yet   |
 */

import { buffer, slot } from '../linux/call.ts'
import { personality } from '../linux/credentials.ts'
import {
  AT_FDCWD,
  chdir,
  close,
  getcwd,
  mkdirat,
  O_DIRECTORY,
  O_PATH,
  openat2,
  RESOLVE_NO_MAGICLINKS,
} from '../linux/files.ts'
import {
  joinSessionKeyring,
  KEY_OTH_SEARCH,
  KEY_USR_SEARCH,
  SESSION_KEYRING_PERMISSIONS,
  setKeyPermissions,
} from '../linux/keyring.ts'
import { setsid, umask } from '../linux/process.ts'
import { setMempolicy } from '../linux/scheduling.ts'
import type { Linux } from '../oci/linux.ts'
import type { Process } from '../oci/process.ts'
import type { Host } from './host.ts'
import { type LabelHost, planKeyLabel, planLabels } from './labels.ts'
import type { Ref, Step } from './plan.ts'

export interface ProcessRequest {
  readonly id: string
  readonly process: Process
  readonly linux: Pick<Linux, 'personality' | 'memoryPolicy'>
  /** Without, the process keeps the session keyring of the caller: --no-new-keyring. */
  readonly hasOwnKeyring: boolean
  readonly hasUserNamespace: boolean
  /** True for init; a process of exec starts only where there is a directory. */
  readonly makesCwd: boolean
}

/** The umask of runc and crun where the configuration has none. */
const USUAL_UMASK = 0o022

/** In the root of the container, after its user namespace, before another user. Throws `unsupported` for labels of an inactive module. */
export function planProcess(request: ProcessRequest, host: LabelHost & Pick<Host, 'architecture'>): readonly Step[] {
  const { process, linux } = request
  return [
    {
      call: setsid(),
      why: 'leave the session and the terminal of the caller',
      see: ['setsid(2)', 'credentials(7)'],
    },
    ...(request.hasOwnKeyring ? planKeyring(request) : []),
    ...planPolicies(linux),
    ...planLabels(process, host),
    ...planCwd(process.cwd, { makes: request.makesCwd, architecture: host.architecture }),
    {
      call: umask(process.user.umask ?? USUAL_UMASK),
      why: 'begin with the umask that it is given',
      see: ['umask(2)'],
    },
  ]
}

const KEYRING = slot('session-keyring')

/** A keyring by the name of the container, which processes of exec join. keyrings(7), oci runc libcontainer/keys */
function planKeyring({ id, process, hasUserNamespace }: ProcessRequest): readonly Step[] {
  const see: readonly Ref[] = ['session-keyring(7)', 'KEYCTL_JOIN_SESSION_KEYRING(2const)']
  const permissions = SESSION_KEYRING_PERMISSIONS | (hasUserNamespace ? KEY_OTH_SEARCH : KEY_USR_SEARCH)
  return [
    ...planKeyLabel(process),
    {
      call: joinSessionKeyring(`_ses.${id}`),
      why: 'have no key of the caller at hand',
      see,
      into: KEYRING,
      // Without keyrings there is nothing to hide; where a filter around coffer denies keyctl(2), the container gets that filter, too.
      tolerate: ['ENOSYS', 'EPERM'],
      then: [{ call: setKeyPermissions(KEYRING, permissions), why: 'let processes of exec join its keyring', see }],
    },
  ]
}

function planPolicies({ personality: wanted, memoryPolicy }: ProcessRequest['linux']): readonly Step[] {
  const steps: Step[] = []
  if (wanted !== undefined)
    steps.push({
      call: personality(wanted.domain),
      why: `see a machine of the ${wanted.domain} domain`,
      see: ['personality(2)'],
    })
  if (memoryPolicy !== undefined)
    steps.push({
      call: setMempolicy(memoryPolicy),
      why: `get memory by ${memoryPolicy.mode}`,
      see: ['set_mempolicy(2)', 'oci:runtime-spec/config-linux.md#memory-policy'],
    })
  return steps
}

const SEE_CWD: readonly Ref[] = ['chdir(2)', 'oci:runtime-spec/config.md#process']

interface CwdOptions {
  readonly makes: boolean
  readonly architecture: Host['architecture']
}

/**
 * Goes to the working directory, and makes it if it is missing.
 *
 * What root may not enter, as root of a client of NFS often may not, the user may: planCwdAsUser tries again.
 */
function planCwd(cwd: string, { makes, architecture }: CwdOptions): readonly Step[] {
  const enter: Step = { call: chdir(cwd), why: `start in ${cwd}`, see: SEE_CWD }
  if (isRoot(cwd)) return [enter]
  if (!makes) return [{ ...enter, tolerate: ['EACCES'] }]
  return [
    {
      ...enter,
      tolerate: ['EACCES', 'ENOENT'],
      otherwise: [...makeDirectories(cwd, architecture), { ...enter, tolerate: ['EACCES'] }],
    },
  ]
}

const isRoot = (cwd: string): boolean => /^\/+$/.test(cwd)

const PARENT = slot('cwd-parent')

/**
 * No parent is reached through a magic link: `/proc/self/fd/7` of an image could be a directory of
 * the host, in which mkdir(2) by path would make one (SECURITY-CHECKS S6).
 */
function makeDirectories(cwd: string, architecture: Host['architecture']): readonly Step[] {
  const names = cwd.split('/').filter((name) => name !== '' && name !== '.')
  const why = `make the working directory ${cwd}`
  const makeOne = (name: string, depth: number): Step => ({
    call: openat2(
      AT_FDCWD,
      `/${names.slice(0, depth).join('/')}`,
      O_PATH | O_DIRECTORY[architecture],
      RESOLVE_NO_MAGICLINKS,
    ),
    why,
    see: ['openat2(2)'],
    into: PARENT,
    tolerate: ['EACCES'],
    then: [
      // `..` exists, whatever is in front of it.
      { call: mkdirat(PARENT, name, 0o755), why, see: ['mkdir(2)'], tolerate: ['EEXIST', 'EACCES'] },
      { call: close(PARENT), why, see: ['close(2)'] },
    ],
  })
  // Whoever started coffer may have a umask that would keep the user of the container out.
  return [{ call: umask(USUAL_UMASK), why, see: ['umask(2)'] }, ...names.map(makeOne)]
}

const CWD_BYTES = 4096

/**
 * As the user that the program will run as: enters the working directory if root could not, and makes sure that it is inside the container.
 *
 * getcwd(2) of the kernel does not begin with a slash for a directory that the root does not lead to: a link of an image to
 * `/proc/self/fd/N` can name one of the host (CVE-2024-21626, SECURITY-CHECKS S6).
 */
export function planCwdAsUser(cwd: string): readonly Step[] {
  if (isRoot(cwd)) return []
  const path = buffer('cwd', CWD_BYTES)
  return [
    {
      call: getcwd(path),
      why: `know whether it is in ${cwd} already`,
      see: ['getcwd(2)'],
      // "/" and its NUL: still in the root.
      check: { resultAtLeast: 3, errno: 'EACCES' },
      tolerate: ['EACCES'],
      otherwise: [{ call: chdir(cwd), why: `start in ${cwd} as its user`, see: SEE_CWD }],
    },
    {
      call: getcwd(path),
      why: `be sure that ${cwd} is inside the container`,
      see: ['getcwd(2)'],
      check: { in: path, offset: 0, sizeBytes: 1, equals: '/'.charCodeAt(0), errno: 'EXDEV' },
    },
  ]
}
