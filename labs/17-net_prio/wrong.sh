# missing: no process is in
# missing: have the priority 0 on lo, not 5
unshare --mount bash <<'INSIDE'
mount -t cgroup -o net_prio net_prio /mnt
mkdir /mnt/coffer-lab-net_prio
echo ready
sleep 1000
INSIDE
