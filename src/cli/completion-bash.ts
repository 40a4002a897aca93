/** The completion of bash: a walk over the words so far, with a line of facts for each command. bash(1) "Programmable Completion" */

import type { Flag } from '../base/flags.ts'
import type { Words } from '../tools/tool.ts'
import { CONTAINERS, firstWords, type Kind, offered, operandKind, takesValue, valueKind } from './completion-words.ts'

export function bashScript(commands: readonly Words[]): string {
  const groups = [...firstWords(commands)].filter(([, seconds]) => seconds.length > 0)
  const cases = commands.map(({ name, ...words }) => {
    const flags = offered({ name, ...words })
    const taking = flags.filter(takesValue)
    const values = taking.flatMap((flag) => {
      const kind = valueKind(flag)
      return kind === 'unknown' ? [] : spelled(flag).map((word) => `${word}=${bashKind(kind)}`)
    })
    return [
      `    '${name}')`,
      `flags='${[...flags.flatMap(spelled), '--help'].join(' ')}'`,
      `taking=' ${taking.flatMap(spelled).join(' ')} '`,
      `values='${values.join(' ')}'`,
      `operand='${bashKind(operandKind({ name, ...words }))}' ;;`,
    ].join(' ')
  })
  return `# Completion of coffer for bash: source <(coffer completion bash)
_coffer_command() {
  case $1 in
${cases.join('\n')}
    *) return 1 ;;
  esac
}
_coffer_group() {
  case $1 in
${groups.map(([name, seconds]) => `    '${name}') echo '${seconds.join(' ')}' ;;`).join('\n')}
  esac
}
_coffer_words() {
  case $1 in
    path) COMPREPLY=($(compgen -f -- "$2")) ;;
    container) COMPREPLY=($(compgen -W "$(${CONTAINERS})" -- "$2")) ;;
    command) COMPREPLY=($(compgen -W '${[...firstWords(commands).keys()].join(' ')}' -- "$2")) ;;
    program) COMPREPLY=($(compgen -c -f -- "$2")) ;;
    unknown) ;;
    *) COMPREPLY=($(compgen -W "\${1//,/ }" -- "$2")) ;;
  esac
}
_coffer() {
  local cur=\${COMP_WORDS[COMP_CWORD]} at=1 command='' flags='' taking='' values='' operand=command seconds word value
  local equals=''
  COMPREPLY=()
  # bash splits words at =.
  if [[ $cur == = ]]; then cur='' equals=1; elif [[ \${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then equals=2; fi
  while ((at < COMP_CWORD)); do
    word=\${COMP_WORDS[at]}
    if [[ $taking == *" $word "* && \${COMP_WORDS[at + 1]} != = ]]; then
      ((at++))
      ((at == COMP_CWORD)) && equals=1
    elif [[ -z $command || $command == explain || $command == help ]]; then
      if [[ $word == -* ]]; then ((at++)); continue; fi
      seconds=$(_coffer_group "$word")
      if [[ -n $seconds ]]; then
        if ((at + 1 == COMP_CWORD)); then COMPREPLY=($(compgen -W "$seconds" -- "$cur")); return; fi
        word+=" \${COMP_WORDS[++at]}"
      fi
      command=$word
      _coffer_command "$command" || return
    elif [[ $word != -* && $word != = && \${COMP_WORDS[at - 1]} != = && $operand == program ]]; then
      _coffer_words program "$cur"
      return
    fi
    ((at++))
  done
  if [[ -n $equals ]]; then
    word=\${COMP_WORDS[COMP_CWORD - equals]}
    for value in $values; do
      if [[ \${value%%=*} == "$word" ]]; then _coffer_words "\${value#*=}" "$cur"; fi
    done
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  else
    _coffer_words "$operand" "$cur"
  fi
}
complete -o filenames -o nosort -F _coffer coffer
`
}

const spelled = ({ name, short }: Flag): readonly string[] => [
  `--${name}`,
  ...(short === undefined ? [] : [`-${short}`]),
]

const bashKind = (kind: Kind): string => (typeof kind === 'string' ? kind : kind.join(','))
