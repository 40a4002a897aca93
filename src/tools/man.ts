/** Manual pages, from the same records that command lines are read by. man(7) */

import type { Flag } from '../base/flags.ts'
import type { Words } from './tool.ts'

/** `run` → `coffer-run`; the file of its page ends in `.1`. */
export const pageName = (name: string): string => (name === '' ? 'coffer' : `coffer-${name.replaceAll(' ', '-')}`)

/** The page of one command. */
export const manPage = ({ name, operands, summary, flags, details }: Words, version: string): string =>
  page(name, summary, version, [
    '.SH SYNOPSIS',
    `.B ${plain(`coffer ${name}`)}`,
    ...(flags.length === 0 ? [] : ['[\\fIFLAGS\\fR]']),
    ...(operands === '' ? [] : [line(operands)]),
    ...(flags.length === 0 ? [] : ['.SH OPTIONS', ...flags.flatMap(option)]),
    ...(details === undefined ? [] : ['.SH NOTES', '.nf', ...details.split('\n').map(line), '.fi']),
    '.SH EXIT STATUS',
    '0 if all went well. Of a command that runs a program: the status of that, or 128 and the number of the signal that ended it.',
    '.SH SEE ALSO',
    line(name === '' ? 'namespaces(7), cgroups(7)' : 'coffer(1), namespaces(7), cgroups(7)'),
  ])

/** coffer(1): what there is. */
export const mainPage = (commands: readonly Words[], version: string): string =>
  page('', 'containers: images, networks, namespaces and control groups, without a daemon', version, [
    '.SH SYNOPSIS',
    '.B coffer',
    '\\fICOMMAND\\fR [\\fIFLAGS\\fR] [\\fIOPERANDS\\fR]',
    '.SH COMMANDS',
    ...commands.flatMap(({ name, summary }) => ['.TP', `.BR ${plain(pageName(name))} (1)`, line(summary)]),
    '.SH SEE ALSO',
    'namespaces(7), cgroups(7)',
  ])

const page = (name: string, summary: string, version: string, lines: readonly string[]): string =>
  [
    `.TH ${pageName(name).toUpperCase()} 1 "" "coffer ${version}" "coffer"`,
    '.SH NAME',
    `${plain(pageName(name))} \\- ${plain(summary)}`,
    ...lines,
    '',
  ].join('\n')

function option({ name, short, type, value = 'VALUE', help, refused }: Flag): readonly string[] {
  const word = `\\fI${plain(value)}\\fR`
  const shown = type === 'bool' ? '' : type === 'optional' ? `[=${word}]` : ` ${word}`
  const letter = short === undefined ? '' : `\\fB\\-${short}\\fR, `
  return [
    '.TP',
    `${letter}\\fB\\-\\-${plain(name)}\\fR${shown}`,
    line(refused === undefined ? help : `refused: ${refused}`),
  ]
}

/** What roff would take for its own, a backslash, or set as something else: the dash, the quote. Others are named, as it reads ASCII. */
const plain = (text: string): string =>
  text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/'/g, '\\(aq')
    .replace(/[\u0080-\uffff]/g, (sign) => `\\[u${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`)

/** At the beginning of a line a dot is a request. */
const line = (text: string): string => plain(text).replace(/^\./, '\\&.')
