/**
 * Empty places for what is mounted in every container: a layer below those of all images, so that none has to be made in what a container
 * writes and removed with it. What an image has there covers it. docker makes a layer for each container for this: its `-init` ones.
 */

import { must } from '../executor/embedded-call.ts'
import { close, makeDirectories, makeDirectory, open } from '../executor/embedded-files.ts'
import { AT_FDCWD, O_CREAT, O_WRONLY } from '../linux/files.ts'
import { NAMED_FILES } from './config-mounts.ts'
import type { Engine } from './place.ts'

/** Where it is: intent.root.below. */
export const mountPointsDirectory = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/mountpoints`

const LAST = 'sys'

/** What several make at once, or some of which somebody left who was killed, is the same in the end: the last of it says that it is whole. */
export function makeMountPoints(engine: Engine): void {
  const { native, files } = engine.machine
  const directory = mountPointsDirectory(engine)
  if (files.status(`${directory}/${LAST}`) !== undefined) return
  // Whatever mask of modes the caller has, everybody in a container may look for them.
  const show = (path: string, mode: number): void => {
    must(native, `let everybody see ${path}`, 'fchmodat', AT_FDCWD, path, mode)
  }
  makeDirectories(native, directory, 0o755)
  show(directory, 0o755)
  const make = (name: string): void => {
    makeDirectory(native, `${directory}/${name}`, 0o755)
    show(`${directory}/${name}`, 0o755)
  }
  for (const name of ['etc', 'proc', 'dev']) make(name)
  for (const name of NAMED_FILES) {
    const path = `${directory}/etc/${name}`
    close(native, open(native, path, O_WRONLY | O_CREAT, 0o644))
    show(path, 0o644)
  }
  make(LAST)
}
