/** Another machine beside that of the tests. */

const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()

/** Another machine at 192.168.THIRD.2: a network namespace that is connected to ours by a pair of devices, with a route to the networks of containers. */
export function withNeighbour(third: number, body: (run: (...words: readonly string[]) => string) => void): void {
  const holder = Bun.spawn(['unshare', '--net', 'sh', '-c', 'echo ready; exec sleep 1000'], { stdout: 'pipe' })
  const enter = ['nsenter', `--net=/proc/${holder.pid}/ns/net`]
  const own = (...words: readonly string[]): string => outside(...enter, ...words)
  const device = `near${third}`
  try {
    outside(
      'sh',
      '-c',
      `until [ "$(readlink /proc/${holder.pid}/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done`,
    )
    for (const line of [
      `ip link add ${device} type veth peer name near0 netns ${holder.pid}`,
      `ip addr add 192.168.${third}.1/24 dev ${device}`,
      `ip link set ${device} up`,
    ])
      outside(...line.split(' '))
    for (const line of [
      `ip addr add 192.168.${third}.2/24 dev near0`,
      'ip link set near0 up',
      'ip link set lo up',
      `ip route add default via 192.168.${third}.1`,
    ])
      own(...line.split(' '))
    body(own)
  } finally {
    outside('ip', 'link', 'del', device)
    holder.kill()
  }
}
