coffer unshare --mount bash <<'INSIDE'
set -e
mount -t cgroup -o net_prio net_prio /mnt
mkdir /mnt/coffer-lab-net_prio
echo 'lo 5' > /mnt/coffer-lab-net_prio/net_prio.ifpriomap
# The same interfaces in a network namespace that has lo alone.
diff /mnt/coffer-lab-net_prio/net_prio.ifpriomap <(unshare --net cat /mnt/coffer-lab-net_prio/net_prio.ifpriomap)
echo $$ > /mnt/coffer-lab-net_prio/cgroup.procs
echo ready
sleep 1000
INSIDE
