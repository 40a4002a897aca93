/**
 * What of the machine a container could leave behind beside its cgroups, processes and records; each line names one thing.
 *
 * Others run their containers here at the same time. So what everybody makes is looked at only where it has a word of ours in it, and the rest
 * is what no test may change: mounts, and rules of the firewall. scripts/test.ts gives each leg a mount namespace of its own, in which mounts of
 * others are not seen. Network devices and addresses are compared where the network namespace is the leg's own, as for the crash tests.
 */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Marks {
  /** All cgroups, processes and keyrings of a site have this word in their path or name. */
  readonly word: string
  /** All files and sockets of it are below this directory. */
  readonly directory: string
}

/** Without what takes a program or time to be seen: `ruleset`, `keysOf`. */
export const machineLines = (marks: Marks): readonly string[] => [
  ...hostMounts()
    .filter((line) => !isOfOthers(line, marks))
    .map((line) => `mount ${line}`),
  ...namespacesOf('self').map((line) => `own namespace ${line}`),
  ...(hasOwnNetwork() ? networkLines() : []),
  ...names('/run/netns')
    .filter((name) => name.includes(marks.word))
    .map((name) => `network namespace ${name}`),
  ...linesOf('/proc/net/unix')
    .filter((line) => line.includes(marks.directory))
    .map((line) => `socket ${line.split(' ').pop()}`),
  ...loopDevices(marks).map((line) => `loop device ${line}`),
]

/** Mounts of the host, without their ids, which the kernel uses again. */
export const hostMounts = (): readonly string[] =>
  linesOf('/proc/self/mountinfo').map((line) => line.split(' ').slice(2).join(' '))

/** Whoever runs beside makes mounts in a directory of its own for temporary files, and takes these from all mount namespaces with it: rmdir(2). */
function isOfOthers(line: string, { directory }: Marks): boolean {
  const [, , target = ''] = line.split(' ')
  return target.startsWith(`${tmpdir()}/`) && !`${target}/`.startsWith(`${directory}/`)
}

export const namespacesOf = (pid: number | 'self'): readonly string[] =>
  names(`/proc/${pid}/ns`)
    .filter((name) => !name.endsWith('_for_children'))
    .map((name) => readlinkSync(`/proc/${pid}/ns/${name}`))

/** Set by who made the network namespace: scripts/test.ts. */
const hasOwnNetwork = (): boolean => process.env.COFFER_OWN_NETWORK === '1'

const networkLines = (): readonly string[] => [
  ...devices().map((name) => `network device ${name}`),
  ...addresses().map((line) => `address ${line}`),
]

const devices = (): readonly string[] => linesOf('/proc/net/dev').flatMap((line) => /^ *([^ ]+):/.exec(line)?.[1] ?? [])

/** Local addresses of both families. proc_pid_net(5) */
function addresses(): readonly string[] {
  const trie = linesOf('/proc/net/fib_trie')
  const local = trie.filter((_, index) => /host LOCAL/.test(trie[index + 1] ?? '')).map((line) => line.trim())
  return [...new Set([...local, ...linesOf('/proc/net/if_inet6')])]
}

const loopDevices = ({ directory }: Marks): readonly string[] =>
  names('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => `${name} ${readText(join('/sys/block', name, 'loop', 'backing_file'))?.trim() ?? ''}`)
    .filter((line) => line.includes(directory))

/** The kernel lets go of the keyring of a process that has ended when it comes to it: kernel/cred.c, put_cred_rcu. */
export const keysOf = ({ word }: Marks): readonly string[] =>
  linesOf('/proc/keys')
    .filter((line) => line.includes(word))
    .map((line) => `key ${line}`)

/** All tables, chains and rules of the firewall, without their counters. */
export function ruleset(): readonly string[] {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['nft', '--json', '--stateless', 'list', 'ruleset'])
  // A kernel without nf_tables has no rules.
  if (/not supported/i.test(stderr.toString())) return []
  if (exitCode !== 0) throw new Error(`nft: ${stderr}`)
  const { nftables } = JSON.parse(stdout.toString()) as { readonly nftables: readonly object[] }
  return nftables.filter((one) => !('metainfo' in one)).map((one) => `firewall ${JSON.stringify(one)}`)
}

const names = (path: string): readonly string[] => (existsSync(path) ? readdirSync(path) : [])

const linesOf = (path: string): readonly string[] => (readText(path) ?? '').split('\n').filter((line) => line !== '')

/** Undefined for what is gone, a process that ends while it is looked at among it. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
