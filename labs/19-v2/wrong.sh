# missing: has processes itself
# missing: no process is in
# missing: is not frozen
cd "$(findmnt --noheadings --first-only --output TARGET --types cgroup2)"
mkdir coffer-lab-v2 coffer-lab-v2/leaf
echo $$ > coffer-lab-v2/cgroup.procs
echo ready
sleep 1000
