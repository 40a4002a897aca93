/** What a container mounts of a volume, once the volume is there: its options say where its files are. */

import type { IntentMount } from './intent.ts'
import { mountedFiles } from './mounted-volumes.ts'
import type { Engine } from './place.ts'
import { volumeFiles } from './volume-options.ts'
import { findVolume } from './volumes.ts'

export type VolumeMount = Extract<IntentMount, { readonly kind: 'volume' }>

/** One without options is as it was. */
export function withFilesOfVolume(engine: Engine, one: VolumeMount): VolumeMount {
  const files = volumeFiles(one.name, findVolume(engine, one.name).options ?? {})
  switch (files.kind) {
    case 'own':
      return one
    case 'directory': {
      const options = [...one.options.filter((option) => option !== 'rbind'), ...files.options]
      return { ...one, source: files.path, options: [...new Set(options)] }
    }
    case 'file-system': {
      const { kind: _, ...fileSystem } = files
      return { ...one, source: mountedFiles(engine, one.name), fileSystem }
    }
  }
}
