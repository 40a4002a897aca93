set -e
mkdir /sys/fs/cgroup/cpuset/coffer-lab-cpuset
cd /sys/fs/cgroup/cpuset/coffer-lab-cpuset
! echo $$ > cgroup.procs
first=$(sed 's/[-,].*//' ../cpuset.cpus)
echo "$first" > cpuset.cpus
sed 's/[-,].*//' ../cpuset.mems > cpuset.mems
echo $$ > cgroup.procs
[ "$(nproc)" = 1 ]
echo ready
sleep 1000
