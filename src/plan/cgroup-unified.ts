/** `linux.resources.unified`: files of cgroup v2 as the user names them. Source: oci:runtime-spec/config-linux.md#unified */

import type { CgroupLayout } from '../linux/cgroup.ts'
import type { UnifiedSetting } from '../oci/resources.ts'
import { refuseLimit, setFile, V2 } from './cgroup-files.ts'
import { handedOn, type Place } from './cgroup-place.ts'
import type { Step } from './plan.ts'

/** Behind all other limits, so that it has the last word. Throws `unsupported` where the file's controller is not there. */
export function planUnified(
  settings: readonly UnifiedSetting[],
  places: readonly Place[],
  layout: CgroupLayout,
): readonly Step[] {
  const v2 = places.find(({ version }) => version === 2)
  return settings.flatMap(({ file, value }) => {
    const field = `unified[${JSON.stringify(file)}]`
    if (v2 === undefined)
      return refuseLimit('unsupported', field, 'it is a setting of cgroup v2, which is not mounted for this caller')
    const controller = controllerOf(file)
    if (controller !== undefined && !handedOn(layout).includes(controller)) {
      return refuseLimit(
        'unsupported',
        field,
        `cgroup v2 has no ${controller} controller here`,
        hintFor(layout, controller),
      )
    }
    // Each line is a setting of its own to files such as io.max.
    const lines = value.split('\n').filter((line) => line !== '')
    const reason = { why: `set ${file} as configured`, see: [`${V2} "${file}"`] }
    return lines.length === 0 ? [] : setFile(v2, file, lines, reason)
  })
}

/** Files of the core and those of pressure are there without a controller. */
export function controllerOf(file: string): string | undefined {
  const controller = file.slice(0, file.indexOf('.'))
  return controller === 'cgroup' || file.endsWith('.pressure') ? undefined : controller
}

function hintFor({ mode, hierarchies }: CgroupLayout, controller: string): string | undefined {
  const name = controller === 'io' ? 'blkio' : controller
  const v1 = hierarchies.find(({ controllers }) => controllers.includes(name))
  return mode === 'hybrid' && v1 !== undefined ? `${name} belongs to cgroup v1 at ${v1.mountPoint}` : undefined
}
