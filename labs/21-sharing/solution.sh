set -e
lab=coffer-lab-sharing
coffer run -d --name $lab-container1 host sleep 1000
coffer run -d --name $lab-container2 --pid=container:$lab-container1 host sleep 1000
coffer exec $lab-container2 ps aux
coffer run -d --name $lab-net1 host sleep 1000
coffer run -d --name $lab-net2 --net=container:$lab-net1 host sleep 1000
coffer exec $lab-net2 ip addr
coffer run -d --name $lab-ipc1 host sleep 1000
coffer run -d --name $lab-ipc2 --ipc=container:$lab-ipc1 host sleep 1000
coffer exec $lab-ipc2 ls -l /proc/self/ns/ipc
coffer run -d --name $lab-uts1 --cap-add SYS_ADMIN host sleep 1000
coffer run -d --name $lab-uts2 --uts=container:$lab-uts1 host sleep 1000
coffer exec $lab-uts1 hostname shared-host
[ "$(coffer exec $lab-uts2 hostname)" = shared-host ]
coffer run -d --name $lab-mount1 host sleep 1000
pid=$(coffer lsns --type mnt | awk "/$lab-mount1/ { print \$4 }")
exec 3< <(NAME=mount2 exec coffer nsenter --target "$pid" --mount unshare --uts --ipc --net --pid --fork sh -c 'echo up; exec sleep 1000')
read -r _ <&3
[ "$(coffer run --rm --pid=host host readlink /proc/self/ns/pid)" = "$(readlink /proc/self/ns/pid)" ]
echo ready
sleep 1000
