/** What images, containers and volumes take on the disk, and how much of it nobody uses. Source: docker: api, SystemDataUsage; cli/formatter */

import { readImages, type StoredImage } from '../image/layout.ts'
import { type EngineContainer, listEngineContainers } from './containers.ts'
import { layerBytesOf } from './images.ts'
import { containerPath, type Engine, volumePath } from './place.ts'
import { sizesOf } from './size.ts'
import { listVolumes, type Volume } from './volumes.ts'

export interface DiskUse {
  readonly images: readonly {
    readonly image: StoredImage
    readonly users: number
    readonly sizeBytes: number
    readonly sharedBytes: number
  }[]
  readonly containers: readonly { readonly container: EngineContainer; readonly sizeBytes: number }[]
  readonly volumes: readonly { readonly volume: Volume; readonly users: number; readonly sizeBytes: number }[]
  /** Of all layers, those of several images once. */
  readonly layerBytes: number
  /** Of layers that no image with a container has. */
  readonly unusedLayerBytes: number
}

export const isAlive = ({ status }: EngineContainer): boolean =>
  status === 'running' || status === 'paused' || status === 'restarting'

export function diskUse(engine: Engine): DiskUse {
  const { machine, dataRoot } = engine
  const containers = listEngineContainers(engine)
  const images = readImages(machine.files, dataRoot)
  const usersOf = ({ id }: StoredImage): number => containers.filter(({ record }) => record.image.id === id).length
  const sizes = new Map(images.flatMap((image) => [...layerBytesOf(engine, image)]))
  const sum = (layers: Iterable<string>): number =>
    [...new Set(layers)].reduce((total, one) => total + (sizes.get(one) ?? 0), 0)
  const layersOf = (some: readonly StoredImage[]): readonly string[] => some.flatMap(({ config }) => config.diffIds)
  const used = layersOf(images.filter((image) => usersOf(image) > 0))
  const volumes = listVolumes(engine)
  const written = sizesOf(
    engine,
    containers.map(({ record }) => `${containerPath(engine, record.id)}/upper`),
  )
  const kept = sizesOf(
    engine,
    volumes.map(({ name }) => `${volumePath(engine, name)}/_data`),
  )
  return {
    images: images.map((image) => {
      const others = new Set(layersOf(images.filter((other) => other !== image)))
      const { diffIds } = image.config
      return {
        image,
        users: usersOf(image),
        sizeBytes: sum(diffIds),
        sharedBytes: sum(diffIds.filter((one) => others.has(one))),
      }
    }),
    containers: containers.map((container, at) => ({
      container,
      sizeBytes: written[at] ?? 0,
    })),
    volumes: volumes.map((volume, at) => ({
      volume,
      users: containers.filter(({ record }) =>
        record.intent.mounts.some((one) => one.kind === 'volume' && one.name === volume.name),
      ).length,
      sizeBytes: kept[at] ?? 0,
    })),
    layerBytes: sum(layersOf(images)),
    unusedLayerBytes: sum(layersOf(images)) - sum(used),
  }
}
