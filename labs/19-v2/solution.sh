set -e
cd "$(findmnt --noheadings --first-only --output TARGET --types cgroup2)"
cat cgroup.controllers
mkdir coffer-lab-v2 coffer-lab-v2/leaf
sleep 1000 &
echo $! > coffer-lab-v2/leaf/cgroup.procs
grep -x 'populated 1' coffer-lab-v2/cgroup.events
echo 1 > coffer-lab-v2/cgroup.max.descendants
! mkdir coffer-lab-v2/second
echo 1 > coffer-lab-v2/leaf/cgroup.freeze
until grep -qx 'frozen 1' coffer-lab-v2/leaf/cgroup.events; do :; done
echo ready
wait
