import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/moments.ts'

testInBothRuntimes({ title: 'moments', cases, path: join(import.meta.dir, 'cases', 'moments.ts') })
