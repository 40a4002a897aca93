/** Writes the manual pages into a directory.   bun scripts/man-pages.ts DIRECTORY VERSION */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PAGES } from '../src/cli/commands.ts'
import { mainPage, manPage, pageName } from '../src/tools/man.ts'

const [directory = '', version = ''] = process.argv.slice(2)
rmSync(directory, { recursive: true, force: true })
mkdirSync(directory, { recursive: true })
writeFileSync(join(directory, 'coffer.1'), mainPage(PAGES, version))
for (const words of PAGES) writeFileSync(join(directory, `${pageName(words.name)}.1`), manPage(words, version))
