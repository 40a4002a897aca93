# missing: not the overlay coffer-lab-by-hand
# missing: is in no cgroup coffer-lab-by-hand
unshare --mount --uts --ipc --net --pid --cgroup --fork bash -c 'hostname lab-by-hand; echo ready; sleep 1000'
