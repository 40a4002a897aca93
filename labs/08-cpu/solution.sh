set -e
cd /sys/fs/cgroup/cpu
mkdir coffer-lab-cpu
echo 50000 | tee coffer-lab-cpu/cpu.cfs_quota_us
echo 100000 | tee coffer-lab-cpu/cpu.cfs_period_us
# On a machine with much else to do it would not get half a CPU anyway.
echo 262144 > coffer-lab-cpu/cpu.shares
echo $$ | tee coffer-lab-cpu/cgroup.procs
timeout 30 sh -c 'until grep -q "nr_throttled [1-9]" coffer-lab-cpu/cpu.stat; do :; done'
cat coffer-lab-cpu/cpu.stat
echo ready
sleep 1000
