import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/limits.ts'

testInBothRuntimes({ title: 'limits', cases, path: join(import.meta.dir, 'cases', 'limits.ts') })
