set -e
cd /sys/fs/cgroup/cpuacct
mkdir coffer-lab-cpuacct
echo $$ > coffer-lab-cpuacct/cgroup.procs
timeout 30 bash -c 'until [ "$(<coffer-lab-cpuacct/cpuacct.usage)" -ge 200000000 ]; do :; done'
cat coffer-lab-cpuacct/cpuacct.usage_percpu
echo ready
sleep 1000
