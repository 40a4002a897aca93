/** Files that are nowhere but in memory. memfd_create(2) */

import type { Call, Slot } from './call.ts'
import { fcntl } from './files.ts'

const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
const F_ADD_SEALS = 1033
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE */
const ALL_SEALS = 15

export const memfdCreate = (name: string): Call => ({
  name: 'memfd_create',
  args: [name, MFD_CLOEXEC | MFD_ALLOW_SEALING],
})

/** From here on nobody changes the file. */
export const sealAll = (fd: Slot): Call => fcntl(fd, F_ADD_SEALS, ALL_SEALS)
