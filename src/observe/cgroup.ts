/**
 * The cgroup hierarchies of this machine, from /proc/self/mountinfo, /proc/self/cgroup and /proc/cgroups. cgroups(7)
 *
 * Read at each start of a container, so it looks only at lines that matter and asks nothing that a plan can try out itself.
 */

import type { Files } from '../base/files.ts'
import { type CgroupLayout, type Hierarchy, nameInV2 } from '../linux/cgroup.ts'
import { unescapeOctal } from './mounts.ts'

export interface LayoutQuestions {
  /** The effective uid of a caller without privilege: which hierarchies may it use? Undefined for a privileged one. */
  readonly unprivilegedUid?: number | undefined
  /** Also the sizes of huge pages. */
  readonly hugepages?: boolean | undefined
}

/** Reads the layout as the calling process sees it: in a cgroup namespace and in a container the view is cut, which is as it has to be. */
export function readCgroupLayout(files: Files, questions: LayoutQuestions = {}): CgroupLayout {
  const membership = membershipOf(files.readText('/proc/self/cgroup') ?? '')
  const mounts = preferred(cgroupMounts(files.readText('/proc/self/mountinfo') ?? '', membership))
  const hierarchies = mounts.map((mount) => hierarchyOf(mount, membership, files, questions))
  const mode = modeOf(hierarchies)
  const v2 = hierarchies.find(({ version }) => version === 2)
  // Beside v1 only what is handed on already is used, see plan/cgroup-place.ts: one file less to read.
  const available = v2 !== undefined && mode === 'v2' ? wordsOf(files, `${v2.mountPoint}/cgroup.controllers`) : []
  const enabled = v2 === undefined ? [] : wordsOf(files, `${v2.mountPoint}/cgroup.subtree_control`)
  const inUse = new Set([...available, ...enabled])
  for (const { controllers } of hierarchies) for (const controller of controllers) inUse.add(controller)
  return {
    mode,
    hierarchies,
    unmounted: unmountedControllers(files.readText('/proc/cgroups') ?? '', membership, inUse),
    available,
    enabled,
    ...(questions.hugepages === true ? { hugepageSizes: hugepageSizes(files) } : {}),
  }
}

/** Where a process is in each hierarchy that is mounted, and that shows its cgroup; none for one that is gone. */
export function readCgroupsOf(files: Files, pid: number | 'self'): readonly CgroupOf[] {
  const membership = membershipOf(files.readText(`/proc/${pid}/cgroup`) ?? '')
  const mounts = preferred(cgroupMounts(files.readText('/proc/self/mountinfo') ?? '', membership))
  return mounts.flatMap(({ version, name, controllers, root, mountPoint }) => {
    const path = membership.get(name)
    const inside = path === undefined ? undefined : below(path, root)
    return inside === undefined ? [] : [{ version, controllers, path: inside, mountPoint }]
  })
}

export interface CgroupOf extends Pick<Hierarchy, 'version' | 'controllers' | 'mountPoint'> {
  /** Below the mount point; `/` for the cgroup that is mounted. */
  readonly path: string
}

/** All cgroups below `directory`, the deepest first, which is the order in which they can be removed. */
export function listCgroupsBelow(files: Files, directory: string): readonly string[] {
  // A cgroup has two names, and one more for each cgroup in it: fs/kernfs/dir.c, kernfs_link_sibling.
  if ((files.status(directory)?.links ?? 0) <= 2) return []
  const found: string[] = []
  for (const name of files.list(directory) ?? []) {
    // Files of cgroups have a dot in their name or are one of these two; a cgroup may have one as well, so a dot decides nothing.
    if (name === 'tasks' || name === 'notify_on_release') continue
    const path = `${directory}/${name}`
    if (files.status(path)?.kind === 'directory') found.push(...listCgroupsBelow(files, path), path)
  }
  return found
}

interface CgroupMount {
  readonly version: 1 | 2
  /** The same list as one text: what /proc/self/cgroup calls the hierarchy. */
  readonly name: string
  readonly controllers: readonly string[]
  readonly root: string
  readonly mountPoint: string
  readonly readonly: boolean
}

/** Jumps from one cgroup mount to the next: a host with many containers has hundreds of lines about other things. */
function cgroupMounts(mountinfo: string, membership: ReadonlyMap<string, string>): readonly CgroupMount[] {
  const found: CgroupMount[] = []
  let at = mountinfo.indexOf(' - cgroup')
  while (at !== -1) {
    const begin = mountinfo.lastIndexOf('\n', at) + 1
    const newline = mountinfo.indexOf('\n', at)
    const end = newline === -1 ? mountinfo.length : newline
    found.push(mountOf(mountinfo.slice(begin, at), mountinfo.slice(at + 3, end), membership))
    at = mountinfo.indexOf(' - cgroup', end)
  }
  return found
}

/** Both halves of a line: `id parent device root mountPoint options …` and `type source superOptions`. proc_pid_mountinfo(5) */
function mountOf(left: string, right: string, membership: ReadonlyMap<string, string>): CgroupMount {
  const [, , , root = '/', mountPoint = '', options = ''] = left.split(' ')
  const version = right.startsWith('cgroup2 ') ? 2 : 1
  const superOptions = right.slice(right.lastIndexOf(' ') + 1)
  const name = version === 2 ? '' : nameOf(superOptions, membership)
  return {
    version,
    name,
    controllers: name === '' ? [] : name.split(','),
    root: unescapeOctal(root),
    mountPoint: unescapeOctal(mountPoint),
    readonly: isReadonly(options) || isReadonly(superOptions),
  }
}

