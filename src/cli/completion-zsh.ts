/** The completion of zsh, which has a word for each flag. zshcompsys(1) */

import type { Flag } from '../base/flags.ts'
import type { Words } from '../tools/tool.ts'
import { CONTAINERS, firstWords, type Kind, offered, operandKind, takesValue, valueKind } from './completion-words.ts'

export function zshScript(commands: readonly Words[]): string {
  const groups = [...firstWords(commands)].filter(([, seconds]) => seconds.length > 0)
  return `#compdef coffer
# Completion of coffer for zsh: source <(coffer completion zsh)
_coffer_containers() {
  local -a names
  names=(\${(f)"$(${CONTAINERS})"})
  compadd -a names
}
_coffer_commands() {
  local -a commands
  commands=(
${[...firstWords(commands)].map(([name, seconds]) => `    ${described(name, summaryOf(commands, name) ?? seconds.join(', '))}`).join('\n')}
  )
  _describe command commands
}
_coffer() {
  local -a commands
  while [[ $words[2] == (explain|help) ]] && ((CURRENT > 3)) && [[ $words[3] != -* ]]; do
    shift words
    ((CURRENT--))
  done
  if ((CURRENT == 2)); then _coffer_commands; return; fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${groups
  .map(
    ([name, seconds]) => `    ${name})
      if ((CURRENT == 2)); then
        commands=(
${seconds.map((second) => `          ${described(second, summaryOf(commands, `${name} ${second}`) ?? '')}`).join('\n')}
        )
        _describe command commands
        return
      fi
      command+=" $words[2]"
      shift words
      ((CURRENT--))
      ;;`,
  )
  .join('\n')}
  esac
  case $command in
${commands.map(zshCommand).join('\n')}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _coffer "$@"; elif (($+functions[compdef])); then compdef _coffer coffer; fi
`
}

const summaryOf = (commands: readonly Words[], name: string): string | undefined =>
  commands.find((one) => one.name === name)?.summary

const described = (name: string, text: string): string => quoted(`${name}:${text.replace(/[\\:]/g, '\\$&')}`)

const quoted = (text: string): string => `'${text.replace(/'/g, "'\\''")}'`

function zshCommand(words: Words): string {
  const specs = [
    ...offered(words).flatMap(zshFlag),
    `*:${words.operands === '' ? ' ' : 'operand'}:${action(operandKind(words))}`,
  ]
  return `    '${words.name}') _arguments -s -S ${specs.map(quoted).join(' ')} ;;`
}

/** Each spelling is a word; what has been given can be given again, as a list may be meant. */
function zshFlag(flag: Flag): readonly string[] {
  const help = `[${flag.help.replace(/[\\\]]/g, '\\$&')}]`
  const value = takesValue(flag)
    ? `:${(flag.value ?? 'value').replace(/[\\:]/g, '\\$&')}:${action(valueKind(flag))}`
    : ''
  return [
    `*--${flag.name}${value === '' ? '' : '='}`,
    ...(flag.short === undefined ? [] : [`*-${flag.short}${value === '' ? '' : '+'}`]),
  ].map((spelling) => `${spelling}${help}${value}`)
}

function action(kind: Kind): string {
  if (typeof kind !== 'string') return `(${kind.map((word) => word.replace(/[\\:]/g, '\\$&')).join(' ')})`
  return {
    path: '_files',
    container: '_coffer_containers',
    command: '_coffer_commands',
    program: '_normal',
    unknown: ' ',
  }[kind]
}
