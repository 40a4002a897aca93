# missing: cpu.max of
# missing: no fork was refused in
cd "$(findmnt --noheadings --first-only --output TARGET --types cgroup2)"
echo '+cpu +memory +pids' > cgroup.subtree_control
mkdir coffer-lab-limits
echo 16M > coffer-lab-limits/memory.max
echo 8 > coffer-lab-limits/pids.max
echo $$ > coffer-lab-limits/cgroup.procs
echo ready
sleep 1000
