/** Labels of Linux security modules for the next execve. Source: oci:runtime-spec/config.md "apparmorProfile", "selinuxLabel" */

import { OperationError } from '../base/errors.ts'
import { utf8Length } from '../linux/bytes.ts'
import { slot } from '../linux/call.ts'
import { close, O_WRONLY, write } from '../linux/files.ts'
import type { Process } from '../oci/process.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { openOwnProc } from './scheduling.ts'

export type LabelHost = Pick<Host, 'securityModules'>

type Labels = Pick<Process, 'apparmorProfile' | 'selinuxLabel'>

const FILE = slot('attribute')
const SEE_APPARMOR: readonly Ref[] = ['kernel:admin-guide/LSM/apparmor.rst', 'proc_pid_attr(5)']
const SEE_SELINUX: readonly Ref[] = ['proc_pid_attr(5)']

/**
 * The labels that the container's program gets when it is executed; written by the process itself, which no other may do for it.
 *
 * Throws `unsupported` for a label of a module that is not active: a container must not run with less than it was given.
 */
export function planLabels({ apparmorProfile = '', selinuxLabel = '' }: Labels, host: LabelHost): readonly Step[] {
  if (apparmorProfile !== '') refuseInactive('apparmor', `apply the AppArmor profile ${apparmorProfile}`, host)
  if (selinuxLabel !== '') refuseInactive('selinux', `apply the SELinux label ${selinuxLabel}`, host)
  return [
    ...(apparmorProfile === '' ? [] : planApparmor(apparmorProfile)),
    ...(selinuxLabel === '' ? [] : planAttribute('exec', selinuxLabel, `run it with the label ${selinuxLabel}`)),
  ]
}

/** Throws `unsupported` for a linux.mountLabel where SELinux is not active: the kernel would refuse each mount as an odd option. */
export function refuseInactiveMountLabel(label: string | undefined, host: LabelHost): void {
  if (label !== undefined && label !== '') refuseInactive('selinux', `mount with the SELinux label ${label}`, host)
}

/** The label of keyrings that the process makes; the kernel forgets it with execve. Before the keyring is joined. */
export const planKeyLabel = ({ selinuxLabel = '' }: Labels): readonly Step[] =>
  selinuxLabel === '' ? [] : planAttribute('keycreate', selinuxLabel, 'label its keyring')

/** The label of files that the process makes, until it is given another or an empty one. */
export const planFileLabel = (label: string): readonly Step[] =>
  planAttribute('fscreate', label, `make files with the label ${label || 'of the policy'}`)

/** Linux 5.8 gave AppArmor a directory of its own, as several modules may be active; before, it was whoever comes first. */
function planApparmor(profile: string): readonly Step[] {
  const why = `run it with the AppArmor profile ${profile}`
  return [
    {
      call: openOwnProc('self/attr/apparmor/exec', O_WRONLY),
      why,
      see: SEE_APPARMOR,
      into: FILE,
      tolerate: ['ENOENT'],
      otherwise: [{ call: openOwnProc('self/attr/exec', O_WRONLY), why, see: SEE_APPARMOR, into: FILE }],
    },
    { call: write(FILE, `exec ${profile}`, utf8Length(profile) + 'exec '.length), why, see: SEE_APPARMOR },
    { call: close(FILE), why, see: SEE_APPARMOR },
  ]
}

const planAttribute = (attribute: string, label: string, why: string): readonly Step[] => [
  { call: openOwnProc(`self/attr/${attribute}`, O_WRONLY), why, see: SEE_SELINUX, into: FILE },
  { call: write(FILE, label, utf8Length(label)), why, see: SEE_SELINUX },
  { call: close(FILE), why, see: SEE_SELINUX },
]

function refuseInactive(module: string, operation: string, { securityModules }: LabelHost): void {
  if (securityModules === undefined || securityModules.includes(module)) return
  throw new OperationError({
    kind: 'unsupported',
    operation,
    reason: `${module} is not active on this host`,
    hint: `take the label out of config.json, or boot with ${module} in the lsm= parameter of the kernel`,
    see: ['kernel:admin-guide/LSM/index.rst'],
  })
}
