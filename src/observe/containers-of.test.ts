import { expect, test } from 'bun:test'
import { capturedFiles } from '../../test/captured-files.ts'
import { containerName, containerOfCgroup } from './containers-of.ts'

const id = 'ab'.repeat(32)

test('the cgroup of a process tells its engine and its container, under either driver and version', () => {
  expect(containerOfCgroup(`4:memory:/docker/${id}\n0::/docker/${id}\n`)).toEqual({ engine: 'docker', id })
  expect(containerOfCgroup(`0::/system.slice/docker-${id}.scope/init`)).toEqual({ engine: 'docker', id })
  expect(containerOfCgroup(`0::/machine.slice/libpod-${id}.scope/container`)).toEqual({ engine: 'podman', id })
  expect(containerOfCgroup(`0::/kubepods/besteffort/pod12-34/${id}`)).toEqual({ engine: 'kubernetes', id })
  expect(containerOfCgroup(`0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope`)).toEqual({
    engine: 'kubernetes',
    id,
  })
  expect(containerOfCgroup(`8:pids:/default/${id}`)).toEqual({ engine: 'containerd', id })
})

test('a process in no container is in none, and neither is the monitor of podman', () => {
  expect(containerOfCgroup('0::/user.slice/user-0.slice\n')).toBeUndefined()
  expect(containerOfCgroup(`0::/machine.slice/libpod-conmon-${id}.scope`)).toBeUndefined()
})

test('a container has the name that its engine wrote down, or the short id', () => {
  const files = capturedFiles({
    [`/var/lib/docker/containers/${id}/config.v2.json`]:
      '{"State":{"Pid":7},"ID":"x","Name":"/web","Driver":"overlay2"}',
    '/var/lib/containers/storage/overlay-containers/containers.json': `[{"id":"${'c'.repeat(64)}","names":["no"]},{"id":"${id}","names":["db","d"],"image":"i"}]`,
  })
  expect(containerName(files, { engine: 'docker', id })).toBe('web')
  expect(containerName(files, { engine: 'podman', id })).toBe('db')
  expect(containerName(files, { engine: 'docker', id: 'f'.repeat(64) })).toBe('f'.repeat(12))
  expect(containerName(files, { engine: 'containerd', id })).toBe('abababababab')
})
