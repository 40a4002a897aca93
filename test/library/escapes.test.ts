import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/escapes.ts'

testInBothRuntimes({ title: 'escapes', cases, path: join(import.meta.dir, 'cases', 'escapes.ts') })
