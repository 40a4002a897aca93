# missing: is 100 % of a CPU, not 50 %
# missing: was throttled yet
mkdir /sys/fs/cgroup/cpu/coffer-lab-cpu
echo 100000 > /sys/fs/cgroup/cpu/coffer-lab-cpu/cpu.cfs_quota_us
echo $$ > /sys/fs/cgroup/cpu/coffer-lab-cpu/cgroup.procs
echo ready
sleep 1000
