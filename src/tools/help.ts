/** The help of tools, from the same records that their command lines are read by. */

import type { Flag } from '../base/flags.ts'
import type { Group, Tool, Words } from './tool.ts'

export const toolHelp = (tool: Tool): string =>
  `${wordsHelp(tool)}\n${`To see what it does: coffer explain ${tool.name} ${tool.operands}`.trimEnd()}\n`

export function wordsHelp({ name, operands, summary, flags, details }: Words): string {
  return [
    `coffer ${name} - ${summary}`,
    '',
    `usage: coffer ${name} ${flags.length === 0 ? '' : '[FLAGS] '}${operands}`.trimEnd(),
    ...(flags.length === 0 ? [] : ['', 'flags:', ...columns(flags.map(flagRow))]),
    ...(details === undefined ? [] : ['', details]),
    '',
  ].join('\n')
}

export const groupHelp = ({ name, summary }: Pick<Group, 'name' | 'summary'>, commands: readonly Words[]): string =>
  [
    `coffer ${name} - ${summary}`,
    '',
    ...columns(commands.map((one) => [`coffer ${one.name} ${one.operands}`.trimEnd(), one.summary])),
    '',
    `coffer ${name} COMMAND --help has the flags.`,
    '',
  ].join('\n')

function flagRow({ name, short, type, value = 'VALUE', help, refused }: Flag): readonly [string, string] {
  const shown = type === 'bool' ? '' : type === 'optional' ? `[=${value}]` : ` ${value}`
  const letter = short === undefined ? '    ' : `-${short}, `
  return [`${letter}--${name}${shown}`, refused === undefined ? help : `refused: ${refused}`]
}

export function columns(rows: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
