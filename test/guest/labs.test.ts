import { testLab } from '../labs/claims.ts'

/** The labs about cgroup v2, and one that reads limits of either version. */
for (const folder of ['19-v2', '20-limits', '22-run']) testLab(folder)
