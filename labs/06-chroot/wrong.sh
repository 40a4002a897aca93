# missing: nobody has escaped
mkdir -p /tmp/coffer-lab-chroot/bin
cp "$(command -v busybox)" /tmp/coffer-lab-chroot/bin/busybox
chroot /tmp/coffer-lab-chroot /bin/busybox sh -c 'echo ready; busybox sleep 1000'
