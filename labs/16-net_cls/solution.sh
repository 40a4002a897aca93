coffer unshare --mount --net bash <<'INSIDE'
set -e
mount -t cgroup -o net_cls net_cls /mnt
ip link set lo up
mkdir /mnt/coffer-lab-net_cls
echo 0x100001 > /mnt/coffer-lab-net_cls/net_cls.classid
nft add table inet coffer_lab
nft 'add chain inet coffer_lab output { type filter hook output priority 0; }'
nft add rule inet coffer_lab output meta cgroup 0x100001 counter
echo $$ > /mnt/coffer-lab-net_cls/cgroup.procs
bash -c 'echo hello > /dev/udp/127.0.0.1/9'
nft list ruleset
echo ready
sleep 1000
INSIDE
