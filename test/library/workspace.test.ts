import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/workspace.ts'

testInBothRuntimes({ title: 'workspace', cases, path: join(import.meta.dir, 'cases', 'workspace.ts') })
