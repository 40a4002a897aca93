import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/terminal.ts'

testInBothRuntimes({ title: 'a terminal', cases, path: join(import.meta.dir, 'cases', 'terminal.ts') })
