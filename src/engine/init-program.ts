/** The program of `--init`, as a file that containers can have mounted: native/reaper.c. */

import { close, open, rename, writeAll } from '../executor/embedded-files.ts'
import { O_CREAT, O_TRUNC, O_WRONLY } from '../linux/files.ts'
import type { Engine } from './place.ts'

export const initProgramPath = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/init`

/** Of this version of coffer: another one leaves another file, and containers that run keep theirs. */
export function writeInitProgram(engine: Engine): void {
  const { native, files } = engine.machine
  const path = initProgramPath(engine)
  const image = new Uint8Array(native.reaperImage())
  const there = files.readBytes(path)
  if (there?.length === image.length && there.every((byte, index) => byte === image[index])) return
  const fd = open(native, `${path}.new`, O_WRONLY | O_CREAT | O_TRUNC, 0o755)
  try {
    writeAll(native, fd, image)
  } finally {
    close(native, fd)
  }
  rename(native, `${path}.new`, path)
}
