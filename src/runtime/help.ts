/** The texts of --help and --version, made from the same records that the command line is read by. */

import type { Flag } from '../base/flags.ts'
import { VERSION } from '../base/version.ts'
import { OCI_VERSION } from '../oci/version.ts'
import type { Command } from './context.ts'

export const versionText = (): string => `coffer-runc version ${VERSION}\nspec: ${OCI_VERSION}\n`

export function programHelp(commands: readonly Command[], flags: readonly Flag[]): string {
  return [
    'coffer-runc - run containers that follow the OCI runtime specification',
    '',
    'usage: coffer-runc [FLAGS] COMMAND [FLAGS] [OPERANDS]',
    '',
    'commands:',
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    '',
    'flags:',
    ...columns(flags.map(flagRow)),
    '',
  ].join('\n')
}

export function commandHelp(program: string, { name, operands, summary, flags }: Command): string {
  const head = [`${program} ${name} - ${summary}`, '', `usage: ${program} ${name} [FLAGS] ${operands}`.trimEnd(), '']
  return [...head, ...(flags.length === 0 ? [] : ['flags:', ...columns(flags.map(flagRow)), ''])].join('\n')
}

const flagRow = ({ name, short, type, value, help, refused }: Flag): readonly [string, string] => [
  `${short === undefined ? '    ' : `-${short}, `}--${name}${type === 'bool' ? '' : ` ${value ?? 'VALUE'}`}`,
  refused === undefined ? help : `refused: ${refused}`,
]

function columns(rows: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
