/** Hints for failed steps: the table of plan/hints.ts with the facts of this machine, read only when something failed. */

import type { Files } from '../base/files.ts'
import type { Advise } from '../executor/report.ts'
import type { Argument, Call } from '../linux/call.ts'
import { missingInterpreter } from '../observe/interpreter.ts'
import { findMount, readMounts } from '../observe/mounts.ts'
import { readStatusField } from '../observe/process.ts'
import { readSubIds } from '../observe/subids.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { hintFor } from '../plan/hints.ts'
import type { HintFacts } from '../plan/hints-rule.ts'
import type { Host } from '../plan/host.ts'
import { hostOf, ownerName } from './host.ts'
import type { Machine } from './machine.ts'

/** What is known of the container when something failed. */
export interface Advised {
  readonly namespaces: readonly { readonly type: NamespaceType }[]
  /** Its root file system as the host sees it. */
  readonly root: string
}

/** `container` is asked for only when something has failed. */
export const advise =
  (machine: Machine, container: () => Advised): Advise =>
  ({ call, why }, errno) =>
    hintFor({ call, errno, why, facts: factsFor(machine, container(), call) })

function factsFor(machine: Machine, { namespaces, root }: Advised, call: Call): HintFacts {
  const { files } = machine
  const host = hostOf(machine)
  return {
    isRootless: host.isRootless,
    canMapIds: host.canMapIds,
    usesUserNamespace: namespaces.some(({ type }) => type === 'user'),
    ...userNamespaceFacts(files),
    hasNoNewPrivileges: readStatusField(files, 'self', 'NoNewPrivs') === '1',
    ...(call.name === 'write' || call.name === 'waitid' || call.name === 'setgroups' ? subIdFacts(machine, host) : {}),
    ...(call.name === 'execve' ? { missingInterpreter: missingInterpreter(files, root, textOf(call.args[0])) } : {}),
    ...(call.name === 'mount' ? { overlayUpperType: upperType(files, textOf(call.args[4])) } : {}),
    ...(call.name === 'pivot_root' ? { rootType: typeOf(files, '/') } : {}),
  }
}

const textOf = (argument: Argument | undefined): string => (typeof argument === 'string' ? argument : '')

/** The first two are absent on kernels that do not have these switches. */
function userNamespaceFacts(files: Files): Partial<HintFacts> {
  const setting = (path: string): string | undefined => files.readText(`/proc/sys/${path}`)?.trim()
  const restricted = setting('kernel/apparmor_restrict_unprivileged_userns')
  const allowed = setting('kernel/unprivileged_userns_clone')
  const most = setting('user/max_user_namespaces')
  const limits = (files.list('/proc/sys/user') ?? []).filter((name) => name.endsWith('_namespaces'))
  return {
    isRestrictedByApparmor: restricted === undefined ? undefined : restricted === '1',
    allowsUserNamespaces: allowed === undefined ? undefined : allowed !== '0',
    maxUserNamespaces: most === undefined ? undefined : Number(most),
    zeroLimits: limits.filter((name) => setting(`user/${name}`) === '0'),
    deniesSetgroups: files.readText('/proc/self/setgroups')?.trim() === 'deny',
  }
}

function subIdFacts(machine: Machine, { hostUid }: Host): Partial<HintFacts> {
  const { uids, gids } = readSubIds(machine.files, { uid: hostUid, name: ownerName(machine, hostUid) })
  return { hasSubuidRange: uids.length > 0, hasSubgidRange: gids.length > 0 }
}

function upperType(files: Files, options: string): string | undefined {
  const [, upper] = /(?:^|,)upperdir=([^,]+)/.exec(options) ?? []
  return upper === undefined ? undefined : typeOf(files, upper)
}

const typeOf = (files: Files, path: string): string | undefined => findMount(readMounts(files) ?? [], path)?.fileSystem
