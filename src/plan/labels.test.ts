import { expect, test } from 'bun:test'
import { callText } from '../linux/signatures-show.ts'
import { planFileLabel, planKeyLabel, planLabels } from './labels.ts'

const writes = (steps: ReturnType<typeof planLabels>): readonly string[] =>
  steps.map(({ call }) => callText(call)).filter((text) => text.startsWith('write'))

test('a label of a module that is not active is refused by name, and not passed over', () => {
  const host = { securityModules: ['capability', 'apparmor'] }
  expect(() => planLabels({ selinuxLabel: 'system_u:object_r:x' }, host)).toThrow(
    'cannot apply the SELinux label system_u:object_r:x: selinux is not active on this host',
  )
  expect(() => planLabels({ apparmorProfile: 'web' }, { securityModules: [] })).toThrow(
    'cannot apply the AppArmor profile web: apparmor is not active on this host',
  )
})

test('where nobody knows the active modules the kernel has to say', () => {
  expect(writes(planLabels({ selinuxLabel: 'a:b:c' }, {}))).toEqual(['write(attribute, "a:b:c")'])
})

test('AppArmor is asked for the change at execve, SELinux is given the label', () => {
  const both = planLabels({ apparmorProfile: 'web-ü', selinuxLabel: 'a:b:c' }, {})
  expect(writes(both)).toEqual(['write(attribute, "exec web-ü")', 'write(attribute, "a:b:c")'])
  // In UTF-8.
  expect(both[1]?.call.args[2]).toBe(11)
})

test('no label is no step', () => {
  expect(planLabels({ apparmorProfile: '', selinuxLabel: '' }, { securityModules: [] })).toEqual([])
  expect(planKeyLabel({})).toEqual([])
})

test('keyrings and files get labels of their own', () => {
  expect(planKeyLabel({ selinuxLabel: 'a:b:c' })[0]?.call.args[1]).toBe('self/attr/keycreate')
  expect(planFileLabel('a:b:c')[0]?.call.args[1]).toBe('self/attr/fscreate')
})
