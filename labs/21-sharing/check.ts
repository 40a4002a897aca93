import { type Lab, missing } from '../../src/lab/lab.ts'
import type { Look } from '../../src/lab/look.ts'
import { called, isOwn, labelled, type NamespaceFile } from '../../src/lab/namespaces.ts'

const PAIRS: readonly (readonly [first: string, second: string, shares: NamespaceFile])[] = [
  ['container1', 'container2', 'pid'],
  ['net1', 'net2', 'net'],
  ['ipc1', 'ipc2', 'ipc'],
  ['uts1', 'uts2', 'uts'],
  ['mount1', 'mount2', 'mnt'],
]
const TYPES: readonly NamespaceFile[] = ['mnt', 'uts', 'ipc', 'net', 'pid']

export const sharing: Lab = {
  name: 'sharing',
  check: (look) => [...PAIRS.flatMap((pair) => checkPair(look, pair)), ...checkHostname(look)],
}

function checkPair(look: Look, [firstName, secondName, shares]: (typeof PAIRS)[number]): readonly string[] {
  const [first, second] = [labelled(look, firstName), labelled(look, secondName)]
  if (first === undefined || second === undefined)
    return [`no container runs as coffer-lab-sharing-${first === undefined ? firstName : secondName}`]
  return [
    ...TYPES.filter((type) => !isOwn(look, first, type)).map(
      (type) => `${firstName} (${called(first)}) is still in the host's ${type} namespace`,
    ),
    ...TYPES.flatMap((type) => {
      const equal = first.namespaces.get(type) === second.namespaces.get(type)
      return type === shares
        ? missing([equal, `${secondName} (${called(second)}) is not in the ${type} namespace of ${firstName}`])
        : missing([
            !equal,
            `${secondName} shares the ${type} namespace with ${firstName}, and should share ${shares} alone`,
          ])
    }),
  ]
}

function checkHostname(look: Look): readonly string[] {
  const second = labelled(look, 'uts2')
  const hostname = second === undefined ? undefined : look.hostnameOf(second)
  return second === undefined
    ? []
    : missing([hostname === 'shared-host', `the host name in uts2 is ${hostname}: change it to shared-host in uts1`])
}
