/** spec and features: documents to begin with. */

import { OperationError } from '../base/errors.ts'
import { describeFeatures, hasCgroupV2Only } from '../container/features.ts'
import { writeNewFile } from '../executor/embedded-files.ts'
import { effectiveIds } from '../executor/embedded-process.ts'
import { defaultSpec } from '../oci/spec.ts'
import { absolute, type Command } from './context.ts'

export const specCommand: Command = {
  name: 'spec',
  operands: '',
  summary: 'write a config.json to begin with',
  flags: [
    {
      name: 'bundle',
      short: 'b',
      type: 'string',
      value: 'DIR',
      help: 'where to write it; the current directory if not given',
    },
    { name: 'rootless', type: 'bool', help: 'for a caller without privileges' },
  ],
  count: [0, 0],
  run: (context, given) => {
    const { native, files } = context.machine
    const { uid, gid } = effectiveIds(native)
    const path = `${absolute(context, given.string('bundle') ?? context.cwd)}/config.json`
    if (files.status(path) !== undefined)
      throw new OperationError({
        kind: 'conflict',
        operation: 'write config.json',
        reason: `${path} exists`,
        path,
        hint: 'remove it first, or write to another bundle: --bundle DIR',
      })
    const document = defaultSpec({
      rootless: given.bool('rootless'),
      hostUid: uid,
      hostGid: gid,
      hasCgroupV2Only: hasCgroupV2Only(context.machine),
    })
    writeNewFile(native, path, `${JSON.stringify(document, undefined, '\t')}\n`, 0o666)
    return 0
  },
}

export const featuresCommand: Command = {
  name: 'features',
  operands: '',
  summary: 'print what this runtime implements as JSON',
  flags: [],
  count: [0, 0],
  run: (context) => {
    context.print(`${JSON.stringify(describeFeatures(), undefined, 4)}\n`)
    return 0
  },
}
