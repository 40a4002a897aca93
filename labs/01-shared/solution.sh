echo "Current shell PID: $$"
ls -l /proc/$$/ns/
sleep 1000 &
ls -l /proc/$!/ns/
echo ready
wait
