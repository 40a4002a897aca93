/** Commands with a terminal, as a person has one. */

import type { CallOptions, Outcome, Site } from './site.ts'

/** What it prints to a terminal of 80 by 24, which is its standard input, output and error. */
export const inTerminal = (site: Site, args: readonly string[], options: CallOptions = {}): Outcome =>
  site.call(args, { ...options, through: ['python3', '-c', ptyProgram(), ...(options.through ?? [])] })

/** A program of python3 that runs what follows it in such a terminal; `onOutput` is done with each piece that comes, `got`. */
export const ptyProgram = (onOutput = 'pass'): string => `
import fcntl,os,pty,struct,sys,termios
pid,fd=pty.fork()
if pid==0:
  fcntl.ioctl(0,termios.TIOCSWINSZ,struct.pack('HHHH',24,80,0,0))
  os.execvp(sys.argv[1],sys.argv[1:])
out=b''
while True:
  try: got=os.read(fd,65536)
  except OSError: break
  if not got: break
  out+=got
  ${onOutput}
status=os.waitpid(pid,0)[1]
sys.stdout.buffer.write(out)
sys.exit(os.waitstatus_to_exitcode(status))
`
