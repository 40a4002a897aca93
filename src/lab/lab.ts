/** What a lab is: labs/NN-NAME has its page, its checker, a solution and a wrong answer. labs/README.md */

import type { CgroupLayout } from '../linux/cgroup.ts'
import type { Look } from './look.ts'

export interface Lab {
  /** What `coffer lab start` takes, and the end of the names of all that the learner makes: `coffer-lab-NAME`. */
  readonly name: string
  /** Why it cannot be done on a machine with these control groups; undefined if it can. */
  readonly lacks?: (layout: CgroupLayout) => string | undefined
  /** What is missing, a line each: with the pid, file or name that it is about, and what it is now. */
  readonly check: (look: Look) => readonly string[]
}

/** A lab with its page, in the order of labs/. */
export interface Paged extends Lab {
  readonly number: number
  readonly page: string
}

/** The first line of a page is `# NUMBER. Title`. */
export const titleOf = ({ page }: Paged): string => page.slice(0, page.indexOf('\n')).replace(/^# \d+\. /, '')

/** The texts of the rows whose claim is false: what is missing. */
export const missing = (...rows: readonly (readonly [isThere: boolean, text: string])[]): readonly string[] =>
  rows.filter(([isThere]) => !isThere).map(([, text]) => text)

/** For a lab that needs controllers of v1 with a mount of their own. */
export const needsV1 =
  (...controllers: readonly string[]) =>
  ({ hierarchies }: CgroupLayout): string | undefined => {
    const absent = controllers.filter(
      (name) => !hierarchies.some((one) => one.version === 1 && one.controllers.includes(name)),
    )
    return absent.length === 0 ? undefined : `no hierarchy of cgroup v1 has ${absent.join(' or ')} on this machine`
  }

/** For a lab that mounts a controller of v1 itself: nobody else may use it in another combination. */
export const needsV1Kernel =
  (controller: string) =>
  ({ hierarchies, unmounted }: CgroupLayout): string | undefined =>
    hierarchies.some(({ controllers }) => controllers.join() === controller) ||
    unmounted.some((names) => names.join() === controller)
      ? undefined
      : `${controller} of cgroup v1 is not in this kernel, or is mounted together with others`

/** For a lab that limits by v2. */
export const needsV2 =
  (...controllers: readonly string[]) =>
  ({ hierarchies, available, mode }: CgroupLayout): string | undefined => {
    if (!hierarchies.some(({ version }) => version === 2)) return 'cgroup v2 is not mounted on this machine'
    const absent = controllers.filter((name) => !available.includes(name))
    if (absent.length === 0) return undefined
    return mode === 'v2'
      ? `cgroup v2 has no controller ${absent.join(', ')} on this machine`
      : `cgroup v1 holds the controllers ${absent.join(', ')} on this machine, and a controller is in one hierarchy alone`
  }