const isReadonly = (options: string): boolean => options === 'ro' || options.startsWith('ro,')

/** `rw,cpu,cpuacct` → `cpu,cpuacct`; kernel/cgroup/cgroup-v1.c, cgroup1_show_options, adds other options to some hierarchies. */
function nameOf(superOptions: string, membership: ReadonlyMap<string, string>): string {
  const usual = superOptions.slice(3)
  if (membership.has(usual)) return usual
  return superOptions.split(',').filter(isController).join(',')
}

const isController = (option: string): boolean =>
  !option.startsWith('release_agent=') &&
  !' rw ro none noprefix xattr cpuset_v2_mode favordynmods clone_children seclabel '.includes(` ${option} `)

/** One mount for each hierarchy: a later one at the same place covers an earlier one; then those below /sys/fs/cgroup, then the first. */
function preferred(mounts: readonly CgroupMount[]): readonly CgroupMount[] {
  const byPlace = new Map<string, CgroupMount>()
  for (const mount of mounts) byPlace.set(mount.mountPoint, mount)
  const byHierarchy = new Map<string, CgroupMount>()
  byPlace.forEach((mount) => {
    const known = byHierarchy.get(mount.name)
    if (known === undefined || (!isUsual(known) && isUsual(mount))) byHierarchy.set(mount.name, mount)
  })
  return [...byHierarchy.values()]
}

const isUsual = ({ mountPoint }: CgroupMount): boolean => mountPoint.startsWith('/sys/fs/cgroup')

/** `4:memory:/user.slice` → the path for `memory`; the v2 line `0::/path` has an empty list. Values keep the order of the file. */
function membershipOf(text: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>()
  for (const line of text.split('\n')) {
    const first = line.indexOf(':')
    const second = line.indexOf(':', first + 1)
    if (second !== -1) paths.set(line.slice(first + 1, second), line.slice(second + 1))
  }
  return paths
}

function hierarchyOf(
  { version, name, controllers, mountPoint, root, readonly }: CgroupMount,
  membership: ReadonlyMap<string, string>,
  files: Files,
  { unprivilegedUid }: LayoutQuestions,
): Hierarchy {
  const path = membership.get(name)
  const own = path === undefined ? undefined : below(path, root)
  const where = own === undefined || version === 1 ? own : parentOf(own)
  const isDelegated =
    unprivilegedUid === undefined ||
    (where !== undefined && files.status(`${mountPoint}${where}/cgroup.procs`)?.uid === unprivilegedUid)
  return { version, controllers, mountPoint, own, readonly, isDelegated }
}

/**
 * `path` seen from the cgroup that is mounted.
 *
 * The kernel writes both relative to the reader's cgroup namespace. A root of `/..` is a mount from outside of it, which does not say by
 * which names it leads to the namespace: then the reader's own cgroup is out of sight. cgroup_namespaces(7)
 */
function below(path: string, root: string): string | undefined {
  if (root.startsWith('/..') || path.startsWith('/..')) return undefined
  if (root === '/') return path
  if (path === root) return '/'
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'

function modeOf(hierarchies: readonly Hierarchy[]): CgroupLayout['mode'] {
  const hasV2 = hierarchies.some(({ version }) => version === 2)
  const hasV1 = hierarchies.some(({ controllers }) => controllers.some((name) => !name.startsWith('name=')))
  if (hasV1) return hasV2 ? 'hybrid' : 'v1'
  if (hasV2) return 'v2'
  return hierarchies.length > 0 ? 'v1' : 'none'
}

/**
 * From /proc/cgroups, `name hierarchy cgroups enabled`. A hierarchy may live without a mount in sight, and then its controllers can only be
 * mounted together: /proc/self/cgroup says which they are.
 */
function unmountedControllers(
  text: string,
  membership: ReadonlyMap<string, string>,
  inUse: ReadonlySet<string>,
): readonly (readonly string[])[] {
  const known = new Set(inUse)
  const groups: (readonly string[])[] = []
  for (const line of text.split('\n')) {
    const name = line.slice(0, line.indexOf('\t'))
    if (name === '' || name.startsWith('#') || known.has(name) || known.has(nameInV2(name))) continue
    const [, hierarchy, , enabled] = line.split('\t')
    if (enabled !== '1') continue
    const group = hierarchy === '0' ? [name] : (companions(name, membership) ?? [name])
    for (const one of group) known.add(one)
    groups.push(group)
  }
  return groups
}

function companions(name: string, membership: ReadonlyMap<string, string>): readonly string[] | undefined {
  for (const list of membership.keys()) {
    const names = list.split(',')
    if (names.includes(name)) return names
  }
  return undefined
}

function wordsOf(files: Files, path: string): readonly string[] {
  const text = (files.readText(path) ?? '').trim()
  return text === '' ? [] : text.split(' ')
}

/** hugepages-2048kB → 2MB. kernel:mm/hugetlb_cgroup.c, mem_fmt */
function hugepageSizes(files: Files): readonly string[] {
  const sizes: string[] = []
  for (const name of files.list('/sys/kernel/mm/hugepages') ?? []) {
    const kibibytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1])
    if (kibibytes >= 1 << 20) sizes.push(`${kibibytes >> 20}GB`)
    else if (kibibytes >= 1 << 10) sizes.push(`${kibibytes >> 10}MB`)
    else if (kibibytes > 0) sizes.push(`${kibibytes}KB`)
  }
  return sizes.sort()
}
