import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/explain.ts'

testInBothRuntimes({ title: 'explain', cases, path: join(import.meta.dir, 'cases', 'explain.ts') })
