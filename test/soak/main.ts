/** make soak: COUNT containers (20,000), 8 at a time, and a SIGKILL every second; prints what came of it, and fails if there is anything wrong. */

import { soak } from './soak.ts'

const count = Number(process.env.COUNT ?? 20_000)
const killEveryMs = Number(process.env.KILL_EVERY_MS ?? 1000)
const begin = performance.now()
const result = await soak({
  count,
  killEveryMs,
  onProgress: (done) => {
    if (done % 500 === 0) console.log(`${done} containers after ${seconds()} s`)
  },
})
function seconds(): string {
  return ((performance.now() - begin) / 1000).toFixed(0)
}

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, number]) => `${name} ${number}`)
    .join(', ')
console.log(`${count} containers in ${seconds()} s: ${list(result.containers)}`)
console.log(`kills: ${list(result.kills)}`)
for (const [name, measured] of Object.entries(result.measured)) {
  const sizes = measured.map(({ residentBytes }) => (residentBytes / 2 ** 20).toFixed(0)).join(' ')
  console.log(`${name}: MiB resident ${sizes}; descriptors ${measured.map(({ descriptors }) => descriptors).join(' ')}`)
}
for (const line of [...result.faults, ...result.leaks.map((leak) => `leak: ${leak}`)].slice(0, 50)) console.log(line)
console.log(`faults ${result.faults.length}, leaks ${result.leaks.length}`)
process.exit(result.faults.length + result.leaks.length === 0 ? 0 : 1)
