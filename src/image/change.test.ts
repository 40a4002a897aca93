import { expect, test } from 'bun:test'
import { applyChanges } from './change.ts'

const of = (...changes: readonly string[]) => applyChanges({ Env: ['PATH=/bin', 'A=1'], WorkingDir: '/srv' }, changes)

test('instructions of a Dockerfile change what a container does, in words and in JSON', () => {
  expect(of('CMD echo "a b" $HOME').Cmd).toEqual(['/bin/sh', '-c', 'echo "a b" $HOME'])
  expect(of('ENTRYPOINT ["run","it"]').Entrypoint).toEqual(['run', 'it'])
  expect(of('SHELL ["/bin/bash","-c"]', 'CMD ls').Cmd).toEqual(['/bin/bash', '-c', 'ls'])
  expect(of('env A=2 B="x y" C=\'z\'').Env).toEqual(['PATH=/bin', 'A=2', 'B=x y', 'C=z'])
  expect(of('ENV D one two').Env).toEqual(['PATH=/bin', 'A=1', 'D=one two'])
  expect(of('EXPOSE 80 53/udp 90-91').ExposedPorts).toEqual({ '80/tcp': {}, '53/udp': {}, '90/tcp': {}, '91/tcp': {} })
  expect(of('LABEL a=1', 'LABEL b=2').Labels).toEqual({ a: '1', b: '2' })
  expect(of('VOLUME /a /b').Volumes).toEqual({ '/a': {}, '/b': {} })
  expect(of('WORKDIR sub').WorkingDir).toBe('/srv/sub')
  expect(of('USER 1000:5', 'STOPSIGNAL INT', 'ONBUILD RUN x')).toMatchObject({
    User: '1000:5',
    StopSignal: 'INT',
    OnBuild: ['RUN x'],
  })
})

test('a health check has flags and a command, or is none', () => {
  expect(of('HEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost').Healthcheck).toEqual({
    Test: ['CMD-SHELL', 'curl -f localhost'],
    Interval: 5e9,
    Retries: 2,
  })
  expect(of('HEALTHCHECK CMD ["true"]').Healthcheck).toEqual({ Test: ['CMD', 'true'] })
  expect(of('HEALTHCHECK NONE').Healthcheck).toEqual({ Test: ['NONE'] })
})

test('what is no such instruction is an error that names it', () => {
  const all: readonly (readonly [string, string])[] = [
    ['RUN ls', 'RUN is not a valid change command'],
    ['CMD', 'CMD requires at least one argument'],
    ['EXPOSE 99999', 'invalid containerPort: 99999'],
    ['ENV x', 'names must be followed by values'],
    ['HEALTHCHECK --interval=soon CMD x', 'no flag of HEALTHCHECK'],
    ['SHELL bash', 'JSON form'],
  ]
  for (const [change, reason] of all) expect(() => of(change)).toThrow(reason)
})
