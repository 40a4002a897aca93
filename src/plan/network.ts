/**
 * The network of a container: a network namespace with a name, from which devices lead out (network-endpoint.ts).
 *
 * The executor makes the namespace itself and comes back out of it: a socket of rtnetlink stays in the one that it was opened in, so that from
 * then on it configures both sides. The container joins the namespace by its file, so no address is in the container's own plan. The namespace
 * is there before the container, and stays while it restarts. Whoever is killed in between leaves a file that `planNetworkRemoval` takes away.
 *
 * Source: rtnetlink(7), network_namespaces(7)
 */

import { type Slot, slot } from '../linux/call.ts'
import { AT_FDCWD, close, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY, openat, unlinkat, write } from '../linux/files.ts'
import { bindMount, MNT_DETACH, umount2 } from '../linux/mount.ts'
import { CLONE_NEWNET, setns, unshare } from '../linux/namespaces.ts'
import { PR_SET_PDEATHSIG, prctl } from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import { seeCaller } from './caller.ts'
import { type NetworkEgress, planNetworkEgress } from './network-egress.ts'
import { type Endpoint, planDetach, planDeviceRemoval, planEndpoint } from './network-endpoint.ts'
import { planRulesAhead } from './network-filter.ts'
import { planLoopback } from './network-lo.ts'
import { planResolver, type Resolver } from './network-resolver.ts'
import { HOSTS, INSIDE, NAMESPACE, ROUTE } from './network-slots.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { openRoute } from './rtnetlink.ts'

/** A file of /proc/sys and what goes into it. */
export type Setting = readonly [path: string, value: string]

export interface NetworkRequest {
  /** What errors call the container. */
  readonly name: string
  /** The file that keeps the namespace; absolute, in a directory that is there. */
  readonly file: string
  /** Without any the namespace has `lo` alone. */
  readonly endpoints: readonly Endpoint[]
  /** Batches for the packet filter: network-rules.ts. */
  readonly rules: readonly Uint8Array[]
  readonly settings: readonly Setting[]
  /** Undefined where no names are resolved. */
  readonly resolver?: Resolver | undefined
  /** For a list of hosts; without endpoints. */
  readonly egress?: NetworkEgress | undefined
}

const SIGKILL = signalNumber('SIGKILL')
const SEE: readonly Ref[] = ['rtnetlink(7)', 'network_namespaces(7)']

/** The namespace is new. */
export const planNetwork = ({ name, file, endpoints, rules, settings, ...beside }: NetworkRequest): Plan => ({
  operation: `make the network of ${name}`,
  steps: [
    ...withCaller,
    ...keepNamespace(file),
    openHosts,
    {
      call: unshare(CLONE_NEWNET),
      why: `make the network namespace of ${name}`,
      see: ['network_namespaces(7)'],
      // Which binds it to the file as well.
      typed: `unshare --net='${file}' true`,
    },
    ...planLoopback.map((step) => ({
      ...step,
      typed: step.call.name === 'ioctl' ? `nsenter --net='${file}' ip link set lo up` : '',
    })),
    {
      call: bindMount('/proc/self/ns/net', file, { recursive: false }),
      why: `keep the network namespace of ${name}`,
      see: ['namespaces(7)'],
      typed: '',
      undo: [{ call: umount2(file, MNT_DETACH), why: 'let go of the network namespace', see: ['umount(2)'] }],
    },
    ...comeBack,
    ...openNamespace(file),
    ...endpoints.flatMap((one) => planEndpoint(one, file)),
    ...settings.flatMap(planSetting),
    ...rules.flatMap(planRulesAhead),
    ...planProcesses(beside),
  ],
})

/** Without root: what is beside a container in a namespace that others keep. */
export const planHeldNetwork = ({ name, egress }: Required<Pick<NetworkRequest, 'name' | 'egress'>>): Plan => ({
  operation: `make the network of ${name}`,
  steps: [...withCaller, ...planProcesses({ egress })],
})

const planProcesses = ({ resolver, egress }: Pick<NetworkRequest, 'resolver' | 'egress'>): readonly Step[] => [
  ...(resolver === undefined ? [] : planResolver(resolver)),
  ...(egress === undefined ? [] : planNetworkEgress(egress)),
]

