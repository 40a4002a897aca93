/** What of the network a container may reach. */

/**
 * | network       | the command reaches                                                                       |
 * |---------------|-------------------------------------------------------------------------------------------|
 * | `'none'`      | a loopback of its own                                                                     |
 * | `'host'`      | all that this machine reaches, and its abstract sockets                                   |
 * | `'bridge'`    | what containers of `coffer run` reach: the network of the engine that has this name         |
 * | `{ name }`    | a network that `coffer network create` made, and by their names who is in it              |
 * | `{ allow }`   | these hosts over TCP, and no other: connections are refused, other names do not exist     |
 *
 * A host is `example.com:443`, `*.example.com:443` (any name that ends so), `192.0.2.1:80` or `[2001:db8::1]:80`; `8000-8010` is a range of
 * ports. What is refused is reported: `denials`, `denied`. A name does not lead to an address of this machine or its neighbourhood unless that
 * address is allowed as well.
 */
export type Network = 'none' | 'host' | 'bridge' | { readonly name: string } | { readonly allow: readonly string[] }

/** The network of the engine that is meant; undefined for what needs no engine. */
export function engineNetwork(network: Network): string | undefined {
  if (network === 'bridge') return network
  return typeof network === 'object' && 'name' in network ? network.name : undefined
}

/** The hosts that are allowed, where there is a list of them. */
export const allowedHosts = (network: Network): readonly string[] | undefined =>
  typeof network === 'object' && 'allow' in network ? network.allow : undefined
