/** The completion of fish: a line for each flag, with the words behind which it stands. complete(1) */

import type { Words } from '../tools/tool.ts'
import { CONTAINERS, firstWords, type Kind, offered, operandKind, takesValue, valueKind } from './completion-words.ts'

export function fishScript(commands: readonly Words[]): string {
  const groups = firstWords(commands)
  const top = [...groups].map(([name, seconds]) => {
    const summary = commands.find((one) => one.name === name)?.summary ?? seconds.join(', ')
    return `complete -c coffer -n '__coffer_at' -a ${name} -d ${fishText(summary)}`
  })
  return `# Completion of coffer for fish: coffer completion fish | source
function __coffer_at -d 'whether the words so far are this command'
  set -l words (commandline -opc)
  set -e words[1]
  if contains -- "$words[1]" explain help; and test (count $words) -gt 1
    set -e words[1]
  end
  if test (count $argv) -eq 0
    test (count $words) -eq 0; or contains -- "$words[-1]" explain help
    return
  end
  test (count $words) -ge (count $argv); and test "$words[1..$(count $argv)]" = "$argv"
end
function __coffer_only -d 'whether the words so far are this and no more'
  set -l words (commandline -opc)
  test (count $words) -eq 2; and test "$words[2]" = "$argv"
end
function __coffer_containers
  ${CONTAINERS}
end
complete -c coffer -f
${top.join('\n')}
${commands.flatMap(fishCommand).join('\n')}
`
}

function fishCommand(words: Words): readonly string[] {
  const [first = '', second] = words.name.split(' ')
  const at = `complete -c coffer -n '__coffer_at ${words.name}'`
  const flags = offered(words).map((flag) => {
    const kind = valueKind(flag)
    const value = takesValue(flag) ? ` ${kind === 'path' ? '-r' : '-x'}${fishKind(kind)}` : ''
    return `${at} -l ${flag.name}${flag.short === undefined ? '' : ` -s ${flag.short}`}${value} -d ${fishText(flag.help)}`
  })
  const own =
    second === undefined
      ? []
      : [`complete -c coffer -n '__coffer_only ${first}' -a ${second} -d ${fishText(words.summary)}`]
  return [...own, ...flags, `${at}${fishKind(operandKind(words))}`]
}

function fishKind(kind: Kind): string {
  if (typeof kind !== 'string') return ` -a ${fishText(kind.join(' '))}`
  if (kind === 'container') return " -a '(__coffer_containers)'"
  if (kind === 'program') return " -F -a '(__fish_complete_subcommand)'"
  return kind === 'path' ? ' -F' : ''
}

const fishText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`
