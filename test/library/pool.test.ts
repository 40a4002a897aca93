import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/pool.ts'

testInBothRuntimes({ title: 'pool', cases, path: join(import.meta.dir, 'cases', 'pool.ts') })
