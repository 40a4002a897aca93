import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { coffer } from '../tools/call.ts'
import { testLab } from './claims.ts'
import { fileOf, folders, nameOf } from './lab.ts'

for (const folder of folders) testLab(folder)

test('the list has each lab by number and name, and its page is what the number prints', () => {
  const lines = coffer('lab')
    .stdout.split('\n')
    .filter((line) => /^ ?\d/.test(line))
  expect(lines.map((line) => line.slice(0, 16).trim().replace(/ +/, '-').padStart(2, '0'))).toEqual(
    folders.map((folder) => folder.replace(/^0/, '')).map((text) => text.padStart(2, '0')),
  )
  for (const [index, folder] of folders.entries()) {
    const page = readFileSync(fileOf(folder, 'lab.md'), 'utf8')
    expect(page).toStartWith(`# ${index + 1}. `)
    expect(coffer('lab', String(index + 1)).stdout).toBe(page)
    expect(coffer('lab', nameOf(folder)).stdout).toBe(page)
  }
})

test('a lab that was not started cannot be checked, and one that runs cannot be started again', async () => {
  expect(coffer('lab', 'check', 'shared')).toMatchObject({ exitCode: 2, stdout: '' })
  expect(coffer('lab', 'check', 'shared').stderr).toContain('coffer lab start shared')
  expect(coffer('lab', 'start', 'shred').stderr).toContain('did you mean shared?')
  expect(coffer('lab', 'reset', 'shared')).toMatchObject({ exitCode: 0, stderr: '' })
  expect(existsSync('/run/coffer-lab/shared')).toBe(false)
})
