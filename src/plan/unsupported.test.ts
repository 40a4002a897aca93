import { expect, test } from 'bun:test'
import { readConfig } from '../oci/config.ts'
import { refuseUnsupported } from './unsupported.ts'

const linuxOf = (linux: object): ReturnType<typeof readConfig>['linux'] =>
  readConfig(
    JSON.stringify({ ociVersion: '1.3.0', root: { path: 'rootfs' }, process: { args: ['true'], cwd: '/' }, linux }),
  ).linux

test('what is left out is refused with the name of its field', () => {
  expect(() => refuseUnsupported(linuxOf({ intelRdt: { closID: 'a' } }))).toThrow('linux.intelRdt')
  expect(() => refuseUnsupported(linuxOf({}))).not.toThrow()
})
