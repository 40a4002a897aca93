unshare --mount bash <<'INSIDE'
set -e
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work coffer-lab-by-hand root
coffer explain --format script run --network none --rootfs /mnt/root --hostname lab-by-hand --cpus 0.5 /bin/sh -c 'echo ready; sleep 1000' | sed -E 's/[0-9a-f]{64}/lab-by-hand/g' > script
bash script
INSIDE
