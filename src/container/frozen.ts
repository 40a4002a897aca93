/** Whether a cgroup is frozen, or on the way there. */

import type { Files } from '../base/files.ts'

/** kernel:admin-guide/cgroup-v1/freezer-subsystem.rst, kernel:admin-guide/cgroup-v2.rst "cgroup.freeze" */
export function isFrozen(files: Files, paths: Readonly<Record<string, string>>): boolean {
  const v1 = paths.freezer
  if (v1 !== undefined) {
    const state = files.readText(`${v1}/freezer.state`)
    return state !== undefined && state.trim() !== 'THAWED'
  }
  const v2 = paths['']
  return v2 !== undefined && files.readText(`${v2}/cgroup.freeze`)?.trim() === '1'
}
