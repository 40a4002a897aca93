/** The congestion control of TCP, in the network that the tests are in. kernel:networking/ip-sysctl.rst */

import { readFileSync, writeFileSync } from 'node:fs'

const SETTING = '/proc/sys/net/ipv4/tcp_congestion_control'

/** Where it is a module, once that is loaded: modprobe tcp_bbr. */
export const HAS_BBR: boolean = readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8').includes(
  'bbr',
)

export function withCongestion<Result>(name: 'bbr' | 'reno', body: () => Result): Result {
  const before = readFileSync(SETTING, 'utf8')
  writeFileSync(SETTING, name)
  try {
    return body()
  } finally {
    writeFileSync(SETTING, before)
  }
}
