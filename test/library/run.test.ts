import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/run.ts'

testInBothRuntimes({ title: 'run', cases, path: join(import.meta.dir, 'cases', 'run.ts') })
