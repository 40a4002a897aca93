/** A request → an OCI configuration, once, with docker's defaults for what it leaves open. From the document on there is one way. */

import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import { nearest } from '../base/nearest.ts'
import { allCapabilities, type Capability, isCapability } from '../linux/capabilities.ts'
import { OCI_VERSION } from '../oci/version.ts'
import { type MobyDefault, mobyDefaultProfile } from '../seccomp/moby-default.ts'
import { mobyProfile } from '../seccomp/moby-profile.ts'
import { INIT_PATH, mountsOf } from './config-mounts.ts'
import type { Intent, IntentRoot } from './intent.ts'
import { resourcesDocument } from './intent-resources.ts'

export interface IntentFacts {
  readonly architecture: 'x86_64' | 'aarch64'
  readonly kernel: { readonly major: number; readonly minor: number }
  readonly hasCgroupV2Only: boolean
  /** Without privilege over the machine overlays keep their notes in attributes of users. kernel:filesystems/overlayfs.rst "User xattr" */
  readonly isRootless: boolean
  /** What the caller may give: nobody has more than all of these. */
  readonly capabilities: readonly Capability[]
}

/** The document; it has still to be read by oci/config.ts, as one that came from elsewhere. `id` is that of the container. */
export function configOf(intent: Intent, facts: IntentFacts, id: string): object {
  const { namespaces, privileged, security } = intent
  // Who has no tree of its own has that of another, or of the host, as it is: plan/init.ts.
  const hasTree = namespaces.mount.kind === 'private'
  const hides = hasTree && !privileged && security.hidesSystemPaths
  const isNamed = namespaces.uts.kind === 'private'
  return {
    ociVersion: OCI_VERSION,
    process: processOf(intent, facts),
    root: {
      path: intent.root.kind === 'directory' || !hasTree ? treeOf(intent.root) : intent.root.at,
      readonly: hasTree && intent.readonlyRoot,
    },
    hostname: isNamed ? intent.hostname : undefined,
    domainname: isNamed ? intent.domainname : undefined,
    mounts: hasTree ? mountsOf(intent, facts) : [],
    annotations: intent.annotations,
    linux: {
      namespaces: namespacesOf(intent),
      ...(namespaces.user.kind === 'private' ? intent.userMaps : {}),
      timeOffsets:
        intent.timeOffset === undefined ? undefined : { monotonic: intent.timeOffset, boottime: intent.timeOffset },
      cgroupsPath: intent.cgroupParent === undefined ? undefined : `${intent.cgroupParent}/${id}`,
      resources: { devices: deviceRulesOf(intent), ...resourcesDocument(intent.resources) },
      devices: hasTree ? intent.devices : [],
      sysctl: intent.sysctls,
      maskedPaths: [...(hides ? words(MASKED) : []), ...(intent.hiddenPaths ?? [])],
      readonlyPaths: hides ? words(READONLY) : [],
      seccomp: seccompOf(intent, facts),
    },
  }
}

const treeOf = (root: IntentRoot): string => (root.kind === 'directory' ? root.path : '/')

function processOf(intent: Intent, facts: IntentFacts): object {
  const capabilities = capabilitiesOf(intent, facts)
  const { initPath, security } = intent
  return {
    terminal: intent.terminal,
    user: intent.user,
    args: initPath === undefined ? intent.args : [INIT_PATH, '--', ...intent.args],
    env: environmentOf(intent),
    cwd: intent.cwd,
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    rlimits: intent.ulimits.map(({ type, soft, hard }) => ({ type, soft: limitOf(soft), hard: limitOf(hard) })),
    noNewPrivileges: intent.noNewPrivileges,
    apparmorProfile: security.apparmorProfile,
    oomScoreAdj: intent.oomScoreAdj,
  }
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What every container of docker has, in its order; what was asked for counts. */
function environmentOf({ env, hostname, namespaces, home, term }: Intent): readonly string[] {
  if (home === undefined) return env
  const all = new Map([['PATH', DEFAULT_PATH]])
  if (namespaces.uts.kind === 'private') all.set('HOSTNAME', hostname)
  if (term !== undefined) all.set('TERM', term)
  for (const word of env) all.set(word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1))
  if (!all.has('HOME')) all.set('HOME', home)
  return [...all].map(([name, value]) => `${name}=${value}`)
}

/** RLIM_INFINITY. */
const limitOf = (limit: number): number | bigint => (limit === -1 ? 0xffff_ffff_ffff_ffffn : limit)

const words = (text: string): readonly string[] => text.split(' ')

const DEFAULT_CAPABILITIES =
  'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP ' +
  'CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE'

export const MASKED: string =
  '/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi ' +
  '/proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware'

export const READONLY: string = '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger'

/** As docker: `ALL` in what is added starts from all, in what is dropped from none. */
export function capabilitiesOf(
  { privileged, capabilitiesAdded, capabilitiesDropped }: Intent,
  { capabilities }: IntentFacts,
): readonly string[] {
  if (privileged) return capabilities
  const added = capabilitiesAdded.map(capabilityWord)
  const dropped = capabilitiesDropped.map(capabilityWord)
  const start: readonly string[] = added.includes('CAP_ALL')
    ? capabilities
    : dropped.includes('CAP_ALL')
      ? []
      : words(DEFAULT_CAPABILITIES)
  const kept = start.filter((name) => !dropped.includes(name))
  return [...kept, ...added.filter((name) => name !== 'CAP_ALL' && !kept.includes(name))]
}

/** A name that nobody knows would add nothing, or worse, drop nothing (SECURITY-CHECKS S58). */
function capabilityWord(word: string): string {
  const upper = word.toUpperCase()
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
  if (name === 'CAP_ALL' || isCapability(name)) return name
  const similar = nearest(name, allCapabilities())
  throw new OperationError({
    kind: 'invalid',
    operation: 'decide about capabilities',
    reason: `unknown capability: "${name}"`,
    hint: similar === undefined ? 'capabilities(7) has their names' : `did you mean ${JSON.stringify(similar)}?`,
    see: ['capabilities(7)'],
  })
}

function namespacesOf({ namespaces }: Intent): readonly object[] {
  return Object.entries(namespaces).flatMap(([type, choice]) => {
    if (choice.kind === 'host') return []
    return choice.kind === 'path' ? [{ type, path: choice.path }] : [{ type }]
  })
}

function deviceRulesOf({ privileged, deviceRules }: Intent): readonly object[] {
  return privileged
    ? [{ allow: true, access: 'rwm' }, ...deviceRules]
    : [{ allow: false, access: 'rwm' }, NO_TUN, ...deviceRules]
}

/** Runtimes allow /dev/net/tun for the sake of engines that cannot; here nobody relies on it: plan/cgroup-devices.ts. */
const NO_TUN = { allow: false, type: 'c', major: 10, minor: 200, access: 'rwm' }

function seccompOf(intent: Intent, facts: IntentFacts): object | undefined {
  const { seccomp } = intent.security
  if (seccomp === 'unconfined' || (seccomp === 'default' && intent.privileged)) return undefined
  const target: MobyDefault = {
    capabilities: capabilitiesOf(intent, facts) as readonly Capability[],
    nativeArchitecture: facts.architecture === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64',
    kernel: facts.kernel,
  }
  if (seccomp === 'default') return mobyDefaultProfile(target)
  const document = parseJson(seccomp.profile, 'the profile of --security-opt seccomp')
  return mobyProfile(typeof document === 'object' && document !== null ? document : {}, target)
}
