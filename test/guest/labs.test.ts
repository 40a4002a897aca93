import { testLab } from '../labs/claims.ts'

/** The labs about cgroup v2 and about limits. That of `coffer run` needs a bridge, for which the guest has no module. */
for (const folder of ['19-v2', '20-limits']) testLab(folder)
