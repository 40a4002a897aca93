/** A container as docker's lists show it, in the words of its templates. */

import { durationText } from '../base/since.ts'
import { sizeText } from '../base/size.ts'
import { sorted } from '../base/sorted.ts'
import { readConnection } from '../engine/connection.ts'
import { type EngineContainer, UNSEEN_STATUS } from '../engine/containers.ts'
import { type Health, healthOf } from '../engine/health.ts'
import { networkNames, portText } from '../engine/inspect-network.ts'
import type { Engine } from '../engine/place.ts'
import { writtenSize } from '../engine/size.ts'

export interface ViewOptions {
  readonly truncates: boolean
  readonly withSize: boolean
  readonly nowMs: number
}

/** Words by name, and what a template may call. */
export type Row = Readonly<Record<string, string | ((name: string) => string)>>

/** The names that a template may use, and what stands above their columns. */
export const CONTAINER_HEADERS: Readonly<Record<string, string>> = {
  Command: 'COMMAND',
  CreatedAt: 'CREATED AT',
  ID: 'CONTAINER ID',
  Image: 'IMAGE',
  Labels: 'LABELS',
  LocalVolumes: 'LOCAL VOLUMES',
  Mounts: 'MOUNTS',
  Names: 'NAMES',
  Networks: 'NETWORKS',
  Ports: 'PORTS',
  RunningFor: 'CREATED',
  Size: 'SIZE',
  State: 'STATE',
  Status: 'STATUS',
}

const COMMAND_CHARACTERS = 20

export function containerView(engine: Engine, container: EngineContainer, options: ViewOptions): Row {
  const { record } = container
  const { truncates, nowMs } = options
  const command = record.intent.args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg)).join(' ')
  const shown =
    truncates && [...command].length > COMMAND_CHARACTERS
      ? `${[...command].slice(0, COMMAND_CHARACTERS - 1).join('')}…`
      : command
  return {
    Command: JSON.stringify(shown),
    CreatedAt: clockText(record.created),
    ID: truncates ? record.id.slice(0, 12) : record.id,
    Image: record.image.name,
    Label: (name) => record.labels[name] ?? '',
    Labels: Object.entries(sorted(record.labels))
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
    LocalVolumes: `${record.intent.mounts.filter(({ kind }) => kind === 'volume').length}`,
    Mounts: record.intent.mounts
      .flatMap((one) => (one.kind === 'tmpfs' ? [] : [one.kind === 'volume' ? one.name : one.source]))
      .join(','),
    Names: record.name,
    Networks: networkNames(record).split(',').sort().join(','),
    Ports: portsOf(engine, container),
    RunningFor: `${durationText((nowMs - Date.parse(record.created)) / 1000)} ago`,
    Size: options.withSize ? sizeOf(engine, container) : '0B',
    State: container.status,
    Status: statusText(container, nowMs, healthOf(engine, container)),
  }
}

/** `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`. */
export function statusText(container: EngineContainer, nowMs: number, health?: Health): string {
  const since = (text: string): string => durationText((nowMs - Date.parse(text)) / 1000)
  switch (container.status) {
    case 'created':
      return 'Created'
    case 'running':
      return `Up ${since(container.started)}${health === undefined ? '' : ` (${healthText(health)})`}`
    case 'paused':
      return `Up ${since(container.started)} (Paused)`
    case 'restarting':
    case 'exited': {
      const { exit, started } = container
      const word = container.status === 'exited' ? 'Exited' : 'Restarting'
      return `${word} (${exit?.status ?? UNSEEN_STATUS}) ${since(exit?.at ?? started)} ago`
    }
  }
}

const healthText = ({ status }: Health): string => (status === 'starting' ? 'health: starting' : status)

/** Go's default for a time, in UTC. */
export const clockText = (rfc3339: string): string => `${rfc3339.slice(0, 10)} ${rfc3339.slice(11, 19)} +0000 UTC`

function portsOf(engine: Engine, { record }: EngineContainer): string {
  const connection = readConnection(engine, record.id)
  return connection === undefined ? '' : portText(connection, record.exposed ?? [])
}

function sizeOf(engine: Engine, { record }: EngineContainer): string {
  const { written, whole } = writtenSize(engine, record)
  return `${sizeText(written)} (virtual ${sizeText(whole)})`
}
