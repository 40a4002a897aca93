/** The addresses of network devices that move into a container: the kernel drops them on the way. */

import { dump } from '../executor/embedded-netlink.ts'
import { IFADDRMSG_BYTES, RTM_GETADDR } from '../linux/netlink.ts'
import { parseAddress } from '../linux/netlink-read.ts'
import type { NetDevice } from '../oci/net-devices.ts'
import { lasts, type MovedDevice } from '../plan/net-devices.ts'
import type { Machine } from './machine.ts'

export function readMovedDevices({ native, files }: Machine, devices: readonly NetDevice[]): readonly MovedDevice[] {
  if (devices.length === 0) return []
  const all = dump(native, 'learn the addresses of network devices', RTM_GETADDR, IFADDRMSG_BYTES).flatMap((answer) => {
    const address = parseAddress(answer)
    return address === undefined || !lasts(address) ? [] : [address]
  })
  return devices.map(({ device, name }) => {
    // A device that is not there has no index, and the plan will find out.
    const index = Number(files.readText(`/sys/class/net/${device}/ifindex`) ?? 0)
    return { device, name, addresses: all.filter((address) => address.index === index) }
  })
}
