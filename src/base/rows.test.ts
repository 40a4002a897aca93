import { expect, test } from 'bun:test'
import { printRows } from './rows.ts'

const listing = {
  rows: [
    { Name: 'a', Size: '1kB' },
    { Name: 'a-long-name', Size: '2MB' },
  ],
  headers: { Name: 'NAME', Size: 'SIZE' },
  columns: ['Name', 'Size'],
}

test('a table has columns of at least ten, with a gap of three', () => {
  expect(printRows(listing)).toBe('NAME          SIZE\na             1kB\na-long-name   2MB\n')
  expect(printRows({ ...listing, rows: listing.rows.slice(0, 1) })).toBe('NAME      SIZE\na         1kB\n')
})

test('a table of a template has its columns, and a template alone no header', () => {
  expect(printRows(listing, 'table {{.Size}}\\t{{.Name}}')).toBe('SIZE      NAME\n1kB       a\n2MB       a-long-name\n')
  expect(printRows(listing, '{{.Name}}:{{.Size}}')).toBe('a:1kB\na-long-name:2MB\n')
  expect(printRows(listing, 'json')).toBe('{"Name":"a","Size":"1kB"}\n{"Name":"a-long-name","Size":"2MB"}\n')
})
