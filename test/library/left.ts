/** What containers of the library leave on the host. */

import { existsSync, readdirSync } from 'node:fs'
import { readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'

/** Cgroups whose names begin so, in all hierarchies. */
export const cgroupsBelow = (prefix: string): readonly string[] =>
  readCgroupLayout(nodeFiles()).hierarchies.flatMap(({ mountPoint }) =>
    existsSync(mountPoint)
      ? readdirSync(mountPoint)
          .filter((name) => name.startsWith(prefix))
          .map((name) => `${mountPoint}/${name}`)
      : [],
  )
