cat /proc/uptime
coffer unshare --time --boottime 864000 --fork bash <<'INSIDE'
cat /proc/uptime
cat /proc/self/timens_offsets
echo ready
sleep 1000
INSIDE
