/** login and logout: accounts of registries. */

import { createInterface } from 'node:readline/promises'
import { parseFlags, usage } from '../base/flags.ts'
import { accountKey, checkAccount, forgetAccount, keepAccount } from '../image/registry-account-node.ts'
import { LOGIN_FLAGS } from '../image/transfer-flags.ts'
import type { TransferCommand } from './command.ts'
import { trusting } from './pull.ts'

const COMMAND = 'coffer login'

export const loginCommand: TransferCommand = async (_, words, { settings }) => {
  const given = parseFlags(words, LOGIN_FLAGS, COMMAND, { mixed: true })
  const registry = registryOf(given.rest, COMMAND)
  const fromStdin = given.bool('password-stdin')
  if (fromStdin && given.isSet('password'))
    throw usage(COMMAND, '--password and --password-stdin are mutually exclusive')
  const name = given.string('username')
  if (fromStdin && name === undefined) throw usage(COMMAND, 'Must provide --username with --password-stdin')
  if (given.isSet('password'))
    process.stderr.write('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n')
  const user = name ?? (await asked('Username: '))
  const password = given.string('password') ?? (fromStdin ? await standardInput() : await askedInSecret('Password: '))
  if (user === '' || password === '') throw usage(COMMAND, 'it takes a name and a password')
  const trusted = trusting(settings, registry, given.isSet('tls-verify') && !given.bool('tls-verify'))
  const kept = await checkAccount(registry, { kind: 'password', user, password }, trusted)
  const path = keepAccount(process.env, registry, kept)
  process.stderr.write(`\nWARNING! Your credentials are stored unencrypted in '${path}'.\n\n`)
  process.stdout.write('Login Succeeded\n')
}

export const logoutCommand: TransferCommand = async (_, words) => {
  const registry = registryOf(parseFlags(words, [], 'coffer logout').rest, 'coffer logout')
  const key = accountKey(registry)
  const wasThere = forgetAccount(process.env, registry)
  process.stdout.write(wasThere ? `Removing login credentials for ${key}\n` : `Not logged in to ${key}\n`)
}

/** A host, with a port if it has one; that of docker's images if none is given. */
function registryOf([text = 'docker.io', ...others]: readonly string[], command: string): string {
  const host = text.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
  if (others.length > 0 || !/^[\w.-]+(:\d+)?$|^\[[0-9a-f:]+\](:\d+)?$/i.test(host))
    throw usage(command, 'it takes the host of one registry', `${command} registry.example:5000`)
  return /^(index\.|registry-1\.)?docker\.io$/.test(host) ? 'docker.io' : host
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}

async function asked(question: string): Promise<string> {
  if (!process.stdin.isTTY) throw usage(COMMAND, 'there is no terminal to ask for the name', 'give --username')
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return (await lines.question(question)).trim()
  } finally {
    lines.close()
  }
}

/** Nothing of what is typed is shown. */
async function askedInSecret(question: string): Promise<string> {
  const { stdin, stdout } = process
  if (!stdin.isTTY) throw usage(COMMAND, 'there is no terminal to ask for the password', 'give --password-stdin')
  stdout.write(question)
  stdin.setRawMode(true)
  try {
    let typed = ''
    for await (const chunk of stdin) {
      typed += String(chunk)
      if ([...typed].some((key) => ENDS.includes(key))) break
    }
    return lineOf(typed)
  } finally {
    stdin.setRawMode(false)
    stdout.write('\n')
  }
}

const [BACKSPACE, DELETE, CTRL_C] = ['\b', '\x7f', '\x03']
const ENDS = ['\r', '\n', CTRL_C]

/** What is left of a line when the keys that take a letter away have done so. */
function lineOf(typed: string): string {
  let line = ''
  for (const character of typed) {
    if (character === CTRL_C) throw usage(COMMAND, 'it was interrupted')
    if (character === '\r' || character === '\n') break
    line = character === BACKSPACE || character === DELETE ? line.slice(0, -1) : line + character
  }
  return line
}
