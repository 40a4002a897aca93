/** Hints for what a tool could not do: the table of plan/hints.ts with the facts of this machine. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { effectiveCapabilities } from '../executor/embedded-process.ts'
import type { Advise } from '../executor/report.ts'
import { capabilitiesIn } from '../linux/capabilities.ts'
import { callText } from '../linux/signatures-show.ts'
import { embeddedFiles } from '../observe/files-embedded.ts'
import { findMount, readMounts } from '../observe/mounts.ts'
import { readStatusField } from '../observe/process.ts'
import { hintFor } from '../plan/hints.ts'
import type { HintFacts } from '../plan/hints-rule.ts'
import type { Plan, Step } from '../plan/plan.ts'
import type { Tool } from './tool.ts'

/** What the caller may do is asked before the plan runs, as a new user namespace answers otherwise. */
export function adviseTool(native: Native, tool: Tool, plan: Plan): Advise {
  const before = effectiveCapabilities(native)
  return ({ call, why }, errno) => {
    const files = embeddedFiles(native)
    const own = capabilitiesIn(before)
    return hintFor({
      call,
      errno,
      why,
      facts: {
        tool: tool.name,
        isRootless: !own.includes('CAP_SYS_ADMIN'),
        canMapIds: own.includes('CAP_SETUID') && own.includes('CAP_SETGID'),
        usesUserNamespace: plan.steps.some(makesUser),
        ...known(() => userNamespaceFacts(files)),
        ...(call.name === 'pivot_root' ? known(() => pivotFacts(files)) : {}),
      },
    })
  }
}

/** The process may be where it can read nothing of this by now; then there is no hint that needs it. */
function known(read: () => Partial<HintFacts>): Partial<HintFacts> {
  try {
    return read()
  } catch (error) {
    if (error instanceof OperationError) return {}
    throw error
  }
}

function userNamespaceFacts(files: Files): Partial<HintFacts> {
  const setting = (path: string): string | undefined => files.readText(`/proc/sys/${path}`)?.trim()
  const restricted = setting('kernel/apparmor_restrict_unprivileged_userns')
  const allowed = setting('kernel/unprivileged_userns_clone')
  const most = setting('user/max_user_namespaces')
  return {
    isRestrictedByApparmor: restricted === undefined ? undefined : restricted === '1',
    allowsUserNamespaces: allowed === undefined ? undefined : allowed !== '0',
    maxUserNamespaces: most === undefined ? undefined : Number(most),
    hasNoNewPrivileges: readStatusField(files, 'self', 'NoNewPrivs') === '1',
  }
}

/** The plan has gone to NEW before. */
function pivotFacts(files: Files): Partial<HintFacts> {
  const mounts = readMounts(files) ?? []
  const cwd = files.readLink('/proc/self/cwd') ?? '/'
  const [root, own] = [findMount(mounts, '/'), findMount(mounts, cwd)]
  const parent = mounts.find(({ id }) => id === own?.parentId)
  const shared = [own, parent, root].find((mount) => mount?.propagation.shared !== undefined)
  const newRoot = cwd === '/' ? 'root' : own?.mountPoint === cwd ? 'mount' : 'directory'
  return { newRoot, rootType: root?.fileSystem, sharedMount: shared?.mountPoint }
}

const makesUser = ({ call }: Step): boolean => call.name === 'unshare' && /CLONE_NEWUSER/.test(callText(call))
