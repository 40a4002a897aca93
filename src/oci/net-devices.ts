/** Network devices of the host that move into the container's network namespace. */

import { entriesOf, optionalString, type Section, sectionOf } from '../base/field.ts'
import { fieldOf, type Place, refuse, shown } from '../base/place.ts'

export interface NetDevice {
  /** On the host. */
  readonly device: string
  /** In the container. */
  readonly name: string
}

/** Source: oci:runtime-spec/config-linux.md#network-devices */
export function netDevicesOf(linux: Section): readonly NetDevice[] {
  const devices = entriesOf(linux, 'netDevices', parseNetDevice)
  for (const { device, name } of devices) {
    const other = devices.find((candidate) => candidate.name === name)
    if (other?.device !== device) {
      refuse(
        fieldOf(linux.place, 'netDevices'),
        `gives ${shown(other?.device)} and ${shown(device)} the name ${shown(name)}`,
      )
    }
  }
  return devices
}

function parseNetDevice(device: string, value: unknown, place: Place): NetDevice {
  const section = sectionOf(value, place)
  const name = optionalString(section, 'name')
  if (!isDeviceName(device)) refuse(place, 'is not the name of a network device')
  if (name !== undefined && !isDeviceName(name)) {
    const hint = 'a name has 1 to 15 bytes, no blank, no / and no :'
    refuse(fieldOf(place, 'name'), `is ${shown(name)}, which is not the name of a network device`, hint)
  }
  return { device, name: name ?? device }
}

// net/core/dev.c, dev_valid_name(). A letter beyond ASCII has two bytes and more; % makes the kernel number the name.
const isDeviceName = (name: string): boolean => /^(?!\.\.?$)[!-$&-.0-9;-~]{1,15}$/.test(name)
