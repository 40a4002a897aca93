/**
 * Where the engine keeps what outlives a command: files, each of which appears and changes at once, by rename(2), symlink(2) or mkdir(2).
 *
 *     images/ layers/            the store of images: image/layout.ts
 *     names/NAME                 a symbolic link whose text is the id of the container with that name; making it is what takes the name
 *     events events.1            what has happened: events.ts
 *     containers/ID/container.json   what was asked for; the container exists from the moment this file does
 *     containers/ID/leaving.json     without container.json beside it: that its anonymous volumes go with it
 *     containers/ID/started      when it was started last
 *     containers/ID/exit         how it ended last: native/monitor.c
 *     containers/ID/sent         the signal that coffer sent last, and who: sent.ts
 *     containers/ID/memory-end   what was killed for want of memory: end.ts
 *     containers/ID/log          what it printed: logs.ts
 *     containers/ID/stopped restarts waiting   what the restart policy goes by: restart.ts, waiting.ts
 *     containers/ID/health       what its health checks have said: health.ts
 *     containers/ID/upper work   what it has written
 *     containers/ID/rootfs       an empty directory, at which its root is mounted in its own mount namespace
 *     containers/ID/network.json     its addresses, while it runs: connection.ts
 *     containers/ID/hosts hostname resolv.conf   mounted over those of the image
 *     boxes/ID                   the network of a box of the library: box-network.ts
 *     networks/NAME              network/networks.ts, network/members.ts
 *     volumes/NAME/volume.json   a volume; its files are in volumes/NAME/_data
 *     mounted/NAME               a volume that is a file system of its own, while containers use it: mounted-volumes.ts
 *     mountpoints                a layer below those of images: mount-points.ts
 *     init                       the program of --init: native/reaper.c
 */

import type { Machine } from '../container/machine.ts'
import { ATTACH_DIRECTORY, NETWORKS_DIRECTORY } from '../container/store.ts'
import type { Foreseen } from '../network/foreseen.ts'
import type { Host } from '../plan/host.ts'

export interface Engine {
  readonly machine: Machine
  /** Absolute. */
  readonly dataRoot: string
  /** What a command goes by that asks several times: it is read once, when it is first wanted. */
  readonly host: () => Host
  /** This program, which the monitor runs to clean up. */
  readonly program: string
  /** For who only looks at what would be taken of networks: container-network.ts. Nothing is locked or written then. */
  readonly foreseen?: Foreseen | undefined
}

export const containersDirectory = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/containers`
export const containerPath = (engine: Pick<Engine, 'dataRoot'>, id: string): string =>
  `${isBox(id) ? boxesDirectory(engine) : containersDirectory(engine)}/${id}`
/** Boxes of the library that are in networks: containers to these, and to nothing else of the engine. */
export const boxesDirectory = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/boxes`
/** The pid and the start time of the program that has it, and a number: sandbox/machine-node.ts. Ids of containers are hexadecimal. */
export const BOX_ID: RegExp = /^lib-(\d+)-(\d+)-\d+$/
export const isBox = (id: string): boolean => BOX_ID.test(id)
export const namesDirectory = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/names`
export const volumesDirectory = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/volumes`
export const volumePath = (engine: Pick<Engine, 'dataRoot'>, name: string): string =>
  `${volumesDirectory(engine)}/${name}`
/** Not below the volume: whoever removes that must not reach what is mounted here. */
export const mountedVolumesDirectory = ({ dataRoot }: Pick<Engine, 'dataRoot'>): string => `${dataRoot}/mounted`
export const mountedVolumePath = (engine: Pick<Engine, 'dataRoot'>, name: string): string =>
  `${mountedVolumesDirectory(engine)}/${name}`
/** Where the monitor listens; below the run root, as the path of a socket has room for 107 bytes. */
export const attachPath = ({ machine }: Pick<Engine, 'machine'>, id: string): string =>
  `${machine.root}/${ATTACH_DIRECTORY}/${id.slice(0, 32)}`
/** The network namespace of a container: a file that keeps it. */
export const networkDirectory = ({ machine }: Pick<Engine, 'machine'>): string =>
  `${machine.root}/${NETWORKS_DIRECTORY}`
export const networkFile = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkDirectory(engine)}/${id}`
