import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/box.ts'

testInBothRuntimes({ title: 'box', cases, path: join(import.meta.dir, 'cases', 'box.ts') })
