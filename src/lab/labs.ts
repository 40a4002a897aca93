/** All labs, in the order in which they are best done: by their folders. */

/// <reference path="./page.d.ts" />

import { shared } from '../../labs/01-shared/check.ts'
import sharedPage from '../../labs/01-shared/lab.md' with { type: 'text' }
import { unshare } from '../../labs/02-unshare/check.ts'
import unsharePage from '../../labs/02-unshare/lab.md' with { type: 'text' }
import { netns } from '../../labs/03-netns/check.ts'
import netnsPage from '../../labs/03-netns/lab.md' with { type: 'text' }
import { user } from '../../labs/04-user/check.ts'
import userPage from '../../labs/04-user/lab.md' with { type: 'text' }
import { time } from '../../labs/05-time/check.ts'
import timePage from '../../labs/05-time/lab.md' with { type: 'text' }
import { chroot } from '../../labs/06-chroot/check.ts'
import chrootPage from '../../labs/06-chroot/lab.md' with { type: 'text' }
import { pivotRoot } from '../../labs/07-pivot_root/check.ts'
import pivotRootPage from '../../labs/07-pivot_root/lab.md' with { type: 'text' }
import { cpu } from '../../labs/08-cpu/check.ts'
import cpuPage from '../../labs/08-cpu/lab.md' with { type: 'text' }
import { cpuacct } from '../../labs/09-cpuacct/check.ts'
import cpuacctPage from '../../labs/09-cpuacct/lab.md' with { type: 'text' }
import { cpuset } from '../../labs/10-cpuset/check.ts'
import cpusetPage from '../../labs/10-cpuset/lab.md' with { type: 'text' }
import { memory } from '../../labs/11-memory/check.ts'
import memoryPage from '../../labs/11-memory/lab.md' with { type: 'text' }
import { pids } from '../../labs/12-pids/check.ts'
import pidsPage from '../../labs/12-pids/lab.md' with { type: 'text' }
import { freezer } from '../../labs/13-freezer/check.ts'
import freezerPage from '../../labs/13-freezer/lab.md' with { type: 'text' }
import { devices } from '../../labs/14-devices/check.ts'
import devicesPage from '../../labs/14-devices/lab.md' with { type: 'text' }
import { blkio } from '../../labs/15-blkio/check.ts'
import blkioPage from '../../labs/15-blkio/lab.md' with { type: 'text' }
import { netCls } from '../../labs/16-net_cls/check.ts'
import netClsPage from '../../labs/16-net_cls/lab.md' with { type: 'text' }
import { netPrio } from '../../labs/17-net_prio/check.ts'
import netPrioPage from '../../labs/17-net_prio/lab.md' with { type: 'text' }
import { trees } from '../../labs/18-trees/check.ts'
import treesPage from '../../labs/18-trees/lab.md' with { type: 'text' }
import { v2 } from '../../labs/19-v2/check.ts'
import v2Page from '../../labs/19-v2/lab.md' with { type: 'text' }
import { limits } from '../../labs/20-limits/check.ts'
import limitsPage from '../../labs/20-limits/lab.md' with { type: 'text' }
import { sharing } from '../../labs/21-sharing/check.ts'
import sharingPage from '../../labs/21-sharing/lab.md' with { type: 'text' }
import { run } from '../../labs/22-run/check.ts'
import runPage from '../../labs/22-run/lab.md' with { type: 'text' }
import { byHand } from '../../labs/23-by-hand/check.ts'
import byHandPage from '../../labs/23-by-hand/lab.md' with { type: 'text' }
import type { Paged } from './lab.ts'

export const LABS: readonly Paged[] = [
  { ...shared, page: sharedPage },
  { ...unshare, page: unsharePage },
  { ...netns, page: netnsPage },
  { ...user, page: userPage },
  { ...time, page: timePage },
  { ...chroot, page: chrootPage },
  { ...pivotRoot, page: pivotRootPage },
  { ...cpu, page: cpuPage },
  { ...cpuacct, page: cpuacctPage },
  { ...cpuset, page: cpusetPage },
  { ...memory, page: memoryPage },
  { ...pids, page: pidsPage },
  { ...freezer, page: freezerPage },
  { ...devices, page: devicesPage },
  { ...blkio, page: blkioPage },
  { ...netCls, page: netClsPage },
  { ...netPrio, page: netPrioPage },
  { ...trees, page: treesPage },
  { ...v2, page: v2Page },
  { ...limits, page: limitsPage },
  { ...sharing, page: sharingPage },
  { ...run, page: runPage },
  { ...byHand, page: byHandPage },
].map((lab, index) => ({ ...lab, number: index + 1 }))
