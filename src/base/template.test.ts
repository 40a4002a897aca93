import { describe, expect, test } from 'bun:test'
import { compileTemplate } from './template.ts'

const VALUE = {
  Id: 'sha256:abc',
  State: { Pid: 42, Running: true },
  Config: { Env: ['A=1', 'B=2'], Labels: { 'com.example.x': 'yes', plain: 'label' }, Cmd: null },
  Networks: { beta: { IP: '10.0.0.2' }, alpha: { IP: '10.0.0.1' } },
  Names: [],
}

const cases: Readonly<Record<string, readonly [string, string]>> = {
  'text is itself': ['hello', 'hello'],
  'a field': ['{{.Id}}', 'sha256:abc'],
  'a field of a field, between text': ['pid={{ .State.Pid }};', 'pid=42;'],
  'json of a part': ['{{json .State}}', '{"Pid":42,"Running":true}'],
  'json of all, piped': ['{{.State | json}}', '{"Pid":42,"Running":true}'],
  'a list as Go prints it': ['{{.Config.Env}}', '[A=1 B=2]'],
  'a map as Go prints it': ['{{.State}}', 'map[Pid:42 Running:true]'],
  'range over a list': ['{{range .Config.Env}}{{.}},{{end}}', 'A=1,B=2,'],
  'range over a map, in the order of its keys, with names': [
    '{{range $name, $net := .Networks}}{{$name}}={{$net.IP}} {{end}}',
    'alpha=10.0.0.1 beta=10.0.0.2 ',
  ],
  'range over nothing': ['{{range .Names}}x{{else}}none{{end}}', 'none'],
  'the root inside of a range': ['{{range .Config.Env}}{{$.State.Pid}} {{end}}', '42 42 '],
  'index of a key with dots': ['{{index .Config.Labels "com.example.x"}}', 'yes'],
  'index of a list': ['{{index .Config.Env 1}}', 'B=2'],
  'index of a key that is not there': ['{{index .Config.Labels "none"}}', ''],
  'a field of what index found': ['{{(index .Networks "beta") | json}}', '{"IP":"10.0.0.2"}'],
  'a field behind parentheses': ['{{(index .Networks "beta").IP}}', '10.0.0.2'],
  'if, else if, else': ['{{if .Config.Cmd}}a{{else if .State.Running}}b{{else}}c{{end}}', 'b'],
  with: ['{{with .State}}{{.Pid}}{{end}}', '42'],
  comparisons: ['{{if and (eq .State.Pid 42) (not (gt 1 2))}}yes{{end}}', 'yes'],
  'space that is trimmed': ['a {{- .State.Pid -}} b', 'a42b'],
  'functions on text': ['{{upper "ab"}} {{join .Config.Env ";"}} {{len .Config.Env}}', 'AB A=1;B=2 2'],
  println: ['{{println .Id}}', 'sha256:abc\n'],
  printf: ['{{printf "%s-%d-%q-%5s|" .Id .State.Pid "x" "ab"}}', 'sha256:abc-42-"x"-   ab|'],
  'a key of a map that is not there': ['{{.Config.Labels.none}}', '<no value>'],
  'a variable, inside of a range too': [
    '{{$pid := .State.Pid}}{{range .Config.Env}}{{$pid}}:{{.}} {{end}}{{$pid}}',
    '42:A=1 42:B=2 42',
  ],
  'printf with zeros and in base 16': ['{{printf "%05d|%05d|%x|%04X" .State.Pid -7 255 171}}', '00042|-0007|ff|00AB'],
  'printf with a precision': [
    '{{printf "%.6s|%8.3s|%-5.2s|%.3q|%.2f|%6.1f|" .Id "abcdef" "abc" "abcdef" 1.256 .State.Pid}}',
    'sha256|     abc|ab   |"abc"|1.26|  42.0|',
  ],
  'printf as a sign and in bases 8 and 2': ['{{printf "%c%o %b" 65 8 5}}', 'A10 101'],
  'a comment': ['a{{/* nothing */}}b', 'ab'],
  'a template that is defined, wherever that is': [
    '{{template "short" .State}}{{define "short"}}<{{.Pid}}>{{end}}{{template "short" .State}}',
    '<42><42>',
  ],
  'a block, which is defined and printed, and sees no variables': [
    '{{$a := 1}}{{block "b" .State}}{{.Pid}} {{$.Pid}}{{end}}',
    '42 42',
  ],
  'html and js': [
    `{{html "<a href='x'>&"}} {{js "it's <b>\\n"}}`,
    "&lt;a href=&#39;x&#39;&gt;&amp; it\\'s \\u003Cb\\u003E\\u000A",
  ],
  urlquery: ['{{urlquery "a b&c"}}', 'a+b%26c'],
  'braces in a string': ['{{"}}"}}', '}}'],
}
describe('a template', () => {
  for (const [name, [template, printed]] of Object.entries(cases))
    test(name, () => expect(compileTemplate(template)(VALUE)).toBe(printed))
})

describe('what is wrong is said', () => {
  const wrong: Readonly<Record<string, readonly [string, string]>> = {
    'an action that is not closed': ['{{.Id', 'unclosed action'],
    'a block without end': ['{{range .Names}}', '{{end}} is missing'],
    'an end without block': ['{{end}}', 'unexpected {{end}}'],
    'a function that there is none of': ['{{nothing .Id}}', 'function "nothing" not defined'],
    'a field that is not there': ['{{.State.Pidd}}', 'no entry for key "Pidd"'],
    'an index that is too large': ['{{index .Config.Env 7}}', 'out of range'],
    'a template that nobody defined': ['{{template "none"}}', 'template "none" not defined'],
    'a template that goes on for ever': ['{{define "a"}}{{template "a"}}{{end}}{{template "a"}}', 'exceeded maximum'],
    'a definition without a name': ['{{define x}}{{end}}', 'needs a name in quotes'],
    'an empty action': ['{{}}', 'missing value'],
  }
  for (const [name, [template, reason]] of Object.entries(wrong))
    test(name, () => expect(() => compileTemplate(template)(VALUE)).toThrow(reason))
})
