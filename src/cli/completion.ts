/** `coffer completion SHELL`: what makes a shell complete coffer, from the same records that command lines are read by. */

import { usage } from '../base/flags.ts'
import { own } from '../base/own.ts'
import type { Words } from '../tools/tool.ts'
import { bashScript } from './completion-bash.ts'
import { fishScript } from './completion-fish.ts'
import { zshScript } from './completion-zsh.ts'

const COMMAND = 'coffer completion'

export function completionScript(words: readonly string[], commands: readonly Words[]): string {
  const [shell, ...others] = words
  const script = others.length === 0 ? own(SHELLS, shell ?? '') : undefined
  if (script === undefined)
    throw usage(COMMAND, 'it takes the name of a shell', 'bash, zsh or fish; source <(coffer completion bash)')
  return script(commands)
}

const SHELLS: Readonly<Record<string, (commands: readonly Words[]) => string>> = {
  bash: bashScript,
  fish: fishScript,
  zsh: zshScript,
}
