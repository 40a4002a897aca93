/** The long form: COFFER_LEAK_BOXES=1000 bun test --timeout 600000 test/library/leaks.test.ts */

import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/leaks.ts'

testInBothRuntimes({ title: 'leaks', cases, path: join(import.meta.dir, 'cases', 'leaks.ts') })
