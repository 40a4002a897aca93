cd "$(findmnt --noheadings --first-only --output TARGET --types cgroup2)" || exit
echo '+cpu +memory +pids' > cgroup.subtree_control
mkdir coffer-lab-limits
cd coffer-lab-limits || exit
echo '50000 100000' > cpu.max
echo 16M > memory.max
[ ! -e memory.swap.max ] || echo 0 > memory.swap.max
echo 8 > pids.max
sh -c 'echo $$ > cgroup.procs; exec timeout 60 sh -c "until grep -q \"nr_throttled [1-9]\" cpu.stat; do :; done"'
sh -c 'echo $$ > cgroup.procs; exec tail /dev/zero'
sh -c 'echo $$ > cgroup.procs; for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done'
cat cpu.stat memory.events pids.events
echo ready
sleep 1000