export interface NetworkChange {
  readonly name: string
  readonly file: string
  readonly add: readonly Endpoint[]
  readonly remove: readonly Endpoint[]
  readonly rules: readonly Uint8Array[]
  readonly settings: readonly Setting[]
  /** In the place of those before, which have ended. */
  readonly resolver?: Resolver | undefined
  readonly egress?: NetworkEgress | undefined
}

/** One device more or less in a namespace that is there, be its container running or not. */
export const planNetworkChange = (change: NetworkChange): Plan => ({
  operation: `change the network of ${change.name}`,
  steps: [
    ...withCaller,
    openHosts,
    ...openNamespace(change.file),
    { call: setns(NAMESPACE, CLONE_NEWNET), why: 'configure the devices of the container', see: ['setns(2)'] },
    ...comeBack,
    ...change.remove.flatMap(planDetach),
    ...change.add.flatMap((one) => planEndpoint(one, change.file)),
    ...change.settings.flatMap(planSetting),
    ...change.rules.flatMap(planRulesAhead),
    ...planProcesses(change),
  ],
})

/**
 * It holds the locks, and we with it until we are gone: whoever has them next must not meet us at work. What is there then, the next command takes away; all of it was
 * written down before.
 */
const withCaller: readonly Step[] = [
  {
    call: prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0),
    why: 'end with the caller',
    see: ['PR_SET_PDEATHSIG(2const)'],
    typed: '',
  },
  { ...seeCaller, typed: '' },
]

/** The file comes first, as the name of the namespace: nobody else makes one for the same container. */
function keepNamespace(file: string): readonly Step[] {
  const made = slot('namespace-file')
  const why = 'have a file for the network namespace'
  return [
    {
      call: openat(AT_FDCWD, file, O_RDONLY | O_CREAT | O_EXCL, 0),
      why,
      see: ['namespaces(7)'],
      into: made,
      typed: `mkdir -p '${file.slice(0, file.lastIndexOf('/'))}' && : > '${file}'`,
      undo: [{ call: unlinkat(AT_FDCWD, file), why: 'take the file away', see: ['unlink(2)'] }],
    },
    { call: close(made), why, see: ['close(2)'] },
  ]
}

const openHosts: Step = {
  call: openat(AT_FDCWD, '/proc/self/ns/net', O_RDONLY),
  why: 'know the network namespace of this machine',
  see: SEE,
  into: HOSTS,
}

const openNamespace = (file: string): readonly Step[] => [
  {
    call: openat(AT_FDCWD, file, O_RDONLY),
    why: 'know the network namespace of the container',
    see: SEE,
    into: NAMESPACE,
  },
]

/** In the namespace of the container, with a socket that stays there. */
const comeBack: readonly Step[] = [
  openRoute(INSIDE),
  { call: setns(HOSTS, CLONE_NEWNET), why: 'come back to the network of this machine', see: ['setns(2)'], typed: '' },
  openRoute(ROUTE),
]

function planSetting([path, value]: Setting): readonly Step[] {
  const file: Slot = slot('setting')
  const why = `set ${path} to ${value}`
  return [
    { call: openat(AT_FDCWD, path, O_WRONLY), why, see: ['kernel:networking/ip-sysctl.rst'], into: file },
    { call: write(file, value, value.length), why, see: ['kernel:networking/ip-sysctl.rst'] },
    { call: close(file), why, see: ['close(2)'] },
  ]
}

export interface NetworkRemoval {
  readonly name: string
  readonly file: string
  readonly rules: readonly Uint8Array[]
  readonly settings: readonly Setting[]
}

/** Whatever of it is there: with the namespace its devices go, and with the inner end the outer one. */
export function planNetworkRemoval({ name, file, rules, settings }: NetworkRemoval): Plan {
  const why = `let go of the network namespace of ${name}`
  return {
    operation: `remove the network of ${name}`,
    steps: [
      ...withCaller,
      { call: umount2(file, MNT_DETACH), why, see: ['umount(2)'], tolerate: ['EINVAL', 'ENOENT'] },
      { call: unlinkat(AT_FDCWD, file), why, see: ['unlink(2)'], tolerate: ['ENOENT'] },
      ...rules.flatMap(planRulesAhead),
      ...settings.flatMap(planSetting),
    ],
  }
}

/** Whether it is there or not: with the first container of a network it comes. */
export const planBridgeRemoval = (device: string): Plan => ({
  operation: `remove the device ${device}`,
  steps: [...withCaller, openRoute(ROUTE), ...planDeviceRemoval(device)],
})
