/** The network of a container in docker's words. Source: docker: api/swagger.yaml, NetworkSettings */

import type { Json } from '../base/json.ts'
import type { Connection } from './container-network.ts'
import type { ContainerRecord, PortWish } from './record.ts'

/** `bridge`, another network, `none`, `host`, or the path of the namespace that it joins. */
export function networkMode({ network, intent }: Pick<ContainerRecord, 'network' | 'intent'>): string {
  if (network.kind === 'bridge') return network.network
  const { network: choice } = intent.namespaces
  return choice.kind === 'path' ? `ns:${choice.path}` : choice.kind === 'host' ? 'host' : 'none'
}

/** `PORT/PROTOCOL` → where this machine has it. */
export const portBindings = (ports: readonly PortWish[]): { readonly [port: string]: Json } =>
  Object.fromEntries(
    ports.map(({ port, protocol }) => [
      `${port}/${protocol}`,
      ports
        .filter((one) => one.port === port && one.protocol === protocol)
        .map(({ hostAddress, hostPort }) => ({ HostIp: hostAddress ?? ANY, HostPort: `${hostPort}` })),
    ]),
  )

const ANY = '0.0.0.0'

/** `connection` is undefined while it does not run. */
export function networkSettings(
  { network }: Pick<ContainerRecord, 'network'>,
  connection: Connection | undefined,
  sandboxKey: string,
): { readonly [name: string]: Json } {
  const aliases = network.kind === 'bridge' ? network.aliases : []
  const networks: { readonly [name: string]: Json } =
    network.kind !== 'bridge'
      ? {}
      : {
          [network.network]: {
            Aliases: aliases,
            Gateway: connection?.gateway ?? '',
            IPAddress: connection?.address ?? '',
            IPPrefixLen: connection?.prefixLength ?? 0,
            MacAddress: connection?.hardwareAddress ?? '',
          },
        }
  return {
    SandboxID: '',
    SandboxKey: sandboxKey,
    Ports: portBindings(connection?.ports ?? []),
    Networks: networks,
  }
}

/** As `ps` has it: `0.0.0.0:8080->80/tcp`. */
export const portText = ({ ports }: Pick<Connection, 'ports'>): string =>
  ports
    .map(({ hostAddress, hostPort, port, protocol }) => `${hostAddress ?? ANY}:${hostPort}->${port}/${protocol}`)
    .join(', ')
