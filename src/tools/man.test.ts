import { expect, test } from 'bun:test'
import { mainPage, manPage } from './man.ts'
import type { Words } from './tool.ts'

const WORDS: Words = {
  name: 'netns add',
  operands: 'NAME',
  summary: "make one that isn't there",
  flags: [
    { name: 'all', short: 'a', type: 'bool', help: '.all of them' },
    { name: 'file', type: 'optional', value: 'FILE', help: 'a \\ in it …' },
    { name: 'old', type: 'string', help: '', refused: 'it is gone' },
  ],
  details: '  coffer netns add blue',
}

test('a page has all that the command line takes, and nothing that roff would take for its own', () => {
  expect(manPage(WORDS, '1.2.3')).toBe(`.TH COFFER-NETNS-ADD 1 "" "coffer 1.2.3" "coffer"
.SH NAME
coffer\\-netns\\-add \\- make one that isn\\(aqt there
.SH SYNOPSIS
.B coffer netns add
[\\fIFLAGS\\fR]
NAME
.SH OPTIONS
.TP
\\fB\\-a\\fR, \\fB\\-\\-all\\fR
\\&.all of them
.TP
\\fB\\-\\-file\\fR[=\\fIFILE\\fR]
a \\e in it \\[u2026]
.TP
\\fB\\-\\-old\\fR \\fIVALUE\\fR
refused: it is gone
.SH NOTES
.nf
  coffer netns add blue
.fi
.SH EXIT STATUS
0 if all went well. Of a command that runs a program: the status of that, or 128 and the number of the signal that ended it.
.SH SEE ALSO
coffer(1), namespaces(7), cgroups(7)
`)
})

test('the page of coffer itself leads to those of its commands', () => {
  expect(mainPage([WORDS], '1')).toContain('.BR coffer\\-netns\\-add (1)\nmake one that')
})
