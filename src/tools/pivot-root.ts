/** pivot-root: have another mount as the root, as pivot_root(8) does; with a program, in a mount namespace of its own. */

import { OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { isOwnNamespace, namespaceFile } from '../container/namespaces.ts'
import { type PivotRootRequest, planPivotRoot } from '../plan/pivot-root.ts'
import { cleanPath } from '../plan/targets.ts'
import type { Caller, Tool } from './tool.ts'
import { commandOf } from './words.ts'

const TOOL = 'coffer pivot-root'

const FLAGS: readonly Flag[] = [
  {
    name: 'bind',
    type: 'bool',
    help: 'make NEW a mount point first, which the kernel asks for; with a program, always',
  },
  { name: 'mkdir', type: 'bool', help: 'make PUT_OLD; with a program, always' },
  { name: 'detach', type: 'bool', help: 'take the old root away' },
  { name: 'no-unshare', type: 'bool', help: 'with a program: in the mount namespace of the caller' },
  {
    name: 'this-machine',
    type: 'bool',
    help: 'do so in the mount namespace of process 1 as well, under everything that runs',
  },
]

export const pivotRootTool: Tool = {
  name: 'pivot-root',
  operands: 'NEW PUT_OLD [PROGRAM [ARGUMENT...]]',
  summary: 'have another directory as root, and the old root as a directory of it',
  flags: FLAGS,
  details: `The rules of the kernel: NEW is a mount point; PUT_OLD is NEW or below it; neither is on the present root; no mount that is
involved is shared. With PUT_OLD the same as NEW the old root is taken away at once, and needs no directory.

With a program, all that is seen to: it gets a mount namespace, with private mounts, in which NEW is a mount point.

  coffer pivot-root /srv/rootfs /srv/rootfs sh              a shell that cannot see the old root
  coffer pivot-root /srv/rootfs /srv/rootfs/old sh          one that finds it in /old
  coffer unshare -m sh -c 'mount --bind /srv/rootfs /srv/rootfs && cd /srv/rootfs && coffer pivot-root . old && exec sh'`,
  failureStatus: 1,
  does: { kind: 'plan', plan: (given, caller) => planPivotRoot(requestOf(given, caller)) },
}

function requestOf(given: Parsed, caller: Caller): PivotRootRequest {
  const [newWord, oldWord, ...words] = given.rest
  if (newWord === undefined || oldWord === undefined)
    throw usage(TOOL, 'it takes NEW and PUT_OLD', 'coffer pivot-root DIR DIR PROGRAM')
  const cwd = caller.files.readLink('/proc/self/cwd') ?? '/'
  const absolute = (word: string): string => cleanPath(word.startsWith('/') ? word : `${cwd}/${word}`)
  const [newRoot, putOld] = [absolute(newWord), absolute(oldWord)]
  if (putOld !== newRoot && !putOld.startsWith(newRoot === '/' ? '/' : `${newRoot}/`)) throw notBelow(newRoot, putOld)
  const hasProgram = words.length > 0
  const isolates = hasProgram && !given.bool('no-unshare')
  if (!isolates && !given.bool('this-machine')) refuseMachine(caller)
  return {
    newRoot,
    putOld: putOld === newRoot ? undefined : putOld,
    isolates,
    binds: given.bool('bind') || isolates,
    makesPutOld: given.bool('mkdir') || isolates,
    detaches: given.bool('detach'),
    command: hasProgram ? commandOf(caller, words) : undefined,
  }
}

const notBelow = (newRoot: string, putOld: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `have ${newRoot} as the root`,
    reason: `PUT_OLD is ${putOld}, which is not below it: the kernel puts the old root only where the new one can reach it`,
    hint: `use ${newRoot} itself, or a directory in it: ${newRoot === '/' ? '' : newRoot}/old`,
    see: ['pivot_root(2)'],
  })

function refuseMachine({ files }: Caller): void {
  if (!isOwnNamespace(files, 'mount', namespaceFile(1, 'mount'))) return
  throw new OperationError({
    kind: 'denied',
    operation: 'have another root here',
    reason: 'this is the mount namespace of process 1, and every process in it would get the new root',
    hint: 'run it in a mount namespace of its own: coffer unshare --mount; or give it a program, which gets one',
    see: ['pivot_root(2)', 'mount_namespaces(7)'],
  })
}
